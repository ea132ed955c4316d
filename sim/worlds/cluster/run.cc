// One run of world `cluster`: plays the plan, then the proofs.
#include <algorithm>
#include <utility>

#include "capnp/replication_codec.h"
#include "sim/faults/fault_driver.h"
#include "sim/world/life.h"
#include "sim/world/network.h"
#include "sim/worlds/cluster/cluster_clients.h"
#include "sim/worlds/cluster/cluster_operator.h"
#include "sim/worlds/cluster/cluster_proofs.h"
#include "sim/worlds/cluster/cluster_world.h"
#include "sim/worlds/cluster/intruders.h"

namespace bascule::sim {
namespace {

constexpr int k_refusals_max = 5;

class ClusterRun {
 public:
  ClusterRun(const Plan& plan, const RunOptions& options)
      : plan_(plan),
        sim_(plan.seed, options.chooser),
        verdict_(sim_),
        story_(sim_, plan, verdict_),
        clients_(story_),
        operator_(story_),
        faults_(sim_, plan,
                [this](Node& node) {
                  if (Seat* seat = seat_of(node)) start(*seat);
                }),
        proofs_(sim_, story_, clients_, operator_, faults_) {
    if (plan_.get("clone") != 0) sim_.add_node({.host = "clone", .disk = {}});
    sim_.narrate(options.narrate);
    faults_.own_verbs([this](const PlanItem& item) { return strike(item); });
    faults_.permit([this](const PlanItem& item, Node& node) {
      Seat* seat = seat_of(node);
      return seat != nullptr && permit(item, *seat);
    });
    faults_.on_death([this](Node& node, const Death& death) {
      if (Seat* seat = seat_of(node)) story_.died(*seat, death);
    });
  }

  Outcome run() {
    for (const auto& seat : story_.seats) start(*seat);
    faults_.begin();
    for (const PlanItem& item : plan_.operations)
      sim_.at(item.at, [this, &item] {
        if (!over() && !faults_.healed()) operate(item);
      });
    sim_.run_until_true(plan_.end, [this] { return over(); });
    if (!over()) proofs_.core_liveness();
    if (!over()) proofs_.converge("after all was healed");
    if (!over()) intrude();
    if (!over()) proofs_.restart_all();
    for (const auto& seat : story_.seats) seat->node.shut_down();
    sim_.count("op.messages", story_.messages);
    return outcome_of(sim_, verdict_);
  }

 private:
  bool over() const { return verdict_.fired(); }
  // Null: it is none of the cluster's.
  Seat* seat_of(const Node& node) {
    return node.id().value > story_.seats.size() ? nullptr : &story_.seat(node.id());
  }

  // --- Lives -----------------------------------------------------------------------------------------

  controller::ClusterOptions cluster_options(const Seat& seat, const Node& node) const {
    controller::ClusterOptions out;
    out.listen = env::Address{node.host(), k_peers_port};
    for (const auto& other : story_.seats) {
      const env::Address address{other->node.host(), k_peers_port};
      if (seat.joins && other.get() != &seat) out.seeds.push_back(address);
      if (!seat.joins && other->id().value <= story_.founders)
        out.founders.push_back({other->id(), address});
    }
    peers::PeersOptions& peers = out.peers;
    peers.silence_timeout = milliseconds(plan_.get("silence_ms", 3000));
    peers.ping_interval = peers.silence_timeout / 6;
    peers.connect_timeout = milliseconds(300);
    peers.handshake_timeout = milliseconds(600);
    peers.backoff_max = milliseconds(300);
    peers.linger = milliseconds(100);
    return out;
  }

  broker::BrokerOptions options(const Seat& seat, const Node& node,
                                controller::ControllerWatcher* watcher) const {
    broker::BrokerOptions out;
    controller::ControllerOptions& c = out.controller;
    c.node = seat.id();
    c.watcher = watcher;
    c.cluster = cluster_options(seat, node);
    c.store.extent_bytes = static_cast<uint64_t>(plan_.get("extent_bytes", 64 << 10));
    c.store.segment_bytes_max = static_cast<uint64_t>(plan_.get("segment_bytes", 65536)) * 4;
    c.store.reserve_bytes = 64 << 10;
    raft::RaftOptions& raft = c.log.driver.raft;
    raft.heartbeat = microseconds(plan_.get("heartbeat_us", 15000));
    raft.election_timeout_min = raft.heartbeat * 5;
    raft.election_timeout_max = raft.heartbeat * 10;
    raft.append_bytes_max = static_cast<size_t>(plan_.get("append_bytes", 256 << 10));
    raft.snapshot_chunk_bytes = static_cast<size_t>(plan_.get("chunk_bytes", 256 << 10));
    raft.keep_entries = 20;
    c.log.driver.keep_entries = 20;
    c.log.driver.read_wait_max = milliseconds(500);
    c.log.patience = seconds(2);
    c.snapshot_entries = static_cast<uint64_t>(plan_.get("snapshot_entries", 4096));
    out.logs.segment_bytes = static_cast<uint64_t>(plan_.get("segment_bytes", 65536));
    out.logs.reserve_bytes = 8192;  // small, so that damage hits other files
    out.logs.extent_bytes_first = static_cast<uint64_t>(plan_.get("extent_bytes", 65536));
    out.logs.group_bytes_max = static_cast<uint64_t>(plan_.get("group_bytes_max", 1 << 20));
    out.housekeeping_interval = microseconds(plan_.get("housekeeping_us", 1'000'000));
    out.drain_timeout = milliseconds(200);
    out.replication = &replication_codec_;
    out.replica_lag_max = milliseconds(plan_.get("lag_ms", 2000));
    return out;
  }

  std::unique_ptr<ClusterProgram> boot(Seat& seat, Node& node, env::World& world,
                                       controller::ControllerWatcher* watcher,
                                       ClusterProgram::Opened opened) {
    return std::make_unique<ClusterProgram>(node, world, options(seat, node, watcher), story_.codec,
                                            seat.parts, std::move(opened));
  }

  void start(Seat& seat) {
    if (seat.held || seat.node.alive()) return;
    if (sim_.now() < seat.not_before) {
      (void)sim_.after(seat.not_before - sim_.now(), [this, &seat] { start(seat); });
      return;
    }
    if (seat.removed) {
      // Somebody who was taken out for good begins anew, once there is peace.
      if (!faults_.healed()) return;
      if (story_.may_lose(seat)) {
        operator_.wipe(seat);
      } else {
        seat.removed = false;
      }
    }
    story_.starts(seat);
    seat.node.start([this, &seat](env::World& world) {
      return boot(seat, seat.node, world, &seat,
                  [this, &seat](ClusterProgram& program, const Status& opened) {
                    on_opened(seat, program, opened);
                  });
    });
  }

  void on_opened(Seat& seat, ClusterProgram& program, const Status& opened) {
    story_.look_at_damage();
    if (!opened) return on_refused(seat, opened.error());
    sim_.count("op.opened");
    seat.refusals = 0;
    if (std::exchange(seat.clean_exit, false) && !program.broker()->logs().clean_start() &&
        seat.node.device().damage().empty() && !seat.reads_failed)
      verdict_.fire("O1", "a clean stop of " + seat.node.host() + " was not taken for one");
    if (!std::exchange(settings_made_, true))
      settings_made_ = operator_.set_session_timeout(milliseconds(plan_.get("session_ms", 3000)));
    for (const auto& [id, known] : story_.streams) {
      for (uint32_t p = 0; p < known.replicas.size(); ++p)
        if (std::ranges::find(known.replicas[p], seat.id()) != known.replicas[p].end() &&
            !known.delete_tried)
          clients_.read_whole({id, PartitionIndex(p)}, [](bool) {});
    }
  }

  // What may be over with the next start ends the process; a disk that it cannot work with is the operator's.
  void on_refused(Seat& seat, const Error& why) {
    sim_.count("op.refused_to_open." + std::string(errc_name(why.code)));
    sim_.tell(seat.node.host(), "does not open: " + why.to_string());
    seat.clean_exit = false;  // it may have begun to write
    const bool nothing = why.code == Errc::corrupt || why.code == Errc::not_found ||
                         why.code == Errc::unsupported || why.code == Errc::invalid;
    if (nothing && !seat.damaged && !seat.lost)
      verdict_.fire("O8", seat.node.host() +
                              " refuses its disk, and nothing has damaged it: " + why.to_string());
    if (why.code == Errc::fenced && seat.lost) seat.joins = true;
    if ((nothing || seat.damaged) && ++seat.refusals >= k_refusals_max) {
      seat.lost = true;
      story_.lose_logs(seat);
    }
    seat.node.exit();
  }

  // After the chaos: nothing fails, all brokers are there.
  void intrude() {
    Intruders intruders(sim_, story_);
    const auto boot_as = [this](Seat& seat) {
      return [this, &seat](Node& node, env::World& world, controller::ControllerWatcher* watcher,
                           ClusterProgram::Opened opened) -> std::unique_ptr<Program> {
        return boot(seat, node, world, watcher, std::move(opened));
      };
    };
    if (const int64_t n = plan_.get("clone"); n != 0) {
      Seat& seat = story_.seat(NodeId(static_cast<uint32_t>(n)));
      // Alone it is a majority: nobody can tell a copy of the only voter from its restart.
      const raft::Configuration& voting = seat.driver()->machine().configuration();
      if (voting.voters.size() > 1 || !voting.is_voter(seat.member))
        intruders.clone(seat, sim_.node(story_.seats.size()), boot_as(seat));
    }
    if (const int64_t n = plan_.get("other_cluster"); n != 0 && !over()) {
      Seat& seat = story_.seat(NodeId(static_cast<uint32_t>(n)));
      if (!story_.may_lose(seat)) return;
      seat.held = true;
      intruders.other_cluster(seat, boot_as(seat));
      seat.held = false;
      if (!seat.node.alive()) start(seat);
    }
  }

  // --- Faults ----------------------------------------------------------------------------------------

  // What would leave no quorum of whole disks is not done: beyond that nothing can be promised.
  bool permit(const PlanItem& item, Seat& seat) {
    const bool loses = item.verb == "replaced" || item.verb == "lost_directory";
    const bool damages = item.verb == "rot" || item.verb == "unreadable" ||
                         item.verb == "misdirected_write" || item.verb == "misdirected_read" ||
                         item.verb == "read_error";
    if (item.verb == "read_error" || item.verb == "misdirected_read") seat.reads_failed = true;
    if (item.verb == "sync_dropped") seat.cache_dropped = true;
    if (item.verb == "disk_full") seat.disk_was_full = true;
    if (!loses && !damages && item.verb != "rollback") return true;
    // Before it has opened again, and repaired itself, the other copy of the same must not be hit.
    const bool hits_a_copy = damages || item.verb == "lost_directory";
    if (!story_.may_lose(seat) || operator_.in_doubt() || (hits_a_copy && seat.unrepaired))
      return false;
    if (item.verb == "rollback") {
      // To an earlier image of the same storage: one that was replaced does not come back.
      const SimTime then = item.at - microseconds(item.get("back"));
      if (!seat.member || seat.lost || seat.member_since > then || !story_.may_roll_back(seat))
        return false;
      story_.promises.forget(seat.member);
      story_.goes_back(seat, then);
      seat.rolled_back = true;
    }
    sim_.tell("world", item.verb + " hits " + seat.member.to_string());
    if (hits_a_copy) seat.unrepaired = true;
    if (damages) {
      seat.damaged = true;
    } else {
      seat.lost = true;
      // A list of one founder would found again.
      if (story_.founders == 1) seat.joins = true;
    }
    return true;
  }

  // A message that was sent some time ago comes again, or a command that was committed is proposed again.
  bool strike(const PlanItem& item) {
    if (item.verb != "again") return false;
    const NodeId from(static_cast<uint32_t>(item.get("from", 1)));
    const NodeId to(static_cast<uint32_t>(item.get("to", 1)));
    if (from.value > story_.seats.size() || to.value > story_.seats.size()) return true;
    for (int64_t i = 0; i < item.get("count", 1); ++i) {
      const Address at{Domain::net_fault, item.id, static_cast<uint64_t>(i)};
      const uint64_t pick = draw(sim_.seed(), at);
      const raft::Message* message = story_.old_message(from, to, pick);
      if (message == nullptr) return true;
      sim_.count("fault.again");
      if (pick % 3 == 0) propose_again(story_.old_command(pick / 3));
      sim_.after(Duration{static_cast<int64_t>(pick % 500'000'000)},
                 [this, message = *message, to] { deliver(to, message); });
    }
    return true;
  }

  // As a forwarded request that was on its way for long.
  void propose_again(const Slice& entry) {
    Seat* leader = story_.leader();
    if (leader == nullptr || entry.empty()) return;
    leader->node.life().arrive(leader->program()->heard([leader, entry] {
      if (leader->controller != nullptr)
        leader->controller->log().append_forwarded(entry, [](const Status&) {});
    }));
  }

  void deliver(NodeId to, const raft::Message& message) {
    Seat& seat = story_.seat(to);
    if (seat.driver() == nullptr) return;
    seat.node.life().arrive(seat.program()->heard([&seat, message] {
      if (seat.controller != nullptr) seat.controller->log().receive(message);
    }));
  }

  // --- Operations ------------------------------------------------------------------------------------

  void operate(const PlanItem& item) {
    const auto n = static_cast<int64_t>(story_.seats.size());
    const NodeId node(static_cast<uint32_t>(std::clamp<int64_t>(item.get("node", 1), 1, n)));
    if (item.verb == "add") {
      const int64_t out = item.get("replaces");
      const NodeId replaces(out > n || out < 0 ? 0 : static_cast<uint32_t>(out));
      return count_if(item, operator_.add(node, replaces == node ? NodeId() : replaces));
    }
    if (item.verb == "remove") return count_if(item, operator_.remove(node));
    if (item.verb == "transfer") return count_if(item, operator_.transfer(node));
    if (item.verb == "repair") {
      operator_.wipe_what_is_lost();
      return count_if(item, operator_.repair());
    }
    if (item.verb == "stop") return count_if(item, stop(story_.seat(node)));
    clients_.play(item);
  }

  void count_if(const PlanItem& item, bool done) {
    if (done) sim_.count("op." + item.verb);
  }

  bool stop(Seat& seat) {
    if (seat.broker() == nullptr) return false;
    ClusterProgram* program = seat.program();
    seat.node.life().arrive(program->heard([this, &seat, program] {
      program->stop([this, &seat, program](const Status& stopped) {
        sim_.count(stopped ? "op.stopped" : "op.stop_failed");
        seat.clean_exit = stopped.has_value() && program->broker()->logs().writable();
      });
    }));
    return true;
  }

  const Plan& plan_;
  const capnp_codec::ReplicationCodec replication_codec_;
  Simulation sim_;
  Verdict verdict_;
  ClusterStory story_;
  ClusterClients clients_;
  ClusterOperator operator_;
  FaultDriver faults_;
  ClusterProofs proofs_;
  bool settings_made_ = false;
};

}  // namespace

Outcome ClusterWorld::run(const Plan& plan, const RunOptions& options) const {
  return ClusterRun(plan, options).run();
}

}  // namespace bascule::sim
