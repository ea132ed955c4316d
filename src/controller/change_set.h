// What one command changes, gathered while it is applied: each thing once, in a fixed order.
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "src/controller/metadata_table.h"

namespace bascule::controller {

class MetadataTable::ChangeSet {
 public:
  void broker(NodeId node) { brokers_.insert(node); }
  void stream_created(StreamId stream) { created_.push_back(StreamCreated{stream}); }
  void stream_deleted(StreamEntry stream) { deleted_.push_back(StreamDeleted{std::move(stream)}); }
  void partition(PartitionId partition) { partitions_.insert(partition); }

  std::vector<Change> take() && {
    std::vector<Change> out;
    out.reserve(brokers_.size() + created_.size() + deleted_.size() + partitions_.size());
    for (NodeId node : brokers_) out.emplace_back(BrokerChanged{node});
    for (StreamCreated& c : created_) out.emplace_back(c);
    for (StreamDeleted& d : deleted_) out.emplace_back(std::move(d));
    for (PartitionId p : partitions_) out.emplace_back(PartitionChanged{p});
    return out;
  }

 private:
  std::set<NodeId> brokers_;
  std::vector<StreamCreated> created_;
  std::vector<StreamDeleted> deleted_;
  std::set<PartitionId> partitions_;
};

}  // namespace bascule::controller
