#include "sim/worlds/cluster/cluster_story.h"

#include <algorithm>
#include <variant>

#include "sim/worlds/raft/message_frames.h"

namespace bascule::sim {
namespace {

constexpr size_t k_prefix_bytes = 16;  // of a proposal: who made it
constexpr uint64_t k_indexes_per_hash = 8;
constexpr size_t k_persists_max = 4096;
constexpr uint64_t k_acks_per_image = 4;
constexpr size_t k_tape_messages = 16;
constexpr uint64_t k_messages_per_tape = 7;
constexpr Duration k_after_fenced = milliseconds(300);
constexpr Duration k_mark_base = seconds(3600);

}  // namespace

void mark_creation(model::StreamConfig& config, uint64_t mark) {
  config.retain_age = k_mark_base + milliseconds(static_cast<int64_t>(mark));
}

uint64_t creation_mark(const model::StreamConfig& config) {
  if (config.retain_age <= k_mark_base) return 0;
  return static_cast<uint64_t>((config.retain_age - k_mark_base).ns / 1'000'000);
}

ClusterStory::ClusterStory(Simulation& simulation, const Plan& its_plan, Verdict& its_verdict)
    : StreamStory(simulation, its_verdict, its_plan.seed),
      plan(its_plan),
      peer_codec(*this),
      secret(draw(its_plan.seed, {Domain::workload, 0, 2})),
      one_leader(its_verdict),
      completeness(raft_history, its_verdict),
      chains(raft_history, its_verdict),
      promises(its_verdict),
      linearizability(raft_history, its_verdict),
      leaders(its_verdict),
      tables(its_verdict) {
  const auto nodes = static_cast<size_t>(std::clamp<int64_t>(plan.get("nodes", 3), 1, 7));
  founders = std::clamp<size_t>(static_cast<size_t>(plan.get("founders", 3)), 1, nodes);
  for (size_t i = 0; i < nodes; ++i) {
    NodeOptions options;
    options.host = "n" + std::to_string(i + 1);
    options.drift_ppm = plan.get("drift_ppm") * static_cast<int64_t>(i);
    Node& node = sim.add_node(options);
    seats.push_back(std::make_unique<Seat>(*this, node, peer_codec, message_codec, secret,
                                           mix64(plan.seed + i)));
    Seat& seat = *seats.back();
    seat.joins = i >= founders;
    node.after_turns([this, &seat] {
      if (seat.driver() == nullptr) return;
      seat.driver()->check_invariants();
      look(seat);
    });
  }
}

// --- Lives -----------------------------------------------------------------------------------------

template <class F>
void ClusterStory::each_partition_on(NodeId node, F f) {
  for (const auto& [id, known] : streams) {
    for (uint32_t p = 0; p < known.replicas.size(); ++p) {
      if (std::ranges::find(known.replicas[p], node) != known.replicas[p].end())
        f(PartitionId{id, PartitionIndex(p)}, known);
    }
  }
}

void ClusterStory::starts(Seat& seat) {
  look_at_damage();
  // A process that dies while it opens its logs leaves its controller behind.
  seat.controller = nullptr;
  // The machine may have gone down while no process was there.
  const bool cache_went =
      std::exchange(seat.boot, seat.node.device().boot_id()) != seat.node.device().boot_id() ||
      seat.cache_dropped;
  each_partition_on(seat.id(), [&](PartitionId id, const KnownStream& known) {
    // What memory has served of a damaged partition may be gone.
    if (damaged(id)) consumers.forget(id);
    if (!cache_went || known.config.durability != model::DurabilityMode::memory) return;
    // Written on min_isr replicas, it outlives as many machines less one.
    std::set<NodeId>& gone = caches_gone_[id];
    gone.insert(seat.id());
    if (gone.size() < known.config.min_isr) return;
    gone.clear();
    acks.forgive(id);
    consumers.forget(id);
  });
}

void ClusterStory::died(Seat& seat, const Death& death) {
  sim.count("op.deaths");
  if (death.cause != DeathCause::exit) seat.clean_exit = false;
  // Whoever was told that it is another's copy gives the others time to find out who is gone.
  if (death.cause == DeathCause::fail_stop && death.why.code == Errc::fenced)
    seat.not_before = sim.now() + k_after_fenced;
  look_at_damage();
}

void ClusterStory::store_opened(Seat& s, const raft::MemberId& self,
                                const raft::StoredState& stored) {
  sim.count("op.store_opened");
  if (s.member != self) {
    s.member = self;
    s.member_since = sim.now();
    s.rolled_back = false;
  }
  // A new one is nobody; one that lost a copy of what it keeps twice has repaired it.
  if (!s.rolled_back) s.lost = false;
  s.unrepaired = false;
  s.incarnation = stored.incarnation;
  s.lives.emplace_back(sim.now(), stored.incarnation);
  // A process may begin its life again, under a higher number.
  s.seen = {};
  s.seen.life = ++lives_;
  promises.opened(self, stored);
  s.seen.entries.open(stored);
  s.seen.applied = stored.snapshot.meta.index;
  if (s.seen.applied > raft_history.last())
    return verdict.fire("O8", self.to_string() + " opens a snapshot of " +
                                  s.seen.applied.to_string() + ", which nobody has applied");
  s.seen.chain = raft_history.chain_at(s.seen.applied);
  sim.trace().add(stored.hard.term.value, stored.entries.size());
  sim.tell(s.node.host(), self.to_string() + " opens its store: term " +
                              stored.hard.term.to_string() + ", snapshot " +
                              stored.snapshot.meta.index.to_string() + ", entries " +
                              std::to_string(stored.entries.size()));
}

void ClusterStory::leaves(const raft::Message& message) {
  Seat& s = seat(message.from.node);
  if (!s.node.alive()) return;
  ++messages;
  promises.sending(message);
  if (sim.narrating())
    sim.tell(s.node.host(), "-> " + message.to.to_string() + ", term " + message.term.to_string() +
                                ": " + describe(message));
  if (message.from != s.member || message.incarnation != s.incarnation)
    verdict.fire("O8", s.node.host() + " speaks as " + message.from.to_string());
  auto& tape = tape_[{message.from.node, message.to.node}];
  // Sparse, so that what is played again is from long ago as well.
  if (tape.size() < k_tape_messages || messages % k_messages_per_tape == 0) tape.push_back(message);
  if (tape.size() > k_tape_messages) tape.pop_front();
}

const raft::Message* ClusterStory::old_message(NodeId from, NodeId to, uint64_t pick) const {
  const auto it = tape_.find({from, to});
  if (it == tape_.end() || it->second.empty()) return nullptr;
  return &it->second[pick % it->second.size()];
}

// --- Looking ---------------------------------------------------------------------------------------

void ClusterStory::look(Seat& s) {
  const raft::RaftDriver* driver = s.driver();
  if (driver == nullptr) return;
  const raft::Raft& machine = driver->machine();
  s.term = std::max(s.term, machine.term());
  if (machine.commit() < s.seen.commit)
    verdict.fire("O8", s.member.to_string() + " takes its commit index back");
  if (s.configurations.empty() || s.configurations.back() != machine.configuration())
    s.configurations.push_back(machine.configuration());
  if (driver->applied() != s.seen.applied) look_at_applied(s);
  if (machine.role() == raft::Role::leader) look_at_leader(s);
  s.seen.commit = machine.commit();
  if (s.controller->table().applied() != s.seen.table) look_at_table(s);
  if (driver->persists_waiting() > k_persists_max)
    verdict.fire("O18", s.member.to_string() + " has " +
                            std::to_string(driver->persists_waiting()) + " writes waiting");
}

void ClusterStory::look_at_applied(Seat& s) {
  SeenOfLife& seen = s.seen;
  const Index applied = s.driver()->applied();
  if (seen.applied < seen.entries.base() && applied >= seen.entries.base()) {
    sim.count("op.restored");
    seen.applied = seen.entries.base();
    if (seen.applied > raft_history.last())
      return verdict.fire("O8", s.member.to_string() + " restores a snapshot of " +
                                    seen.applied.to_string() + ", which nobody has applied");
    seen.chain = raft_history.chain_at(seen.applied);
  }
  while (seen.applied < applied) {
    const Index index = seen.applied.next();
    const raft::Entry* entry = seen.entries.at(index);
    if (entry == nullptr)
      return verdict.fire("O8", s.member.to_string() + " applies " + index.to_string() +
                                    ", which its store was never given");
    seen.chain = chain_of(seen.chain, index, entry->term, entry->kind, entry->data);
    const bool first = index > raft_history.last();
    const uint64_t command = first ? take_command(*entry) : 0;
    chains.applied(s.member.to_string(), seen.applied, index,
                   {entry->term, s.driver()->machine().term(), seen.chain, command});
    seen.applied = index;
    if (!first) continue;
    if (command != 0) linearizability.applied(command, index);
    sim.trace().add(index.value, seen.chain);
  }
}

// Of an entry that a client of ours has caused: what it marked it with. Remembers commands about lives of
// brokers, which may come again.
uint64_t ClusterStory::take_command(const raft::Entry& entry) {
  if (entry.kind != raft::EntryKind::command || entry.data.size() < k_prefix_bytes) return 0;
  const auto command = codec.decode_command(entry.data.view().subspan(k_prefix_bytes));
  if (!command) return 0;
  if (const auto* created = std::get_if<controller::CreateStream>(&*command))
    return creation_mark(created->config);
  if (std::holds_alternative<controller::RegisterBroker>(*command) ||
      std::holds_alternative<controller::UnfenceBroker>(*command) ||
      std::holds_alternative<controller::FenceBrokers>(*command))
    life_commands_.push_back(entry.data);
  return 0;
}

Slice ClusterStory::old_command(uint64_t pick) const {
  return life_commands_.empty() ? Slice() : life_commands_[pick % life_commands_.size()];
}

void ClusterStory::look_at_leader(Seat& s) {
  const raft::Raft& machine = s.driver()->machine();
  // Before its term is on its disk, nobody can know that it leads: a life that dies then has led nothing.
  if (promises.term_of(s.member) < machine.term()) return;
  if (!s.seen.configuration) s.seen.configuration = machine.configuration();
  if (s.seen.leads != machine.term()) {
    s.seen.leads = machine.term();
    if (one_leader.leads(machine.term(), s.member, s.seen.life)) {
      sim.count("op.elected");
      sim.tell(s.node.host(), "leads term " + machine.term().to_string());
      completeness.elected(machine);
    }
  } else if (machine.commit() > s.seen.commit) {
    completeness.commit_moved(machine, s.seen.commit);
    const auto term = machine.term_at(machine.commit());
    // A change may have been begun since, in the same turn.
    if (term && !promises.on_a_quorum(machine.configuration(), machine.commit(), *term) &&
        !promises.on_a_quorum(*s.seen.configuration, machine.commit(), *term))
      verdict.fire("O5", s.member.to_string() + " commits " + machine.commit().to_string() +
                             ", which is not on the disks of a quorum");
  }
  if (*s.seen.configuration != machine.configuration())
    s.seen.configuration = machine.configuration();
}

void ClusterStory::look_at_table(Seat& s) {
  const controller::MetadataTable& table = s.controller->table();
  s.seen.table = table.applied();
  if (table.applied() > newest_table_) {
    newest_table_ = table.applied();
    leaders.table_moved(table);
  }
  if (draw_below(sim.seed(), {Domain::oracle, table.applied().value, 1}, k_indexes_per_hash) == 0)
    tables.look(s.node.host(), table);
}

// --- Streams ---------------------------------------------------------------------------------------

void ClusterStory::learned(const broker::StreamStatus& status, SimTime asked) {
  if (sim.narrating())
    sim.tell("client", "stream " + status.id.to_string() + " is " + status.config.name);
  created(status);
  for (const auto& s : seats) {
    each_partition_on(s->id(), [&](PartitionId id, const KnownStream&) {
      if (id.stream == status.id && (s->logs_lost || s->logs_lost_at > asked)) hit(id, s->id());
    });
  }
}

void ClusterStory::acked(Seat& s, size_t index, Epoch epoch) {
  look(s);
  const SentBatch& batch = history.batch(index);
  leaders.acked(batch.partition, epoch, s.id(), s.controller->incarnation());
  // The plan may have damaged what was durable before this instant.
  look_at_damage();
  const KnownStream* known = stream(batch.partition.stream);
  if (known == nullptr || known->delete_tried || damaged(batch.partition)) return;
  // A failed sync may have thrown the pages out before the process hears of it.
  if (known->config.durability == model::DurabilityMode::memory && s.cache_dropped) return;
  if (draw_below(sim.seed(), {Domain::oracle, index, 2}, k_acks_per_image) != 0) return;
  if (known->config.replicas == 1 || batch.acks != model::Acks::all)
    return durable.acked(index, known->config.durability, {&s.node.device().storage()}, 1);
  if (hit_anywhere(batch.partition)) return;
  std::vector<const Storage*> disks;
  for (const NodeId node : replicas_of(batch.partition)) {
    if (known->config.durability == model::DurabilityMode::memory && seat(node).cache_dropped)
      return;
    disks.push_back(&seat(node).node.device().storage());
  }
  durable.acked(index, known->config.durability, disks, known->config.min_isr);
}

void ClusterStory::goes_back(Seat& s, SimTime then) {
  Incarnation on_disk;
  for (const auto& [at, incarnation] : s.lives)
    if (at <= then) on_disk = incarnation;
  const controller::MetadataTable* table = newest();
  const controller::BrokerEntry* entry = table == nullptr ? nullptr : table->broker(s.id());
  // Within one life nobody can tell but by what is missing.
  if (entry != nullptr && entry->incarnation > on_disk) leaders.rolled_back(s.id(), *table);
}

void ClusterStory::lose_logs(Seat& s) {
  s.logs_lost_at = sim.now();
  each_partition_on(s.id(), [&](PartitionId id, const KnownStream&) { hit(id, s.id()); });
}

void ClusterStory::look_at_damage() {
  for (const auto& s : seats) {
    const std::vector<Damage>& damage = s->node.device().damage();
    for (; s->damage_seen < damage.size(); ++s->damage_seen) {
      const std::string& path = damage[s->damage_seen].path;
      if (const auto partition = partition_of_path(path)) {
        hit(*partition, s->id());
      } else if (path.starts_with("logs") || path.empty()) {
        // The file over all logs, or everything: what must be there is not known any more.
        s->logs_lost = !path.empty();
        lose_logs(*s);
      }
    }
  }
}

bool ClusterStory::may_fail_to_read(PartitionId partition) const {
  return std::ranges::any_of(replicas_of(partition),
                             [this](NodeId node) { return seat(node).reads_failed; });
}

bool ClusterStory::damaged(PartitionId partition) const {
  if (StreamStory::damaged(partition)) return true;
  const KnownStream* known = stream(partition.stream);
  if (known == nullptr) return false;
  const auto lost = std::ranges::count_if(replicas_of(partition), [&](NodeId node) {
    const auto gone = caches_gone_.find(partition);
    return seat(node).logs_lost || on_a_lost_storage(partition, node) || hit_on(partition, node) ||
           (gone != caches_gone_.end() && gone->second.contains(node));
  });
  return static_cast<uint32_t>(lost) >= known->config.min_isr;
}

// Its broker was replaced before the others knew of it.
bool ClusterStory::on_a_lost_storage(PartitionId partition, NodeId node) const {
  const controller::MetadataTable* table = newest();
  const controller::PartitionEntry* entry =
      table == nullptr ? nullptr : table->partition(partition);
  const controller::ReplicaEntry* replica = entry == nullptr ? nullptr : entry->replica(node);
  if (replica == nullptr) return false;
  const Seat& s = seat(node);
  return s.member && s.member.storage != leaders.storage_of(replica->assignment);
}

// --- What is known ---------------------------------------------------------------------------------

std::vector<NodeId> ClusterStory::replicas_of(PartitionId partition) const {
  const KnownStream* known = stream(partition.stream);
  if (known == nullptr || partition.index.value >= known->replicas.size()) return {};
  return known->replicas[partition.index.value];
}

Seat* ClusterStory::leader() {
  Seat* best = nullptr;
  for (const auto& s : seats) {
    const raft::RaftDriver* driver = s->driver();
    if (driver == nullptr || !driver->leads()) continue;
    if (best == nullptr || driver->machine().term() > best->driver()->machine().term())
      best = s.get();
  }
  return best;
}

const controller::MetadataTable* ClusterStory::newest() const {
  const controller::MetadataTable* best = nullptr;
  for (const auto& s : seats) {
    if (s->driver() == nullptr) continue;
    const controller::MetadataTable& table = s->controller->table();
    if (best == nullptr || table.applied() > best->applied()) best = &table;
  }
  return best;
}

bool ClusterStory::founded() const {
  for (size_t i = 0; i < founders; ++i)
    if (!seats[i]->member) return false;
  return true;
}

std::vector<raft::Configuration> ClusterStory::known_configurations(const Seat* but) const {
  std::vector<raft::Configuration> out;
  const auto add = [&out](const raft::Configuration& c) {
    if (!c.voters.empty() && std::ranges::find(out, c) == out.end()) out.push_back(c);
  };
  for (const auto& s : seats) {
    if (s.get() == but) continue;
    // What a dead member saw last may not have come to its disk.
    if (s->driver() == nullptr) {
      for (const raft::Configuration& c : s->configurations) add(c);
    } else {
      add(s->driver()->machine().configuration());
    }
  }
  return out;
}

bool ClusterStory::intact(const raft::MemberId& member) const {
  const Seat& s = seat(member.node);
  return s.member == member && !s.lost;
}

bool ClusterStory::may_lose(const Seat& without) const {
  if (!founded()) return false;
  // What it alone knows goes with it.
  return std::ranges::all_of(known_configurations(&without), [&](const raft::Configuration& c) {
    return is_quorum(
        c, [&](const raft::MemberId& id) { return id.node != without.id() && intact(id); });
  });
}

bool ClusterStory::may_roll_back(const Seat& s) const {
  // It will act by what it knew then: by any configuration that was ever in force there.
  const auto dispensable = [&](const raft::Configuration& c) {
    return c.voters.empty() || promises.dispensable(s.member, c);
  };
  return std::ranges::all_of(s.configurations, dispensable) &&
         std::ranges::all_of(known_configurations(), dispensable);
}

// --- Seats -----------------------------------------------------------------------------------------

void Seat::store_opened(const raft::MemberId& self, raft::OpenedStore& opened) {
  if (!node.alive()) return;
  story.store_opened(*this, self, opened.state);
  opened.store = std::make_unique<WatchedStore>(*this, std::move(opened.store));
}

void Seat::joined(controller::Controller& which) { controller = &which; }

void Seat::left(controller::Controller& which) {
  if (controller == &which) controller = nullptr;
}

void Seat::given(uint64_t number, const raft::Persist& persist) {
  if (!node.alive()) return;
  seen.entries.take(persist);
  story.promises.given(member, number, persist);
}

void Seat::confirmed(uint64_t number) {
  if (node.alive()) story.promises.confirmed(member, number);
}

void Seat::refused(uint64_t number) {
  if (!node.alive()) return;
  story.sim.count("op.no_space");
  story.promises.refused(member, number);
}

}  // namespace bascule::sim
