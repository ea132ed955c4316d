// One run of world `raft`: plays the plan, then heals a core of the members, then all of them, and asks the
// oracles of liveness and convergence.
#include <algorithm>
#include <utility>

#include "sim/faults/fault_driver.h"
#include "sim/oracles/raft_convergence.h"
#include "sim/world/life.h"
#include "sim/world/network.h"
#include "sim/worlds/raft/raft_operator.h"
#include "sim/worlds/raft/raft_world.h"

namespace bascule::sim {
namespace {

constexpr uint64_t k_commands_per_item = 1000;
constexpr uint64_t k_own_commands = uint64_t{1} << 40;  // of the run's own proposals
constexpr Duration k_pause = milliseconds(5);

class RaftRun {
 public:
  RaftRun(const Plan& plan, const RunOptions& options)
      : plan_(plan),
        sim_(plan.seed, options.chooser),
        verdict_(sim_),
        story_(sim_, plan, verdict_),
        operator_(story_),
        faults_(sim_, plan, [this](Node& node) { start(node); }) {
    sim_.narrate(options.narrate);
    faults_.own_verbs([this](const PlanItem& item) { return strike(item); });
    faults_.permit([this](const PlanItem& item, Node& node) { return permit(item, node); });
    story_.on_snapshot_sent = [this](NodeId from, NodeId to, Index snapshot) {
      appends_come_late(from, to, snapshot);
    };
  }

  Outcome run() {
    for (Seat& seat : story_.seats) start(*seat.node);
    faults_.begin();
    for (const PlanItem& item : plan_.operations)
      sim_.at(item.at, [this, &item] {
        if (!over() && !healed_) operate(item);
      });
    sim_.run_until_true(plan_.end, [this] { return over(); });
    if (!over()) core_liveness();
    if (!over()) converge("after all was healed");
    if (!over()) restart_all();
    for (Seat& seat : story_.seats) seat.node->shut_down();
    sim_.count("op.messages", story_.messages);
    return outcome_of(sim_, verdict_);
  }

 private:
  bool over() const { return verdict_.fired(); }
  Duration timeout() const { return story_.setup.driver.raft.election_timeout_max; }
  // In how much time a healthy quorum must be through with one thing, restarts of its members included.
  Duration bound() const { return timeout() * 40 + seconds(20); }

  void start(Node& node) {
    node.start([this, &node](env::World& world) {
      return std::make_unique<RaftProgram>(node, world, story_.setup, story_, ++lives_);
    });
  }

  // --- Faults ----------------------------------------------------------------------------------------

  // What would leave no quorum of whole disks is not done: beyond that nothing can be promised.
  bool permit(const PlanItem& item, Node& node) {
    Seat& seat = story_.seat(node.id());
    const bool loses = item.verb == "replaced" || item.verb == "lost_directory";
    const bool damages = item.verb == "rot" || item.verb == "unreadable" ||
                         item.verb == "misdirected_write" || item.verb == "misdirected_read" ||
                         item.verb == "read_error";
    if (!loses && !damages && item.verb != "rollback") return true;
    // Before it has opened again, and repaired itself, the other copy of the same must not be hit.
    const bool hits_a_copy = damages || item.verb == "lost_directory";
    if (!story_.may_lose(seat) || (hits_a_copy && seat.unrepaired)) return false;
    if (item.verb == "rollback") {
      // To an earlier image of the same storage: one that was replaced does not come back.
      const SimTime then = item.at - microseconds(item.get("back"));
      if (!seat.member || seat.lost || seat.member_since > then || !story_.may_roll_back(seat))
        return false;
      story_.promises.forget(seat.member);
      seat.rolled_back = true;
    }
    sim_.tell("world", item.verb + " hits " + seat.member.to_string());
    if (hits_a_copy) seat.unrepaired = true;
    if (damages) {
      seat.damaged = true;
    } else {
      seat.lost = true;
    }
    return true;
  }

  bool strike(const PlanItem& item) {
    if (item.verb == "rot_tail") return rot_tail(item), true;
    if (item.verb == "late") return late_.push_back(&item), true;
    if (item.verb != "again") return false;
    const NodeId from(static_cast<uint32_t>(item.get("from", 1)));
    const NodeId to(static_cast<uint32_t>(item.get("to", 1)));
    if (from.value > story_.seats.size() || to.value > story_.seats.size()) return true;
    for (int64_t i = 0; i < item.get("count", 1); ++i) {
      const Address at{Domain::net_fault, item.id, static_cast<uint64_t>(i)};
      const uint64_t pick = draw(sim_.seed(), at);
      const Slice frame = story_.old_frame(from, to, pick);
      if (frame.empty()) return true;
      sim_.count("fault.again");
      sim_.after(Duration{static_cast<int64_t>(pick % 100'000'000)},
                 [this, frame, to] { deliver(to, frame); });
    }
    return true;
  }

  // The end of a snapshot is on its way: appends from before it, which were lost or held up until now, come at
  // the same time. Of those, the ones to the last that goes further than the snapshot and does not say that
  // all of it is committed.
  void appends_come_late(NodeId from, NodeId to, Index snapshot) {
    if (late_.empty() || faults_.healed()) return;
    const std::deque<SentAppend>& appends = story_.last_appends(from, to);
    const auto end = std::find_if(appends.rbegin(), appends.rend(), [&](const SentAppend& a) {
                       return a.commit < snapshot && a.last > snapshot;
                     }).base();
    if (end == appends.begin()) return;
    SimTime at = sim_.now() + microseconds(late_.front()->get("after"));
    late_.pop_front();
    sim_.count("fault.late");
    for (auto append = appends.begin(); append != end; ++append) {
      sim_.at(at, [this, frame = append->frame, to] { deliver(to, frame); });
      at = at + Duration{1};  // in their order
    }
  }

  // Damages the last block of one copy of the log that has anything in it, and kills the process: what comes
  // up must not take it for a write that never ended.
  void rot_tail(const PlanItem& item) {
    Seat* seat = seat_of(item);
    if (seat == nullptr || seat->lost || faults_.healed() ||
        !permit({item.id, item.at, "rot", {}}, *seat->node))
      return;
    const auto pick = static_cast<uint64_t>(item.get("pick"));
    Storage& storage = seat->node->device().storage();
    const std::string place = pick % 2 == 0 ? "metadata/a/" : "metadata/b/";
    std::string last;  // names ascend by age
    for (const std::string& path : storage.files()) {
      if (path.starts_with(place) && path.ends_with(".log")) last = path;
    }
    if (last.empty()) return;
    const InodeId inode = *storage.find(last);
    for (uint64_t end = storage.size(inode); end >= env::k_block_bytes; end -= env::k_block_bytes) {
      const uint64_t block = end - env::k_block_bytes;
      const Slice bytes = storage.read(inode, block, env::k_block_bytes);
      if (std::ranges::all_of(bytes.view(), [](uint8_t b) { return b == 0; })) continue;
      sim_.count("fault.rot_tail");
      sim_.trace().add(0xb17, block);
      storage.flip(inode, block + pick / 2 % 64, 1);
      seat->node->crash_process();
      return;
    }
  }

  void deliver(NodeId to, const Slice& frame) {
    Seat& seat = story_.seat(to);
    if (seat.driver() == nullptr) return;
    RaftProgram* program = seat.program();
    seat.node->life().arrive(program->heard([program, frame] {
      const ByteView body = frame.view().subspan(k_raft_frame_head_bytes);
      Result<raft::Message> message = decode_raft_message(body);
      ASSERT(message.has_value());
      program->receive(std::move(*message));
    }));
  }

  // --- Operations ------------------------------------------------------------------------------------

  Seat* seat_of(const PlanItem& item) {
    const int64_t node = item.get("node", 1);
    if (node < 1 || static_cast<size_t>(node) > story_.seats.size()) return nullptr;
    return &story_.seat(NodeId(static_cast<uint32_t>(node)));
  }

  void operate(const PlanItem& item) {
    Seat* seat = seat_of(item);
    if (seat == nullptr) return;
    sim_.count("op." + item.verb);
    const NodeId node = seat->node->id();
    if (item.verb == "propose") {
      if (item.get("leader") != 0 && story_.leader() != nullptr) seat = story_.leader();
      const auto count = std::clamp<int64_t>(item.get("count", 1), 1, 100);
      for (int64_t i = 0; i < count; ++i)
        propose(*seat, item.id * k_commands_per_item + static_cast<uint64_t>(i),
                static_cast<size_t>(std::clamp<int64_t>(item.get("bytes"), 0, 100'000)));
    } else if (item.verb == "read") {
      read(*seat);
    } else if (item.verb == "learn") {
      (void)operator_.learn(node);
    } else if (item.verb == "promote") {
      (void)operator_.promote(node);
    } else if (item.verb == "remove") {
      (void)operator_.remove(node);
    } else if (item.verb == "swap") {
      const auto in = static_cast<uint32_t>(
          std::clamp<int64_t>(item.get("in", 1), 1, static_cast<int64_t>(story_.seats.size())));
      (void)operator_.swap(node, NodeId(in));
    } else if (item.verb == "repair") {
      wipe_what_is_lost();
      (void)operator_.repair();
    } else if (item.verb == "transfer") {
      transfer(seat->member);
    } else if (item.verb == "gone") {
      tell_gone(*seat);
    } else if (item.verb == "stop") {
      stop(*seat);
    }
  }

  // Runs `call` in a turn of the seat's process, as a request from outside would; nothing, where it is down.
  template <class F>
  bool ask(Seat& seat, F call) {
    if (seat.driver() == nullptr) return false;
    RaftProgram* program = seat.program();
    seat.node->life().arrive(program->heard([program, call = std::move(call)]() mutable {
      if (!program->stopping()) call(*program);
    }));
    return true;
  }

  using Told = std::function<void(bool committed)>;
  void propose(Seat& seat, uint64_t command, size_t bytes, Told told = nullptr) {
    ask(seat, [this, command, bytes, told = std::move(told)](RaftProgram& program) {
      story_.linearizability.proposed(command);
      program.driver()->propose(
          make_command(command, bytes), program.heard([this, command, told](Result<Index> done) {
            if (done) {
              sim_.count("op.committed");
              story_.linearizability.acknowledged(command, *done);
            } else if (done.error().code == Errc::outcome_unknown) {
              sim_.count("op.unknown");
              story_.linearizability.unknown(command);
            } else {
              sim_.count("op.refused." + std::string(errc_name(done.error().code)));
              story_.linearizability.refused(command);
            }
            if (told) told(done.has_value());
          }));
    });
  }

  void read(Seat& seat, Told told = nullptr) {
    ask(seat, [this, told = std::move(told)](RaftProgram& program) {
      const Index floor = story_.linearizability.floor();
      program.driver()->read(program.heard([this, &program, floor, told](Result<Index> done) {
        if (done) {
          sim_.count("op.read_done");
          // What a client sees is the state, not the index that the driver names.
          if (*done > program.chain().index())
            verdict_.fire("O9", "a read is told an index that is not applied");
          story_.linearizability.read(program.self().to_string(), floor, program.chain().index());
        } else {
          sim_.count("op.read_refused." + std::string(errc_name(done.error().code)));
        }
        if (told) told(done.has_value());
      }));
    });
  }

  void transfer(const raft::MemberId& to) {
    Seat* leader = story_.leader();
    if (leader == nullptr) return;
    ask(*leader, [this, to](RaftProgram& program) {
      sim_.count(program.driver()->transfer(to) ? "op.transfer_begun" : "op.transfer_refused");
    });
  }

  // As whoever saw its connections end and two refusals would: only of a process that is gone.
  void tell_gone(Seat& seat) {
    if (seat.node->alive() || !seat.member) return;
    for (Seat& other : story_.seats) {
      if (&other == &seat) continue;
      ask(other, [member = seat.member](RaftProgram& program) {
        program.driver()->leader_is_gone(member);
      });
    }
  }

  void stop(Seat& seat) {
    if (seat.driver() == nullptr) return;
    RaftProgram* program = seat.program();
    seat.node->life().arrive(program->heard([program] { program->stop(); }));
  }

  // --- The ends of a run -----------------------------------------------------------------------------

  // A storage that counts for nobody any more gets a new disk, and its node comes back as one that nobody
  // knows.
  void wipe_what_is_lost() {
    for (Seat& seat : story_.seats) {
      // What did not open though nothing fails any more has nothing left to lose; what its node knew when it
      // lived nobody acts by.
      const bool gone = healed_ && seat.refusals > 1;
      if (!seat.lost || (!gone && !story_.may_lose(seat))) continue;
      sim_.count("op.wiped");
      sim_.tell("operator", "a new disk for " + seat.node->host());
      seat.node->crash_machine();
      seat.node->device().replace();
      seat.damaged = false;
      seat.refusals = 0;
    }
  }

  // Any quorum that has whole disks, of every configuration that anybody may act by; empty: there is none.
  std::set<NodeId> pick_core() {
    std::vector<NodeId> order;
    for (const Seat& seat : story_.seats) order.push_back(seat.node->id());
    Prng random(mix64(plan_.seed ^ static_cast<uint64_t>(plan_.get("core_seed"))));
    random.shuffle(order);
    std::set<NodeId> core;
    const auto enough = [&] {
      for (const raft::Configuration& c : story_.configurations()) {
        if (!is_quorum(c, [&](const raft::MemberId& id) {
              return core.contains(id.node) && story_.intact(id) && !story_.seat(id.node).damaged;
            }))
          return false;
      }
      return true;
    };
    for (const NodeId node : order) {
      if (enough()) break;
      if (!story_.seat(node).lost && !story_.seat(node).damaged) core.insert(node);
    }
    return enough() ? core : std::set<NodeId>();
  }

  void core_liveness() {
    const std::set<NodeId> core = pick_core();
    if (core.empty()) return sim_.count("op.no_core");
    for (const NodeId node : core) sim_.tell("world", "in the core: n" + node.to_string());
    for (const raft::Configuration& c : story_.configurations()) {
      std::string text = "may act by: voters";
      for (const raft::Member& m : c.voters) text += ' ' + m.id.to_string();
      if (c.joint()) text += ", outgoing";
      for (const raft::Member& m : c.outgoing) text += ' ' + m.id.to_string();
      sim_.tell("world", text);
    }
    operator_.withdraw();
    faults_.heal_core(core);
    isolate_the_rest(core);
    if (!prove("in a core", [&](const Seat& s) { return core.contains(s.node->id()); })) return;
    undisturbed(core);
  }

  // Whoever is outside may be cut off for ever: both ways, or one.
  void isolate_the_rest(const std::set<NodeId>& core) {
    for (Seat& seat : story_.seats) {
      const NodeId out = seat.node->id();
      if (core.contains(out)) continue;
      const uint64_t roll = draw_below(sim_.seed(), {Domain::net_fault, out.value, 1 << 20}, 4);
      for (const NodeId in : core) {
        if (roll == 0 || roll == 1) sim_.network().block(in, out);
        if (roll == 0 || roll == 2) sim_.network().block(out, in);
      }
    }
  }

  // O17: a proposal commits, and each member that `takes_part` names answers a read.
  template <class F>
  bool prove(const char* when, F takes_part) {
    if (!wait_for(bound(), k_pause * 16, [&](const Told& told) {
          for (Seat& s : story_.seats) {
            if (s.driver() == nullptr || !s.driver()->leads()) continue;
            propose(s, k_own_commands + ++own_commands_, 8, told);
          }
        })) {
      if (!over()) verdict_.fire("O17", std::string("nothing commits ") + when);
      return false;
    }
    for (Seat& s : story_.seats) {
      if (!takes_part(s) || !may_read(s)) continue;
      if (wait_for(bound(), k_pause * 4, [&](const Told& told) { read(s, told); })) continue;
      if (!over()) verdict_.fire("O17", s.node->host() + " answers no read " + when);
      return false;
    }
    return true;
  }

  // Asks until one of the questions was answered well. False: not in time.
  template <class F>
  bool wait_for(Duration limit, Duration between, F ask_once) {
    const SimTime end = sim_.now() + limit;
    const auto done = std::make_shared<bool>(false);
    while (!over() && !*done && sim_.now() < end) {
      ask_once([done](bool well) { *done = *done || well; });
      sim_.run_until_true(sim_.now() + between, [&] { return over() || *done; });
    }
    return !over() && *done;
  }

  // Only members that the leader sends to learn how far it is.
  bool may_read(const Seat& s) {
    Seat* leader = story_.leader();
    return s.driver() != nullptr && leader != nullptr &&
           leader->driver()->machine().configuration().find(s.member) != nullptr;
  }

  // O17: whoever is outside cannot depose a leader that a quorum hears, and makes up no terms.
  void undisturbed(const std::set<NodeId>& core) {
    sim_.run_until_true(sim_.now() + timeout() * 12, [this] { return over(); });
    Seat* leader = story_.leader();
    if (over() || leader == nullptr || !core.contains(leader->node->id())) return;
    const raft::MemberId who = leader->member;
    const Term term = story_.highest_term();
    if (leader->driver()->machine().term() != term)
      return;  // somebody's higher term is to come yet
    sim_.count("oracle.undisturbed");
    sim_.run_until_true(sim_.now() + timeout() * 15, [this] { return over(); });
    leader = story_.leader();
    if (over()) return;
    if (story_.highest_term() > term || leader == nullptr || leader->member != who)
      verdict_.fire("O17", "a leader that a quorum hears was disturbed: the highest term was " +
                               term.to_string() + " and is " + story_.highest_term().to_string());
  }

  void converge(const char* when) {
    healed_ = true;
    operator_.all_healed();
    for (Seat& seat : story_.seats) seat.refusals = 0;
    faults_.heal();
    const SimTime end = sim_.now() + bound() * 4;
    std::string missing;
    while (!over() && sim_.now() < end) {
      sim_.run_until_true(sim_.now() + k_pause * 4, [this] { return over(); });
      wipe_what_is_lost();
      if (!operator_.repair()) continue;
      missing = not_converged(story_.seats, story_.leader());
      if (missing.empty()) break;
    }
    if (over()) return;
    if (sim_.now() >= end)
      return verdict_.fire("O16", std::string("no convergence ") + when + ": " +
                                      (missing.empty() ? "the membership is not whole" : missing));
    sim_.count("oracle.converged");
    if (prove(when, [](const Seat&) { return true; })) check_bounds();
  }

  // O18: at rest nobody keeps more than it was told to.
  void check_bounds() {
    const raft::DriverOptions& options = story_.setup.driver;
    const uint64_t entries_max = options.keep_entries + 2 * options.snapshot_entries + 100;
    sim_.run_until_true(sim_.now() + story_.setup.driver.read_wait_max * 3,
                        [this] { return over(); });
    for (const Seat& s : story_.seats) {
      const raft::RaftDriver* driver = s.driver();
      if (driver == nullptr) continue;
      const uint64_t entries =
          driver->machine().last_index().next().value - driver->machine().first_index().value;
      // Who is no member has nobody to tell it what is committed.
      if (entries > entries_max && may_read(s))
        verdict_.fire("O18", s.node->host() + " keeps " + std::to_string(entries) + " entries");
      if (driver->persists_waiting() != 0 || driver->proposals_waiting() != 0 ||
          driver->reads_waiting() != 0)
        verdict_.fire("O18", s.node->host() + " is at rest, and has waiting: writes " +
                                 std::to_string(driver->persists_waiting()) + ", proposals " +
                                 std::to_string(driver->proposals_waiting()) + ", reads " +
                                 std::to_string(driver->reads_waiting()));
    }
  }

  // All end, in different ways; what was there before is there afterwards.
  void restart_all() {
    for (Seat& seat : story_.seats) {
      const uint64_t roll =
          draw_below(sim_.seed(), {Domain::workload, seat.node->id().value, 1 << 20}, 3);
      if (roll == 0) stop(seat);
      if (roll == 1) seat.node->crash_machine();
      if (roll == 2) seat.node->crash_process();
    }
    converge("after all were restarted");
  }

  const Plan& plan_;
  Simulation sim_;
  Verdict verdict_;
  RaftStory story_;
  RaftOperator operator_;
  FaultDriver faults_;
  std::deque<const PlanItem*> late_;  // that wait for a snapshot to be sent
  uint64_t lives_ = 0;
  uint64_t own_commands_ = 0;
  bool healed_ = false;
};

}  // namespace

Outcome RaftWorld::run(const Plan& plan, const RunOptions& options) const {
  return RaftRun(plan, options).run();
}

}  // namespace bascule::sim
