#include "sim/worlds/raft/raft_story.h"

#include <algorithm>

namespace bascule::sim {
namespace {

// Crash images cost as much as a thousand events: some promises are looked at, early ones more often.
constexpr uint64_t k_promises_per_look = 100;
constexpr uint64_t k_looks_max = 6;
constexpr size_t k_tape_frames = 32;
constexpr size_t k_tape_appends = 16;
constexpr size_t k_persists_max = 4096;
constexpr int k_refusals_max = 5;

RaftSetup setup_of(const Plan& plan) {
  RaftSetup out;
  raft::RaftOptions& raft = out.driver.raft;
  raft.heartbeat = microseconds(plan.get("heartbeat_us", 15000));
  raft.election_timeout_min = raft.heartbeat * 5;
  raft.election_timeout_max = raft.heartbeat * 10;
  raft.append_bytes_max = static_cast<size_t>(plan.get("append_bytes", 256 << 10));
  raft.in_flight_messages_max = static_cast<size_t>(plan.get("in_flight", 16));
  raft.snapshot_chunk_bytes = static_cast<size_t>(plan.get("chunk_bytes", 256 << 10));
  raft.uncommitted_bytes_max = static_cast<size_t>(plan.get("uncommitted_bytes", 1 << 20));
  out.driver.snapshot_entries = static_cast<uint64_t>(plan.get("snapshot_entries", 1000));
  raft.keep_entries = static_cast<size_t>(plan.get("keep_entries", 20));
  out.driver.keep_entries = static_cast<uint64_t>(plan.get("keep_entries", 20));
  out.driver.read_wait_max = milliseconds(200);
  out.driver.no_space_retry = milliseconds(5);
  out.snapshot_padding = static_cast<size_t>(plan.get("snapshot_padding"));
  out.store.extent_bytes = static_cast<uint64_t>(plan.get("extent_bytes", 64 << 10));
  out.store.segment_bytes_max = static_cast<uint64_t>(plan.get("segment_bytes", 1 << 20));
  out.store.reserve_bytes = 64 << 10;
  return out;
}

}  // namespace

raft::Member Seat::as_member() const {
  return {member, node->host() + ":" + std::to_string(k_raft_port)};
}

RaftStory::RaftStory(Simulation& simulation, const Plan& its_plan, Verdict& its_verdict)
    : sim(simulation),
      plan(its_plan),
      verdict(its_verdict),
      setup(setup_of(its_plan)),
      one_leader(its_verdict),
      completeness(history, its_verdict),
      chains(history, its_verdict),
      promises(its_verdict),
      linearizability(history, its_verdict) {
  const auto nodes = static_cast<uint64_t>(std::clamp<int64_t>(plan.get("nodes", 3), 1, 7));
  const auto voters =
      std::min(nodes, static_cast<uint64_t>(std::max<int64_t>(1, plan.get("founders", 3))));
  for (uint64_t i = 0; i < nodes; ++i) {
    NodeOptions options;
    options.host = "n" + std::to_string(i + 1);
    options.drift_ppm = plan.get("drift_ppm") * static_cast<int64_t>(i);
    options.disk.bytes_max = static_cast<uint64_t>(plan.get("disk_bytes", 1 << 28));
    Seat seat;
    seat.node = &sim.add_node(options);
    if (i < voters) {
      seat.member = {seat.node->id(), Uuid{{draw(sim.seed(), {Domain::workload, i, 1}), i + 1}}};
      founders.voters.push_back(seat.as_member());
    }
    seats.push_back(std::move(seat));
  }
}

// --- What happens ----------------------------------------------------------------------------------

std::optional<Founding> RaftStory::founding(NodeId node) {
  if (seat(node).founded) return std::nullopt;
  const auto me =
      std::ranges::find(founders.voters, node, [](const raft::Member& m) { return m.id.node; });
  if (me == founders.voters.end()) return std::nullopt;
  return Founding{me->id.storage, founders};
}

void RaftStory::opened(RaftProgram& program, const raft::StoredState& stored) {
  Seat& s = seat(program.node().id());
  sim.count("op.opened");
  if (s.member != program.self()) {
    s.member = program.self();
    s.member_since = sim.now();
    s.rolled_back = false;
    // What its node knew as another is on no disk any more.
    s.configuration = {};
    s.configurations.clear();
  }
  // A new one is nobody; one that lost a copy of what it keeps twice has repaired it.
  if (!s.rolled_back) s.lost = false;
  s.founded = true;
  s.unrepaired = false;
  s.refusals = 0;
  s.incarnation = stored.incarnation;
  promises.opened(program.self(), stored);
  sim.trace().add(stored.hard.term.value, stored.entries.size());
  sim.tell(s.node->host(), program.self().to_string() + " opens: term " +
                               stored.hard.term.to_string() + ", snapshot " +
                               stored.snapshot.meta.index.to_string() + ", entries " +
                               std::to_string(stored.entries.size()));
}

void RaftStory::failed_to_open(RaftProgram& program, const Error& why) {
  Seat& s = seat(program.node().id());
  sim.count("op.refused_to_open." + std::string(errc_name(why.code)));
  sim.tell(s.node->host(), "does not open: " + why.to_string());
  const bool nothing =
      why.code == Errc::corrupt || why.code == Errc::not_found || why.code == Errc::unsupported;
  if (nothing && !s.damaged && !s.lost)
    verdict.fire(
        "O8", s.node->host() + " refuses its disk, and nothing has damaged it: " + why.to_string());
  // A read may have failed once: the next start tells. What is gone stays gone.
  ++s.refusals;
  if (nothing || (s.damaged && s.refusals >= k_refusals_max)) s.lost = true;
  s.node->exit();
}

void RaftStory::given(RaftProgram& program, uint64_t number, const raft::Persist& persist) {
  promises.given(program.self(), number, persist);
}
void RaftStory::confirmed(RaftProgram& program, uint64_t number) {
  promises.confirmed(program.self(), number);
}
void RaftStory::refused(RaftProgram& program, uint64_t number) {
  sim.count("op.no_space");
  promises.refused(program.self(), number);
}

void RaftStory::sending(RaftProgram& program, const raft::Message& message, const Slice& frame) {
  ++messages;
  promises.sending(message);
  Seat& s = seat(program.node().id());
  if (sim.narrating())
    sim.tell(s.node->host(), "-> n" + message.to.node.to_string() + ", term " +
                                 message.term.to_string() + ": " + describe(message));
  if (message.from != program.self() || message.incarnation != s.incarnation)
    verdict.fire("O8", s.node->host() + " speaks as " + message.from.to_string());
  const auto* vote = std::get_if<raft::VoteResponse>(&message.body);
  const auto* append = std::get_if<raft::AppendResponse>(&message.body);
  const bool promise =
      (vote != nullptr && vote->granted && !vote->pre) || (append != nullptr && append->accepted);
  if (promise && images_ < k_looks_max &&
      draw_below(sim.seed(), {Domain::oracle, s.node->id().value, ++looks_}, k_promises_per_look) ==
          0)
    check_image(s, s.node->device().storage().worst_image(), "the worst crash image");
  keep(message, frame);
  if (const auto* chunk = std::get_if<raft::SnapshotRequest>(&message.body);
      chunk != nullptr && chunk->offset + chunk->data.size() == chunk->total_bytes)
    on_snapshot_sent(message.from.node, message.to.node, chunk->meta.index);
}

void RaftStory::keep(const raft::Message& message, const Slice& frame) {
  Tape& tape = tape_[{message.from.node, message.to.node}];
  // Sparse, so that what is played again is from long ago as well.
  if (tape.frames.size() < k_tape_frames || messages % 7 == 0) tape.frames.push_back(frame);
  if (tape.frames.size() > k_tape_frames) tape.frames.pop_front();
  const auto* append = std::get_if<raft::AppendRequest>(&message.body);
  if (append == nullptr || append->entries.empty()) return;
  const Index last(append->prev_index.value + append->entries.size());
  tape.appends.push_back({last, append->commit, frame});
  if (tape.appends.size() > k_tape_appends) tape.appends.pop_front();
}

void RaftStory::applied(RaftProgram& program, Index before, Index index, Term term,
                        raft::EntryKind kind, ByteView data) {
  const uint64_t command = kind == raft::EntryKind::command ? command_number(data) : 0;
  const bool first = index > history.last();
  chains.applied(program.self().to_string(), before, index,
                 {term, program.driver() == nullptr ? term : program.driver()->machine().term(),
                  program.chain().chain(), command});
  if (first && command != 0) linearizability.applied(command, index);
  if (first) sim.trace().add(index.value, program.chain().chain());
}

void RaftStory::restored(RaftProgram& program, Index index) {
  sim.count("op.restored");
  chains.restored(program.self().to_string(), index, program.chain().chain());
}

void RaftStory::turn_ended(RaftProgram& program) {
  if (!program.node().alive()) return;
  raft::RaftDriver& driver = *program.driver();
  driver.check_invariants();
  Seat& s = seat(program.node().id());
  const raft::Raft& machine = driver.machine();
  s.term = std::max(s.term, machine.term());
  if (machine.commit() < program.seen.commit)
    verdict.fire("O8", program.self().to_string() + " takes its commit index back");
  if (s.configuration != machine.configuration()) {
    s.configuration = machine.configuration();
    s.configurations.push_back(s.configuration);
  }
  if (machine.role() == raft::Role::leader) look_at_leader(program, s);
  program.seen.commit = machine.commit();
  if (driver.persists_waiting() > k_persists_max)
    verdict.fire("O18", program.self().to_string() + " has " +
                            std::to_string(driver.persists_waiting()) + " writes waiting");
}

void RaftStory::look_at_leader(RaftProgram& program, Seat& s) {
  const raft::Raft& machine = program.driver()->machine();
  // Before its term is on its disk, nobody can know that it leads: a life that dies then has led nothing.
  if (promises.term_of(program.self()) < machine.term()) return;
  if (program.seen.leads != machine.term()) {
    program.seen.leads = machine.term();
    if (one_leader.leads(machine.term(), program.self(), program.life())) {
      sim.count("op.elected");
      sim.tell(s.node->host(), "leads term " + machine.term().to_string());
      completeness.elected(machine);
    }
  } else if (machine.commit() > program.seen.commit) {
    completeness.commit_moved(machine, program.seen.commit);
    const auto term = machine.term_at(machine.commit());
    // A change may have been begun since, in the same turn.
    if (term && !promises.on_a_quorum(machine.configuration(), machine.commit(), *term) &&
        !promises.on_a_quorum(program.seen.configuration, machine.commit(), *term))
      verdict.fire("O5", program.self().to_string() + " commits " + machine.commit().to_string() +
                             ", which is not on the disks of a quorum");
  }
  if (program.seen.configuration != machine.configuration())
    program.seen.configuration = machine.configuration();
}

// --- What is known ---------------------------------------------------------------------------------

Seat* RaftStory::leader() {
  Seat* best = nullptr;
  for (Seat& s : seats) {
    const raft::RaftDriver* driver = s.driver();
    if (driver == nullptr || !driver->leads()) continue;
    if (best == nullptr || driver->machine().term() > best->driver()->machine().term()) best = &s;
  }
  return best;
}

std::vector<raft::Configuration> RaftStory::configurations() const {
  std::vector<raft::Configuration> out;
  const auto add = [&out](const raft::Configuration& c) {
    if (!c.voters.empty() && std::ranges::find(out, c) == out.end()) out.push_back(c);
  };
  for (const Seat& s : seats) {
    add(s.configuration);
    // What a dead member saw last may not have come to its disk.
    if (s.driver() == nullptr) {
      for (const raft::Configuration& c : s.configurations) add(c);
    }
    if (const raft::RaftDriver* driver = s.driver()) add(driver->machine().configuration());
  }
  if (out.empty()) add(founders);
  return out;
}

bool RaftStory::intact(const raft::MemberId& member) const {
  const Seat& s = seats[member.node.value - 1];
  return s.member == member && !s.lost;
}

bool RaftStory::may_lose(const Seat& seat) const {
  for (const raft::Configuration& c : configurations()) {
    if (!is_quorum(
            c, [&](const raft::MemberId& id) { return id.node != seat.node->id() && intact(id); }))
      return false;
  }
  return true;
}

bool RaftStory::may_roll_back(const Seat& seat) const {
  // It will act by what it knew then: by any configuration that was ever in force there.
  for (const raft::Configuration& c : seat.configurations) {
    if (!c.voters.empty() && !promises.dispensable(seat.member, c)) return false;
  }
  for (const raft::Configuration& c : configurations()) {
    if (!promises.dispensable(seat.member, c)) return false;
  }
  return true;
}

Term RaftStory::highest_term() const {
  Term out;
  for (const Seat& s : seats) out = std::max(out, s.term);
  return out;
}

Slice RaftStory::old_frame(NodeId from, NodeId to, uint64_t pick) const {
  const auto it = tape_.find({from, to});
  if (it == tape_.end() || it->second.frames.empty()) return {};
  return it->second.frames[pick % it->second.frames.size()];
}

// --- Crash images ----------------------------------------------------------------------------------

namespace {

// Opens a store alone, and keeps what it held.
class StoreProgram final : public Program {
 public:
  StoreProgram(env::World& world, const raft::DiskStoreOptions& options, Uuid storage,
               std::optional<Result<raft::StoredState>>& out) {
    raft::open_raft_store(world, options, storage,
                          scope_.wrap([this, &out](Result<raft::OpenedStore> opened) {
                            if (opened) {
                              out = std::move(opened->state);
                              store_ = std::move(opened->store);
                            } else {
                              out = fail(std::move(opened.error()));
                            }
                          }));
  }

 private:
  std::unique_ptr<raft::Store> store_;
  env::Scope scope_;
};

}  // namespace

void RaftStory::check_image(Seat& s, const Storage& image, const char* what) {
  if (s.damaged || s.lost) return;
  sim.count("oracle.images");
  ++images_;
  Simulation sandbox(mix64(sim.seed() ^ ++looks_));
  Node& node = sandbox.add_node({});
  node.device().roll_back(image);
  node.device().storage().set_bytes_max(uint64_t{1} << 30);  // it may have been full
  std::optional<Result<raft::StoredState>> held;
  node.start([&](env::World& world) {
    return std::make_unique<StoreProgram>(world, setup.store, s.member.storage, held);
  });
  sandbox.run_until_true(seconds(30), [&] { return held.has_value(); });
  node.shut_down();
  const std::string name = s.member.to_string() + ", " + what + ": ";
  if (!held) return verdict.fire("O8", name + "the store does not open in half a minute");
  if (!*held) return verdict.fire("O8", name + held->error().to_string());
  if (const std::string missing = promises.missing(s.member, **held); !missing.empty())
    verdict.fire("O8", name + missing);
}

}  // namespace bascule::sim
