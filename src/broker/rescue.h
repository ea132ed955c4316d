// A cluster that has lost a majority of its controllers for good: one survivor goes on, by the operator's word.
//
// Offline, on the data directory of a stopped broker whose lock the caller holds:
//
//   inspect_survivor    who it is and how far its metadata go: the operator picks the furthest of all survivors
//   rescue              that one becomes the sole voter of a new cluster id, with the metadata that it knows
//   let_rejoin          another survivor forgets its cluster and keeps its messages: it joins the rescued one
//
// Why a new id: the voters that were lost may be not. Were they to come back, they would be a majority of the old
// configuration and decide on; under another id neither side listens to the other. Why the log's whole end
// counts, also what was perhaps never committed: it may have been, and been told to somebody.
//
// What it writes takes effect step by step, each durable before the next: the new store beside the old one; the
// old one aside, kept; the new one in its place; the identity. A rescue that was cut short is finished by the
// next inspect_survivor or rescue; until then the broker does not start, and says why. docs/rescue.md is the page
// for operators.
#pragma once

#include <string>
#include <vector>

#include "src/base/ids.h"
#include "src/controller/command_codec.h"
#include "src/controller/identity.h"
#include "src/env/world.h"
#include "src/raft/disk_store.h"

namespace bascule::broker {

struct Survivor {
  controller::Identity identity;
  // The end of its log: of two survivors the one with the greater (term, index) knows more.
  Term last_term;
  Index last_index;
  raft::Configuration configuration;  // the last that its log has
  uint64_t streams = 0;
  uint64_t partitions = 0;
  std::vector<controller::RescueRecord> rescues;
};

struct RescueRequest {
  // Voters that the operator declares lost for good. Those that are left must be too few to decide, and none
  // of these may answer.
  std::vector<NodeId> lost;
  WallTime decided;
};

// Errors of all three: `corrupt` (damaged or incomplete: names what), `invalid` (a directory that belongs to no
// cluster), `io_error`, `no_space`, `unsupported`.
void inspect_survivor(env::World& world, raft::DiskStoreOptions store,
                      const controller::CommandCodec& codec, env::Done<Survivor> done);
// Gives the new cluster's id. `invalid`: enough voters are not named as lost, or the broker is no member;
// `busy`: one that is named as lost answers at its address.
void rescue(env::World& world, raft::DiskStoreOptions store, const controller::CommandCodec& codec,
            RescueRequest request, env::Done<Uuid> done);
void let_rejoin(env::World& world, raft::DiskStoreOptions store, env::Done<void> done);

// "node 2", "nodes 2, 3".
std::string nodes_text(const std::vector<NodeId>& nodes);

}  // namespace bascule::broker
