// A metadata table with the commands of everyday life, for tests of what it does.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "tests/controller/generators.h"

namespace bascule::controller {

// A table with a running index, and the commands of everyday life.
class Cluster {
 public:
  MetadataTable table{cluster_id()};

  Applied apply(const Command& c) {
    index_ = index_.next();
    Applied a = table.apply(index_, c);
    table.check_invariants();
    return a;
  }
  void must(const Command& c) {
    const Applied a = apply(c);
    ASSERT_TRUE(a.outcome.has_value()) << a.outcome.error().to_string();
  }
  Errc refused(const Command& c) {
    const Applied a = apply(c);
    EXPECT_FALSE(a.outcome.has_value());
    return a.outcome ? Errc{} : a.outcome.error().code;
  }
  Incarnation recorded(uint32_t node) const {
    const BrokerEntry* b = table.broker(NodeId(node));
    return b == nullptr ? Incarnation{} : b->incarnation;
  }
  RegisterBroker registration(uint32_t node, std::vector<ReplicaReport> reports = {}) const {
    RegisterBroker c;
    c.node = NodeId(node);
    c.storage = storage_id(node);
    c.replaces = recorded(node);
    c.incarnation = c.replaces.next();
    c.reports = std::move(reports);
    return c;
  }
  void register_only(uint32_t node, std::vector<ReplicaReport> reports = {}) {
    must(registration(node, std::move(reports)));
  }
  void unfence(uint32_t node) { must(UnfenceBroker{NodeId(node), recorded(node)}); }
  void start(uint32_t node, std::vector<ReplicaReport> reports = {}) {
    register_only(node, std::move(reports));
    unfence(node);
  }
  void fence(const std::vector<uint32_t>& nodes) {
    FenceBrokers c;
    for (uint32_t n : nodes) c.brokers.push_back({NodeId(n), recorded(n)});
    must(c);
  }
  StreamId create(const model::StreamConfig& config) {
    const Applied a = apply(CreateStream{config, Uuid{{1, 2}}, WallTime{3}});
    EXPECT_TRUE(a.outcome.has_value());
    return std::get<CreateStreamOutcome>(*a.outcome).stream;
  }
  const PartitionEntry& p(StreamId stream, uint32_t index = 0) const {
    return *table.partition({stream, PartitionIndex(index)});
  }
  ReplicaReport suspect(StreamId stream, uint32_t node, uint64_t epoch, uint64_t leo) const {
    ReplicaReport r;
    r.partition = p(stream).id;
    r.assignment = p(stream).replica(NodeId(node))->assignment;
    r.suspect = true;
    r.last_epoch = Epoch(epoch);
    r.leo = Offset(leo);
    return r;
  }

 private:
  Index index_;
};

inline std::vector<NodeId> nodes(std::initializer_list<uint32_t> list) {
  std::vector<NodeId> out;
  for (uint32_t n : list) out.emplace_back(n);
  return out;
}

}  // namespace bascule::controller
