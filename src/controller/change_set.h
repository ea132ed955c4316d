// What one command changes, gathered while it is applied: each thing once, in a fixed order; and the events
// that tell it.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "src/controller/metadata_table.h"

namespace bascule::controller {

class MetadataTable::ChangeSet {
 public:
  // What of a partition makes events, as it was before the command.
  struct Before {
    NodeId leader;
    Epoch epoch;
    std::vector<NodeId> isr;
    bool data_lost = false;
    Epoch loss;  // of the loss record; 0: none
  };

  void broker(NodeId node) { brokers_.insert(node); }
  void cluster() { cluster_ = true; }
  void stream_created(StreamId stream) { created_.push_back(StreamCreated{stream}); }
  void stream_deleted(StreamEntry stream) { deleted_.push_back(StreamDeleted{std::move(stream)}); }
  void partition(PartitionId partition) { partitions_.insert(partition); }
  // About to be changed.
  void before(const PartitionEntry& p) {
    if (before_.contains(p.id)) return;
    before_.emplace(
        p.id, Before{p.leader, p.epoch, p.isr, p.data_lost, p.loss ? p.loss->epoch : Epoch{}});
  }
  // Told before those of partitions, in this order.
  void event(Event event) { events_.push_back(std::move(event)); }

  const std::map<PartitionId, Before>& befores() const { return before_; }
  std::vector<Event> take_events() { return std::move(events_); }

  std::vector<Change> take() && {
    std::vector<Change> out;
    out.reserve(deleted_.size() + 1 + brokers_.size() + created_.size() + partitions_.size());
    for (StreamDeleted& d : deleted_) out.emplace_back(std::move(d));
    if (cluster_) out.emplace_back(ClusterChanged{});
    for (NodeId node : brokers_) out.emplace_back(BrokerChanged{node});
    for (StreamCreated& c : created_) out.emplace_back(c);
    for (PartitionId p : partitions_) out.emplace_back(PartitionChanged{p});
    return out;
  }

 private:
  bool cluster_ = false;
  std::set<NodeId> brokers_;
  std::vector<StreamCreated> created_;
  std::vector<StreamDeleted> deleted_;
  std::set<PartitionId> partitions_;
  std::map<PartitionId, Before> before_;
  std::vector<Event> events_;
};

}  // namespace bascule::controller
