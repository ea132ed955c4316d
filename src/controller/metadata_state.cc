#include "src/controller/metadata_state.h"

#include <algorithm>
#include <bit>
#include <string_view>

#include "src/base/codec.h"
#include "src/base/prng.h"

namespace bascule::controller {
namespace {

// Two lanes of 64 bits that take every value in its place. Not against malice: against difference.
class StateHash {
 public:
  void number(uint64_t n) {
    low_ = mix64(low_ ^ n);
    high_ = mix64(std::rotl(high_, 23) + n * 0x9fb21c651e98df25);
  }
  void flag(bool b) { number(b ? 1 : 2); }
  template <class Tag, class Rep>
  void id(StrongId<Tag, Rep> i) {
    number(i.value);
  }
  void uuid(const Uuid& u) {
    number(u.words[0]);
    number(u.words[1]);
  }
  void signed_number(int64_t n) { number(static_cast<uint64_t>(n)); }
  void text(std::string_view t) {
    number(t.size());
    for (size_t at = 0; at < t.size(); at += 8) {
      std::array<uint8_t, 8> word{};
      const size_t size = std::min<size_t>(8, t.size() - at);
      std::copy_n(reinterpret_cast<const uint8_t*>(t.data()) + at, size, word.begin());
      number(load_le<uint64_t>(word.data()));
    }
  }
  Uuid value() const { return Uuid{{mix64(low_), mix64(high_ ^ low_)}}; }

 private:
  uint64_t low_ = 0x6d657461;
  uint64_t high_ = 0x64617461;
};

void add(StateHash& h, const BrokerEntry& b) {
  h.id(b.node);
  h.uuid(b.storage);
  h.id(b.incarnation);
  h.flag(b.fenced);
  h.id(b.registered);
  h.text(b.endpoints.peers);
  h.text(b.endpoints.rpc);
  h.text(b.endpoints.nats);
  h.text(b.host);
  h.number(b.features.least);
  h.number(b.features.most);
}

void add(StateHash& h, const EventPosition& p) {
  h.id(p.index);
  h.number(p.ordinal);
}

void add(StateHash& h, const model::StreamConfig& c) {
  h.text(c.name);
  h.number(c.subjects.size());
  for (const std::string& subject : c.subjects) h.text(subject);
  h.number(c.partitions);
  h.number(c.replicas);
  h.number(c.min_isr);
  h.number(static_cast<uint64_t>(c.durability));
  h.number(static_cast<uint64_t>(c.answers));
  h.signed_number(c.retain_age.ns);
  h.number(c.retain_bytes);
  h.number(c.retain_messages);
  h.number(c.segment_bytes);
  h.number(c.message_bytes_max);
}

void add(StateHash& h, const ReplicaEntry& r) {
  h.id(r.node);
  h.id(r.assignment);
  h.id(r.assigned);
  h.flag(r.suspect);
  h.flag(r.damaged);
  h.flag(r.diverged);
  h.flag(r.report.has_value());
  if (r.report) {
    h.id(r.report->last_epoch);
    h.number(r.report->leo.value);
  }
}

void add(StateHash& h, const std::vector<NodeId>& nodes) {
  h.number(nodes.size());
  for (NodeId node : nodes) h.id(node);
}

void add(StateHash& h, const PartitionEntry& p) {
  h.id(p.id.stream);
  h.id(p.id.index);
  h.uuid(p.log_id);
  h.number(p.replicas.size());
  for (const ReplicaEntry& r : p.replicas) add(h, r);
  add(h, p.isr);
  add(h, p.elr);
  h.id(p.leader);
  h.id(p.leader_incarnation);
  h.id(p.epoch);
  h.id(p.version);
  h.flag(p.data_lost);
  h.flag(p.loss.has_value());
  if (p.loss) {
    h.id(p.loss->epoch);
    h.id(p.loss->node);
    h.flag(p.loss->by_operator);
    h.signed_number(p.loss->decided.ns);
  }
}

void add(StateHash& h, const EventLog& log) {
  add(h, log.dropped);
  h.number(log.kept.size());
  for (const Event& e : log.kept) {
    add(h, e.position);
    h.number(static_cast<uint64_t>(e.kind));
    h.id(e.node);
    h.id(e.incarnation);
    h.id(e.partition.stream);
    h.id(e.partition.index);
    h.id(e.epoch);
    h.number(e.number);
    add(h, e.nodes);
    h.text(e.name);
    h.text(e.detail);
  }
}

}  // namespace

const ReplicaEntry* PartitionEntry::replica(NodeId node) const {
  const auto at = std::ranges::find(replicas, node, &ReplicaEntry::node);
  return at == replicas.end() ? nullptr : &*at;
}

ReplicaEntry* PartitionEntry::replica(NodeId node) {
  const auto at = std::ranges::find(replicas, node, &ReplicaEntry::node);
  return at == replicas.end() ? nullptr : &*at;
}

bool PartitionEntry::in_isr(NodeId node) const { return std::ranges::binary_search(isr, node); }
bool PartitionEntry::in_elr(NodeId node) const { return std::ranges::binary_search(elr, node); }

bool MetadataState::forgotten(Index index) const {
  return std::ranges::any_of(
      rescues, [&](const RescueRecord& r) { return r.last_known < index && index < r.first; });
}

Uuid state_hash(const MetadataState& state) {
  StateHash h;
  h.uuid(state.cluster);
  h.number(state.feature_level);
  h.id(state.applied);
  h.id(state.next_stream);
  h.id(state.next_assignment);
  h.number(state.brokers.size());
  for (const auto& [node, broker] : state.brokers) {
    h.id(node);
    add(h, broker);
  }
  h.number(state.streams.size());
  for (const auto& [id, stream] : state.streams) {
    h.id(id);
    h.id(stream.id);
    add(h, stream.config);
    h.signed_number(stream.created.ns);
    h.number(stream.partitions.size());
    for (const PartitionEntry& p : stream.partitions) add(h, p);
  }
  h.id(state.next_producer);
  h.id(state.removed);
  h.number(state.lost_storages.size());
  for (const Uuid& storage : state.lost_storages) h.uuid(storage);
  h.number(state.settings.size());
  for (const auto& [name, value] : state.settings) {
    h.text(name);
    h.text(value);
  }
  add(h, state.events);
  h.number(state.rescues.size());
  for (const RescueRecord& r : state.rescues) {
    h.id(r.last_known);
    h.id(r.first);
    h.id(r.node);
    h.uuid(r.cluster_before);
    h.signed_number(r.decided.ns);
  }
  return h.value();
}

Uuid derive_log_id(const Uuid& seed, PartitionIndex index) {
  const uint64_t low = mix64(seed.words[0] + index.value);
  return Uuid{{low, mix64(seed.words[1] ^ low)}};
}

}  // namespace bascule::controller
