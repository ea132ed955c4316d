#include "sim/worlds/raft/raft_program.h"

#include <utility>

#include "src/controller/identity.h"

namespace bascule::sim {
namespace {

constexpr uint64_t k_identity_bytes_max = 64 << 10;
constexpr Uuid k_cluster{{0xc1, 0xc1}};

// Tells the watcher what the store is asked and answers.
class WatchedStore final : public raft::Store {
 public:
  WatchedStore(RaftProgram& program, RaftWatcher& watcher, std::unique_ptr<raft::Store> store)
      : program_(program), watcher_(watcher), store_(std::move(store)) {}

  void persist(raft::Persist persist, env::Done<void> done) override {
    const uint64_t number = ++number_;
    watcher_.given(program_, number, persist);
    store_->persist(std::move(persist), [this, number, done = std::move(done)](Status s) mutable {
      if (program_.node().alive()) {
        if (s) {
          watcher_.confirmed(program_, number);
        } else if (s.error().code == Errc::no_space) {
          watcher_.refused(program_, number);
        }
      }
      done(std::move(s));
    });
  }
  void save_snapshot(raft::Snapshot snapshot, uint64_t keep, env::Done<void> done) override {
    store_->save_snapshot(std::move(snapshot), keep,
                          [this, done = std::move(done)](Status s) mutable {
                            if (s && program_.node().alive()) watcher_.snapshot_saved(program_);
                            done(std::move(s));
                          });
  }
  void lend_reserve(env::Done<void> done) override { store_->lend_reserve(std::move(done)); }
  void stop(env::Done<void> done) override { store_->stop(std::move(done)); }

 private:
  RaftProgram& program_;
  RaftWatcher& watcher_;
  std::unique_ptr<raft::Store> store_;
  uint64_t number_ = 0;
};

}  // namespace

RaftProgram::RaftProgram(Node& node, env::World& world, const RaftSetup& setup,
                         RaftWatcher& watcher, uint64_t life)
    : node_(node),
      world_(world),
      setup_(setup),
      watcher_(watcher),
      life_(life),
      self_{node.id(), {}},
      chain_(setup.snapshot_padding) {
  world_.disk.lock(heard([this](Status s) {
    if (!s) return world_.loop.fail_stop(s.error());
    read_identity();
  }));
}

RaftProgram::~RaftProgram() = default;

// --- The start -------------------------------------------------------------------------------------

void RaftProgram::read_identity() {
  env::read_file(world_.disk, "identity", k_identity_bytes_max, heard([this](Result<Slice> file) {
                   if (!file && file.error().code == Errc::not_found) return format();
                   if (!file) return give_up(file.error());
                   const auto identity = controller::decode_identity(*file);
                   if (!identity) return give_up(identity.error());
                   self_.storage = identity->storage;
                   next_incarnation();
                 }));
}

void RaftProgram::format() {
  const auto founding = watcher_.founding(node_.id());
  if (founding) {
    self_.storage = founding->storage;
    formatting_ = raft::Raft::bootstrap(founding->configuration);
  } else {
    self_.storage = world_.random.uuid();
  }
  raft::format_raft_store(world_, setup_.store, self_.storage, formatting_,
                          heard([this](Status formatted) {
                            if (!formatted) return give_up(formatted.error());
                            write_identity();
                          }));
}

void RaftProgram::write_identity() {
  const Bytes file = controller::encode_identity({node_.id(), self_.storage, k_cluster});
  env::replace_file(world_.disk, "", "identity", Slice::copy_of(file), heard([this](Status s) {
                      if (!s) return give_up(s.error());
                      next_incarnation();
                    }));
}

void RaftProgram::next_incarnation() {
  env::read_file(world_.disk, "incarnation", k_identity_bytes_max,
                 heard([this](Result<Slice> file) {
                   Incarnation last;
                   if (file) {
                     const auto persisted = controller::decode_incarnation(self_.storage, *file);
                     if (!persisted) return give_up(persisted.error());
                     last = persisted->incarnation;
                   } else if (file.error().code != Errc::not_found) {
                     return give_up(file.error());
                   }
                   const Incarnation mine = last.next();
                   const Bytes next = controller::encode_incarnation(self_.storage, {mine, false});
                   env::replace_file(world_.disk, "", "incarnation", Slice::copy_of(next),
                                     heard([this, mine](Status s) {
                                       if (!s) return give_up(s.error());
                                       open_store(mine);
                                     }));
                 }));
}

void RaftProgram::open_store(Incarnation incarnation) {
  raft::open_raft_store(world_, setup_.store, self_.storage,
                        heard([this, incarnation](Result<raft::OpenedStore> opened) {
                          if (!opened) return give_up(opened.error());
                          begin(std::move(*opened), incarnation);
                        }));
}

void RaftProgram::begin(raft::OpenedStore opened, Incarnation incarnation) {
  opened.state.incarnation = incarnation;
  watcher_.opened(*this, opened.state);
  links_ = std::make_unique<RaftLinks>(
      world_, node_.host(), [this](raft::Message message) { receive(std::move(message)); });
  driver_ = std::make_unique<raft::RaftDriver>(
      world_.loop, self_, setup_.driver, std::move(opened.state),
      std::make_unique<WatchedStore>(*this, watcher_, std::move(opened.store)),
      Prng(world_.random.next()), *this, *this);
  if (const Status s = driver_->start(); !s) return world_.loop.fail_stop(s.error());
  watcher_.started(*this);
}

// What may be over with the next start ends the process; the watcher decides about the rest.
void RaftProgram::give_up(const Error& why) { watcher_.failed_to_open(*this, why); }

// --- At work ---------------------------------------------------------------------------------------

void RaftProgram::receive(raft::Message message) {
  if (driver_ && node_.alive()) driver_->receive(std::move(message));
}

void RaftProgram::send(raft::Message message) {
  if (!node_.alive()) return;
  Slice frame = encode_raft_frame(message);
  watcher_.sending(*this, message, frame);
  links_->send(message.to.node, std::move(frame));
}

Status RaftProgram::restore(Index index, const Slice& snapshot) {
  if (!node_.alive()) return {};
  BASCULE_TRY(chain_.restore(index, snapshot));
  watcher_.restored(*this, index);
  return {};
}

Status RaftProgram::apply(Index index, Term term, raft::EntryKind kind, const Slice& data) {
  if (!node_.alive()) return {};
  const Index before = chain_.index();
  chain_.apply(index, term, kind, data);
  watcher_.applied(*this, before, index, term, kind, data);
  return {};
}

void RaftProgram::stop() {
  if (!driver_ || stopping_) return;
  stopping_ = true;
  driver_->stop(heard([this](Status s) {
    if (!s) return world_.loop.fail_stop(s.error());
    node_.exit();
  }));
}

}  // namespace bascule::sim
