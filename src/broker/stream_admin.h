// Streams as clients see them: create, list, describe, delete. Joins the metadata table (what was
// decided) with the partitions here (how far they are).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/ids.h"
#include "src/broker/api.h"
#include "src/broker/metadata_reads.h"
#include "src/broker/replicas.h"
#include "src/controller/controller.h"
#include "src/env/world.h"

namespace bascule::broker {

class StreamAdmin {
 public:
  // All outlive this.
  StreamAdmin(env::World& world, controller::Controller& controller, Replicas& replicas,
              MetadataReads& reads);

  // What the creator of a stream is to be told beside its status, from one who sees more than the broker.
  using CreationAdvisor =
      std::move_only_function<std::vector<std::string>(const model::StreamConfig&)>;
  void advise_with(CreationAdvisor advisor) { advisor_ = std::move(advisor); }

  // As the Api's calls of these names.
  void create(CreateStream request, Done<StreamStatus> done);
  void list(MetadataRead read, Done<StreamList> done);
  void describe(StreamRef stream, MetadataRead read, Done<DescribedStream> done);
  void remove(StreamId stream, Done<void> done);

 private:
  struct Creation;

  StreamStatus status_of(const controller::StreamEntry& entry) const;
  PartitionStatus status_of(const controller::PartitionEntry& entry) const;
  void on_created(const std::shared_ptr<Creation>& creation, Result<controller::Outcome> outcome);
  void answer(const std::shared_ptr<Creation>& creation, Result<StreamStatus> result);

  env::World& world_;
  controller::Controller& controller_;
  Replicas& replicas_;
  MetadataReads& reads_;
  CreationAdvisor advisor_;  // perhaps none
  uint64_t changes_ = 0;     // creations and deletions without an answer
  env::Scope scope_;
};

}  // namespace bascule::broker
