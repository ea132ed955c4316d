// Plays the faults of a plan into a simulation: crashes and restarts, clocks, disks, links. Worlds share it,
// so that a verb means the same everywhere.
//
// Verbs and arguments (node from 1; times in microseconds; absent: 0 or the value named):
//   process_crash node io down      the process is killed; io=n: when the n-th disk operation from then is
//   machine_crash node io down      about to take effect; started again after `down`
//   pause node for, slow_cpu node factor for
//   wall_jump node by, mono_jump node by, drift node ppm
//   sync_kept_dirty, sync_marked_clean, sync_dropped, write_error, read_error, misdirected_write,
//   misdirected_read node           hits the next operation that it can
//   disk_slow node factor for, disk_stuck node for, disk_full node for, no_descriptors node for
//   rot node pick, unreadable node pick                   of what is durable, anywhere
//   lost_directory node pick, replaced node, rollback node back   with a machine crash
//   cut from to for, clog a b for, reset a b, corrupt from to count, refuse from to count,
//   slow_link a b factor for
//   isolate node way for      cut off from all others; way 0: both, 1: hears nobody, 2: nobody hears it
//   split mask for            the nodes whose bits are set (node 1: bit 0), from the others
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string_view>

#include "sim/plan/plan.h"
#include "sim/plan/swarm.h"
#include "sim/world/node.h"

namespace bascule::sim {

class FaultDriver {
 public:
  // Starts the process of a node again; called for each death while the driver keeps nodes up.
  using Restart = std::function<void(Node&)>;
  // Told before a fault takes effect: oracles look at the world here.
  using Observer = std::function<void(const PlanItem&, Node&)>;
  // Asked before a fault of one node takes effect. False: it would be more than the world can bear.
  using Permit = std::function<bool(const PlanItem&, Node&)>;
  // Plays a fault that the world alone knows. False: it does not know it either.
  using OwnVerb = std::function<bool(const PlanItem&)>;

  FaultDriver(Simulation& sim, const Plan& plan, Restart restart);

  // Schedules all faults and takes over the deaths of all nodes. Call once, when the nodes are there.
  void begin();
  void on_fault(Observer observer) { observer_ = std::move(observer); }
  void permit(Permit permit) { permit_ = std::move(permit); }
  void own_verbs(OwnVerb verbs) { own_verbs_ = std::move(verbs); }
  // Called at each death, before the restart is scheduled.
  void on_death(std::function<void(Node&, const Death&)> f) { on_death_ = std::move(f); }
  // Called before a machine crashes, while its operations are in flight: here crash images are sampled.
  void before_crash(std::function<void(Node&)> f) { before_crash_ = std::move(f); }
  // Ends all that lasts and starts what is down: the end of chaos.
  void heal();
  bool healed() const { return healed_; }
  // The same for these nodes and the links between them, for good; the others stay as they are, and what is
  // planned still happens to them.
  void heal_core(const std::set<NodeId>& core);

 private:
  void strike(const PlanItem& item);
  bool strike_process(const PlanItem& item, Node& node);
  bool strike_clock(const PlanItem& item, Node& node);
  bool strike_disk(const PlanItem& item, Node& node);
  bool strike_storage(const PlanItem& item, Node& node);
  bool strike_network(const PlanItem& item);
  bool strike_many_links(const PlanItem& item);
  // Blocks the links that `which` names, for the item's time.
  template <class F>
  void cut_links(const PlanItem& item, F which);
  void crash(const PlanItem& item, Node& node, bool machine);
  void restart_later(Node& node);
  Node* node_of(int64_t number) const;
  // Runs `end` after the item's `for`, or when `a` and `b` (none: everybody) are healed.
  void lasting(const PlanItem& item, env::Task end, const Node* a, const Node* b = nullptr);
  bool is_healed(const Node* node) const;

  Simulation& sim_;
  const Plan& plan_;
  Restart restart_;
  Observer observer_;
  std::function<void(Node&, const Death&)> on_death_;
  std::function<void(Node&)> before_crash_;
  std::map<NodeId, Duration> down_;        // how long the next death lasts
  std::map<uint64_t, Storage> snapshots_;  // by item, of rollbacks to come
  struct Lasting {
    EventId event;
    std::shared_ptr<env::Task> end;
    const Node* a = nullptr;
    const Node* b = nullptr;
  };
  std::vector<Lasting> lasting_;
  std::set<NodeId> core_;
  Permit permit_;
  OwnVerb own_verbs_;
  uint64_t deaths_ = 0;
  bool healed_ = false;
};

// Which classes of faults a world takes part in.
struct FaultMenu {
  uint64_t nodes = 1;
  SimTime from;
  SimTime until;
  bool crashes = true;
  bool failed_syncs = true;
  bool disk_errors = true;   // EIO
  bool damage = true;        // rot, unreadable sectors, misdirected operations
  bool lost_storage = true;  // lost directory, replaced disk
  bool full_disk = true;
  bool slow_disk = true;
  bool clocks = true;
  bool process = true;  // pauses, slow CPU
  bool network = false;
};
void draw_faults(Swarm& swarm, const FaultMenu& menu);

}  // namespace bascule::sim
