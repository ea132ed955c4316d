// The storage of one machine in time: latencies, operations in flight, and planted faults. It survives the
// lives of the process; each life sees it through a SimDisk.
//
// An operation takes effect and completes at one moment, some time after its start. A crash finds some in
// flight: a dead process's direct writes may land later, in part or not at all; others were done or not.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/world/simulation.h"
#include "sim/world/storage.h"

namespace bascule::sim {

class Life;

struct DiskOptions {
  uint64_t bytes_max = uint64_t{1} << 30;
  // Latencies are uniform in [x / 2, 2 x]; one operation in 64 takes ten times as long.
  Duration cached = microseconds(4);  // page cache and names
  Duration read = microseconds(60);
  Duration direct = microseconds(110);  // plus the bytes at 2 GB/s
  Duration sync = microseconds(180);
  bool fixed_latency = false;  // exactly the values above: for exhaustive runs
};

// Faults that wait for the next operation that they can hit.
enum class DiskFault : uint8_t {
  sync_kept_dirty,  // a failed sync, in its three flavours
  sync_marked_clean,
  sync_dropped,
  write_error,        // EIO; a direct write may have landed in part
  read_error,         // EIO, once
  misdirected_write,  // lands elsewhere in the same file; the place meant keeps its old bytes
  misdirected_read,   // gives the bytes of another place of the file
};
std::string_view disk_fault_name(DiskFault fault);

// Where the plan has damaged what was durable: what oracles allow to be lost.
struct Damage {
  enum class Kind : uint8_t {
    rot,
    unreadable,
    failed_read,
    misdirected,
    lost_directory,
    replaced,
    rolled_back
  };
  Kind kind = Kind::rot;
  std::string path;  // at the time of the damage
  InodeId inode = 0;
  uint64_t position = 0;
  uint64_t size = 0;
  SimTime at;
};

class Device {
 public:
  Device(Simulation& sim, NodeId node, const DiskOptions& options);

  Storage& storage() { return storage_; }
  const Storage& storage() const { return storage_; }
  Uuid boot_id() const { return boot_id_; }

  // --- Faults.
  void arm(DiskFault fault) { armed_.push_back(fault); }
  // No operation is under way: not even a dead life's write, which may still land.
  bool quiet() const { return in_flight_.empty(); }
  size_t armed() const { return armed_.size(); }
  void disarm_all() { armed_.clear(); }
  // All operations take `factor` times as long. 1: normal.
  void set_slowness(int64_t factor) { slowness_ = factor; }
  // Operations begin and do not end until it is unstuck.
  void set_stuck(bool stuck);
  // Another tenant takes the free space, or gives it back.
  void set_full(bool full);
  // The process has no descriptor left: opening and listing are refused.
  void set_descriptors_out(bool out) { descriptors_out_ = out; }
  // Runs `task` when the `count`-th operation from now is about to take effect: crashes that hit the
  // moments that matter.
  void at_operation(uint64_t count, env::Task task);
  // Damages a durable byte of some file. `pick` selects the place. False: nothing is there to damage.
  bool rot(uint64_t pick, std::string_view path_suffix = {});
  bool spoil(uint64_t pick, std::string_view path_suffix = {});
  // One directory is gone. Only while no life is there.
  bool lose_directory(uint64_t pick);
  void replace();
  // The storage as it is now, and back to it.
  Storage snapshot() const { return storage_; }
  void roll_back(const Storage& earlier);
  const std::vector<Damage>& damage() const { return damage_; }
  // Syncs that have failed: what a process wrote may be gone though the machine runs on.
  uint64_t sync_failures() const { return sync_failures_; }

  // A legal image of a machine crash at this moment, operations in flight included.
  Storage crash_image(Chooser& chooser, uint64_t address) const;

  // --- For Node.
  void process_died(Life& life);
  void power_loss();

 private:
  friend class SimDisk;
  friend class SimFile;

  // One operation between its start and its end.
  class Operation {
   public:
    virtual ~Operation() = default;
    // Takes effect on the storage and forms the result.
    virtual void perform(Device& device) = 0;
    // Gives the result to whoever asked. In a turn of the life.
    virtual void complete() = 0;
    // The process has died before it was performed.
    virtual void orphaned(Device& device, uint64_t number);
    Duration latency;
    bool done_wanted = true;
  };
  struct InFlight {
    std::unique_ptr<Operation> operation;
    Life* life = nullptr;  // null: the life is over; a direct write that may still land
    EventId event;
  };
  class OrphanWrite;
  class WriteOperation;
  class ReadOperation;
  class SyncOperation;
  class SyncDirOperation;
  class LockOperation;
  template <class T>
  class CallOperation;

  void start(Life* life, std::unique_ptr<Operation> operation, Duration base);
  void schedule(uint64_t number, Duration latency);
  void finish(uint64_t number);
  void spring_traps();
  Status take_descriptor() const {
    if (descriptors_out_) return fail(Errc::overloaded, "too many open files");
    return {};
  }
  bool take_armed(DiskFault fault);
  uint64_t draw_number(Domain domain, uint64_t ordinal, uint64_t bound) const;
  std::vector<Storage::Flight> flights() const;
  bool pick_place(uint64_t pick, std::string_view suffix, Damage& out) const;
  void reboot();

  Simulation& sim_;
  NodeId node_;
  EventSource source_;
  DiskOptions options_;
  Storage storage_;
  Uuid boot_id_;
  uint64_t boots_ = 0;
  uint64_t operations_ = 0;
  uint64_t crashes_ = 0;
  std::map<uint64_t, InFlight> in_flight_;
  std::vector<DiskFault> armed_;
  std::vector<Damage> damage_;
  uint64_t sync_failures_ = 0;
  int64_t slowness_ = 1;
  bool stuck_ = false;
  bool descriptors_out_ = false;
  std::vector<uint64_t> parked_;
  struct Trap {
    uint64_t count = 0;
    env::Task task;
  };
  std::vector<Trap> traps_;
  // The lock of the data directory: the SimDisk that holds it, or when the kernel lets go of it.
  const void* lock_holder_ = nullptr;
  SimTime lock_free_at_;
};

}  // namespace bascule::sim
