// A member of world `raft` as a simulated process: who it is on its disk, the real store there, the machine,
// its driver and its links. It tells a RaftWatcher what happens.
//
// The data directory holds `identity`, written once when all else is formatted, `incarnation`, replaced at
// each start before anything is sent, and the store. A directory without identity is formatted: as a
// founder's, where the world says that this node founds, else as one that nobody knows (a learner that waits
// to be found). A store that is missing or damaged under an identity is refused: such a member is nobody
// until the operator wipes its disk and replaces it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "sim/world/node.h"
#include "sim/worlds/raft/command_chain.h"
#include "sim/worlds/raft/raft_links.h"
#include "src/raft/disk_store.h"
#include "src/raft/raft_driver.h"

namespace bascule::sim {

class RaftProgram;

struct RaftSetup {
  raft::DriverOptions driver;
  raft::DiskStoreOptions store;
  size_t snapshot_padding = 0;
};

// Who founds the cluster: the member that this node is then, and the others.
struct Founding {
  Uuid storage;
  raft::Configuration configuration;
};

class RaftWatcher {
 public:
  virtual ~RaftWatcher() = default;
  // Set while this node's directory may be formatted as a founder's.
  virtual std::optional<Founding> founding(NodeId node) = 0;
  virtual void opened(RaftProgram&, const raft::StoredState&) {}
  virtual void failed_to_open(RaftProgram&, const Error&) {}
  virtual void started(RaftProgram&) {}
  // Of the store, around the driver's calls.
  virtual void given(RaftProgram&, uint64_t, const raft::Persist&) {}
  virtual void confirmed(RaftProgram&, uint64_t) {}
  virtual void refused(RaftProgram&, uint64_t) {}
  virtual void snapshot_saved(RaftProgram&) {}
  virtual void sending(RaftProgram&, const raft::Message&, const Slice&) {}
  // The chain has taken the entry in; `before` is what it had applied last.
  virtual void applied(RaftProgram&, Index before, Index, Term, raft::EntryKind, ByteView) = 0;
  virtual void restored(RaftProgram&, Index) {}
  virtual void turn_ended(RaftProgram&) {}
};

class RaftProgram final : public Program, public raft::Sender, public raft::StateMachine {
 public:
  RaftProgram(Node& node, env::World& world, const RaftSetup& setup, RaftWatcher& watcher,
              uint64_t life);
  ~RaftProgram() override;

  Node& node() { return node_; }
  uint64_t life() const { return life_; }
  env::World& world() { return world_; }
  const raft::MemberId& self() const { return self_; }
  // Null until it has started.
  raft::RaftDriver* driver() { return driver_.get(); }
  const CommandChain& chain() const { return chain_; }
  const RaftLinks* links() const { return links_.get(); }
  bool stopping() const { return stopping_; }
  // A message comes on a way of its own: a copy, or one that is very late.
  void receive(raft::Message message);
  // Stops the driver and its store; then the process exits.
  void stop();

  // Nothing is heard of a process that died in the very turn that calls.
  template <class F>
  auto heard(F f) const {
    return scope_.wrap([&node = node_, f = std::move(f)](auto&&... args) mutable {
      if (node.alive()) f(std::forward<decltype(args)>(args)...);
    });
  }

  // What an oracle marks about this life.
  struct Seen {
    Term leads;
    Index commit;
    raft::Configuration configuration;
    bool has_configuration = false;
  };
  Seen seen;

 private:
  void read_identity();
  void format();
  void write_identity();
  void next_incarnation();
  void open_store(Incarnation incarnation);
  void begin(raft::OpenedStore opened, Incarnation incarnation);
  void give_up(const Error& why);

  void send(raft::Message message) override;
  Status restore(Index index, const Slice& snapshot) override;
  Status apply(Index index, Term term, raft::EntryKind kind, const Slice& data) override;
  Slice take_snapshot() override { return chain_.snapshot(); }
  void turn_ended() override { watcher_.turn_ended(*this); }

  Node& node_;
  env::World& world_;
  const RaftSetup& setup_;
  RaftWatcher& watcher_;
  const uint64_t life_;
  raft::MemberId self_;
  CommandChain chain_;
  raft::StoredState formatting_;  // what a store is formatted with
  std::unique_ptr<RaftLinks> links_;
  std::unique_ptr<raft::RaftDriver> driver_;
  bool stopping_ = false;
  env::Scope scope_;
};

}  // namespace bascule::sim
