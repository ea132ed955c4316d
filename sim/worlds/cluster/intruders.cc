#include "sim/worlds/cluster/intruders.h"

#include <string>
#include <utility>

namespace bascule::sim {
namespace {

// An earlier life's connections would have ended by then, and what looks like it must have given up.
constexpr Duration k_clone_lives_max = seconds(15);
constexpr Duration k_stranger_waits = seconds(3);
constexpr Duration k_look_again = milliseconds(100);

// Puts another cluster's id in the file that says who a directory is.
void rewrite_cluster(Storage& storage, const Uuid& cluster, Uuid* before) {
  const InodeId inode = *storage.find("identity");
  const Slice old = storage.read(inode, 0, static_cast<size_t>(storage.size(inode)));
  controller::Identity identity = *controller::decode_identity(old);
  if (before != nullptr) *before = identity.cluster;
  identity.cluster = cluster;
  ASSERT(storage.write_direct(inode, 0, controller::encode_identity(identity)).has_value());
  storage.sync(inode, storage.sequence());
}

// Keeps the controller of a broker that is none of the cluster's.
class Stranger final : public controller::ControllerWatcher {
 public:
  void store_opened(const raft::MemberId&, raft::OpenedStore&) override {}
  void joined(controller::Controller& which) override { controller = &which; }
  void left(controller::Controller&) override { controller = nullptr; }

  controller::Controller* controller = nullptr;
};

}  // namespace

void Intruders::clone(const Seat& original, Node& beside, const Boot& boot) {
  if (original.broker() == nullptr) return;
  sim_.count("op.cloned");
  sim_.tell("world", "a clone of " + original.node.host());
  // What is on the medium: the copy was made while the original was at work.
  beside.device().roll_back(original.node.device().storage().worst_image());
  bool opened = false;
  beside.start([&](env::World& world) {
    return boot(beside, world, nullptr,
                [&opened](ClusterProgram&, const Status& s) { opened = opened || s; });
  });
  sim_.run_until_true(sim_.now() + k_clone_lives_max,
                      [&] { return story_.verdict.fired() || opened || !beside.alive(); });
  if (opened) story_.verdict.fire("O4", "a clone of a living broker was let in");
  if (beside.alive() && !story_.verdict.fired())
    story_.verdict.fire("O4", "a clone of a living broker goes on");
  beside.shut_down();
}

void Intruders::other_cluster(Seat& seat, const Boot& boot) {
  sim_.count("op.other_cluster");
  sim_.tell("world", seat.node.host() + " has another cluster's disk");
  seat.node.crash_machine();
  Storage& storage = seat.node.device().storage();
  Uuid before;
  rewrite_cluster(storage, Uuid{{0xabc, 0xdef}}, &before);
  Stranger stranger;
  bool opened = false;
  seat.node.start([&](env::World& world) {
    return boot(seat.node, world, &stranger,
                [&opened](ClusterProgram&, const Status& s) { opened = opened || s; });
  });
  const SimTime end = sim_.now() + k_stranger_waits;
  while (seat.node.alive() && sim_.now() < end && !story_.verdict.fired()) {
    sim_.run_until_true(sim_.now() + k_look_again,
                        [&] { return story_.verdict.fired() || !seat.node.alive(); });
    bool connected = opened;
    for (const auto& other : story_.seats) {
      if (stranger.controller == nullptr || !seat.node.alive()) break;
      connected = connected || stranger.controller->cluster_peers()->peers().connected(
                                   other->id(), peers::Channel::control);
    }
    if (connected) story_.verdict.fire("O4", "a broker of another cluster was let in");
  }
  seat.node.crash_machine();
  rewrite_cluster(storage, before, nullptr);
}

}  // namespace bascule::sim
