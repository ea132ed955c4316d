// One node's place in the cluster of world `cluster`: what is known of its disk over all its lives, and of the
// member of the metadata's group that lives on it now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/world/keyed_authenticator.h"
#include "sim/worlds/cluster/cluster_program.h"
#include "sim/worlds/cluster/watched_store.h"

namespace bascule::sim {

class ClusterStory;

inline constexpr uint16_t k_peers_port = 7000;

// Of one life: what an oracle marks about it.
struct SeenOfLife {
  uint64_t life = 0;  // numbers the members that ever began, of all seats
  EntryMirror entries;
  Index applied;
  uint64_t chain = 0;  // over what is applied
  Term leads;
  Index commit;
  std::optional<raft::Configuration> configuration;
  Index table;  // its table, when it was looked at last
};

class Seat final : public controller::ControllerWatcher, public StoreWatcher {
 public:
  Seat(ClusterStory& its_story, Node& its_node, const peers::PeerCodec& peer_codec,
       const controller::PeerMessageCodec& message_codec, uint64_t secret, uint64_t seed)
      : story(its_story),
        node(its_node),
        authenticator(secret, seed),
        parts{peer_codec, message_codec, authenticator} {}

  NodeId id() const { return node.id(); }
  std::string address() const { return node.host() + ":" + std::to_string(k_peers_port); }
  ClusterProgram* program() const { return static_cast<ClusterProgram*>(node.program()); }
  // Null: no process is there, or it is not open, or it stops.
  broker::Broker* broker() const {
    ClusterProgram* p = program();
    return p == nullptr || !p->serves() ? nullptr : p->broker();
  }
  // Null: no process is there that takes part in the metadata's group.
  const raft::RaftDriver* driver() const {
    return controller == nullptr || !node.alive() ? nullptr : &controller->log().driver();
  }

  ClusterStory& story;
  Node& node;
  KeyedAuthenticator authenticator;
  const controller::ClusterParts parts;
  bool joins = false;    // it is started with seeds, not with the founders
  bool removed = false;  // the operator has taken it out of the cluster
  bool held = false;     // its process is not started again for now

  // --- The member on its disk.
  raft::MemberId member;  // who it was when its store was opened last; none: never
  SimTime member_since;
  Incarnation incarnation;
  // Its storage is wiped, rolled back, or refused to open: it counts for nobody until its disk is new and a
  // membership change has taken the new member in.
  bool lost = false;
  bool rolled_back = false;  // it opens, and is lost
  bool damaged = false;      // the plan has hit its disk
  bool unrepaired = false;   // since it was opened last
  int refusals = 0;          // starts in a row that failed for what is on the disk
  std::vector<raft::Configuration> configurations;  // all that ever were in force there
  Term term;                                        // the highest that was seen there

  // --- Its streams.
  bool logs_lost = false;      // the file over all logs is damaged: none of them is sure
  SimTime logs_lost_at;        // when all that it held went last
  bool reads_failed = false;   // a read of the medium failed once
  bool cache_dropped = false;  // a failed sync has thrown pages out of the cache
  bool disk_was_full = false;
  bool clean_exit = false;  // the last life ended with a clean stop
  size_t damage_seen = 0;
  Uuid boot;  // of the machine, at the last start

  // --- This life.
  controller::Controller* controller = nullptr;  // null: it takes no part in the metadata's group
  SeenOfLife seen;

 private:
  void store_opened(const raft::MemberId& self, raft::OpenedStore& opened) override;
  void joined(controller::Controller& which) override;
  void left(controller::Controller& which) override;
  void given(uint64_t number, const raft::Persist& persist) override;
  void confirmed(uint64_t number) override;
  void refused(uint64_t number) override;
};

}  // namespace bascule::sim
