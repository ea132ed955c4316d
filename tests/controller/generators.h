// Random histories of metadata commands: mostly sensible ones, made from what the table holds, with
// enough of the stale and the absurd that refusals happen.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "src/base/prng.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {

inline Uuid cluster_id() { return Uuid{{7, 9}}; }
inline Uuid storage_id(uint64_t n) { return Uuid{{0x5700, n}}; }

inline model::StreamConfig stream_config(const std::string& name, uint32_t partitions = 1,
                                         uint32_t replicas = 1, uint32_t min_isr = 1) {
  model::StreamConfig c;
  c.name = name;
  c.subjects = {name + ".*"};
  c.partitions = partitions;
  c.replicas = replicas;
  c.min_isr = min_isr;
  c.answers = model::AnswerMode::off;
  return c;
}

// Draws the next command of a history, looking at the table as a proposer would.
class CommandGenerator {
 public:
  CommandGenerator(Prng random, uint32_t nodes) : random_(random), nodes_(nodes) {}

  Command next(const MetadataTable& table) {
    switch (random_.below(19)) {
      case 0:
      case 1: return registration(table);
      case 2:
      case 3: return unfence(table);
      case 4: return fence(table);
      case 5:
      case 6: return create(table);
      case 7: return DeleteStream{any_stream(table)};
      case 8: return clear(table);
      case 9: return report(table);
      case 10: return end_wait(table);
      case 11: return removal(table);
      case 12: return declare_lost(table);
      case 13: return level(table);
      case 14: return setting();
      case 15: return producer_ids(table);
      case 16: return resign(table);
      case 17: return change_isr(table);
      default: return unclean(table);
    }
  }

 private:
  NodeId any_node() { return NodeId(static_cast<uint32_t>(random_.between(1, nodes_))); }

  Incarnation recorded(const MetadataTable& table, NodeId node) {
    return table.recorded_incarnation(node);
  }
  // Now and then another one than asked for.
  template <class Id>
  Id mostly(Id id) {
    return random_.chance(1, 12) ? id.next() : id;
  }

  StreamId any_stream(const MetadataTable& table) {
    return StreamId(random_.between(1, table.state().next_stream.value));
  }
  const PartitionEntry* any_partition(const MetadataTable& table) {
    const auto& streams = table.state().streams;
    if (streams.empty()) return nullptr;
    auto at = streams.begin();
    std::advance(at, static_cast<ptrdiff_t>(random_.below(streams.size())));
    return &at->second.partitions[random_.below(at->second.partitions.size())];
  }

  Command registration(const MetadataTable& table) {
    RegisterBroker c;
    c.node = any_node();
    const BrokerEntry* b = table.broker(c.node);
    c.storage = b == nullptr ? storage_id(c.node.value) : b->storage;
    if (random_.chance(1, 10)) c.storage = storage_id(100 + random_.below(20));
    c.replaces = mostly(recorded(table, c.node));
    c.incarnation = Incarnation(c.replaces.value + random_.between(1, 2));
    c.rolled_back = random_.chance(1, 15);
    c.endpoints.rpc = "127.0.0.1:" + std::to_string(9000 + c.node.value);
    if (random_.chance(3, 4)) c.host = "host-" + std::to_string(c.node.value / 2);
    c.features.most = random_.chance(1, 10) ? 1 : 2;
    for (const PartitionId& id : table.partitions_of(c.node)) {
      if (random_.chance(1, 2)) continue;
      const PartitionEntry& p = *table.partition(id);
      ReplicaReport r;
      r.partition = id;
      r.assignment = mostly(p.replica(c.node)->assignment);
      r.missing = random_.chance(1, 10);
      r.damaged = random_.chance(1, 8);
      r.diverged = random_.chance(1, 10);
      r.suspect = random_.chance(4, 5);
      r.cache_lost = r.suspect && random_.chance(1, 2);
      r.last_epoch = Epoch(random_.below(p.epoch.value + 1));
      r.leo = Offset(random_.below(50));
      c.reports.push_back(r);
    }
    return c;
  }
  Command unfence(const MetadataTable& table) {
    const NodeId node = any_node();
    return UnfenceBroker{node, mostly(recorded(table, node))};
  }
  Command fence(const MetadataTable& table) {
    FenceBrokers c;
    for (uint32_t n = 1; n <= nodes_; ++n) {
      if (random_.chance(1, 3))
        c.brokers.push_back({NodeId(n), mostly(recorded(table, NodeId(n)))});
    }
    return c;
  }
  Command create(const MetadataTable&) {
    const auto replicas = static_cast<uint32_t>(random_.between(1, nodes_ + (nodes_ == 1 ? 0 : 1)));
    CreateStream c{stream_config("s" + std::to_string(random_.below(6)),
                                 static_cast<uint32_t>(random_.between(1, 3)), replicas,
                                 static_cast<uint32_t>(random_.between(1, replicas))),
                   random_.uuid(), WallTime{static_cast<int64_t>(random_.below(1'000'000))}};
    if (random_.chance(1, 4)) c.config.durability = model::DurabilityMode::memory;
    if (random_.chance(1, 10)) c.config.subjects.clear();
    return c;
  }
  Command clear(const MetadataTable& table) {
    ClearSuspect c;
    c.leader = any_node();
    c.leader_incarnation = mostly(recorded(table, c.leader));
    for (uint32_t i = 0; i < 4; ++i) {
      const PartitionEntry* p = any_partition(table);
      if (p == nullptr) break;
      const NodeId replica = any_node();
      c.items.push_back({p->id, mostly(p->version), replica, mostly(recorded(table, replica))});
    }
    return c;
  }
  Command report(const MetadataTable& table) {
    const NodeId node = any_node();
    ReportReplica c;
    c.node = node;
    c.incarnation = mostly(recorded(table, node));
    if (const PartitionEntry* p = any_partition(table)) {
      c.partition = p->id;
      c.epoch = mostly(p->epoch);
    }
    c.last_epoch = Epoch(random_.below(5));
    c.leo = Offset(random_.below(50));
    return c;
  }
  Command end_wait(const MetadataTable& table) {
    EndElectionWait c{table.waiting_elections()};
    if (const PartitionEntry* p = any_partition(table)) c.partitions.push_back({p->id, p->epoch});
    return c;
  }
  Command removal(const MetadataTable& table) {
    const NodeId node = any_node();
    return UnregisterBroker{node, mostly(recorded(table, node))};
  }
  Command declare_lost(const MetadataTable& table) {
    const BrokerEntry* b = random_.chance(1, 3) ? table.broker(any_node()) : nullptr;
    return DeclareStorageLost{b != nullptr ? b->storage : storage_id(100 + random_.below(20))};
  }
  Command level(const MetadataTable& table) {
    return FinalizeFeatureLevel{table.state().feature_level + (random_.chance(1, 8) ? 1 : 0)};
  }
  Command setting() {
    static constexpr const char* k_values[] = {"", "1s", "2500ms", "3", "1000h"};
    return SetSetting{random_.chance(1, 3) ? "default_replicas" : "session_timeout",
                      k_values[random_.below(5)]};
  }
  Command producer_ids(const MetadataTable& table) {
    const NodeId node = any_node();
    return AllocateProducerIds{node, mostly(recorded(table, node)), random_.below(1000)};
  }
  Command resign(const MetadataTable& table) {
    const NodeId node = any_node();
    return ResignLeaderships{node, mostly(recorded(table, node))};
  }
  Command change_isr(const MetadataTable& table) {
    ChangeIsr c;
    const PartitionEntry* p = any_partition(table);
    if (p == nullptr) return c;
    c.leader = random_.chance(1, 12) ? any_node() : p->leader;
    c.leader_incarnation = mostly(recorded(table, c.leader));
    ChangeIsrItem& item = c.items.emplace_back(p->id, mostly(p->version));
    for (uint32_t n = 1; n <= nodes_; ++n) {
      const NodeId node(n);
      const bool likely = p->replica(node) != nullptr && random_.chance(3, 4);
      if (node == p->leader || likely || random_.chance(1, 20))
        item.isr.push_back({node, mostly(recorded(table, node))});
    }
    return c;
  }
  Command unclean(const MetadataTable& table) {
    ElectUnclean c;
    c.node = any_node();
    if (const PartitionEntry* p = any_partition(table)) {
      c.partition = p->id;
      c.epoch = mostly(p->epoch);
    }
    c.decided = WallTime{5};
    return c;
  }

  Prng random_;
  uint32_t nodes_;
};

}  // namespace bascule::controller
