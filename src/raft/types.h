// What Raft's machine, its store and its driver speak of: members, configurations, entries, hard state.
//
// A voter is a (node id, storage id) pair: a node that comes back with another storage (wiped, swapped) is
// another member, and neither votes nor counts until a membership change replaces the old one.
// Sources: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), called "the
// paper"; Ongaro, "Consensus: Bridging Theory and Practice" (2014), called "the thesis".
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"

namespace bascule::raft {

struct MemberId {
  NodeId node;   // 0: nobody
  Uuid storage;  // made when the data directory was formatted

  constexpr auto operator<=>(const MemberId&) const = default;
  constexpr explicit operator bool() const { return static_cast<bool>(node); }
  std::string to_string() const;  // "3:1a2b3c4d", node and the storage id's first digits
};

struct Member {
  MemberId id;
  std::string address;  // where its peers listener is, "HOST:PORT"; Raft itself only keeps it

  bool operator==(const Member&) const = default;
};

// Who votes, who listens. Joint while `outgoing` is not empty: then a majority of `voters` and a majority
// of `outgoing` must agree (paper §6, thesis §4.3). All lists ascend by id; `learners` holds no voter of
// either set. One node appears at most once in each. `demoted`: those of `outgoing`, and not of `voters`,
// that are learners once the joint configuration is left.
struct Configuration {
  std::vector<Member> voters;
  std::vector<Member> outgoing;
  std::vector<Member> learners;
  std::vector<Member> demoted;

  bool operator==(const Configuration&) const = default;
  bool joint() const { return !outgoing.empty(); }
  bool is_voter(const MemberId& id) const;  // of either set
  bool is_learner(const MemberId& id) const;
  const Member* find(const MemberId& id) const;
  // All members once, ascending.
  std::vector<Member> all() const;
  // Bounds, order, disjointness; `invalid` names what is wrong.
  Status check() const;
};

inline constexpr size_t k_voters_max = 7;
inline constexpr size_t k_members_max = 1000;  // learners included
inline constexpr size_t k_address_bytes_max = 300;

enum class EntryKind : uint8_t {
  empty = 0,    // a leader's first of its term (thesis §6.4)
  command = 1,  // opaque to Raft
  configuration = 2,
};

// Never changes once it is in the log at an index under a term.
struct Entry {
  Term term;
  EntryKind kind = EntryKind::empty;
  Slice data;  // of a configuration entry: encode_configuration

  // Bytes that it counts for in every bound.
  size_t cost() const { return data.size() + 32; }
};
bool operator==(const Entry& a, const Entry& b);

Bytes encode_configuration(const Configuration& configuration);
// `corrupt`, `unsupported`.
Result<Configuration> decode_configuration(ByteView bytes);

// What must be synced before anything that depends on it leaves.
struct HardState {
  Term term;
  MemberId vote;  // of this term; none: not voted

  bool operator==(const HardState&) const = default;
};

struct SnapshotMeta {
  Index index;                  // the last entry that it covers; 0: there is no snapshot
  Term term;                    // of that entry
  Configuration configuration;  // as of it

  bool operator==(const SnapshotMeta&) const = default;
};

struct Snapshot {
  SnapshotMeta meta;
  Slice data;  // opaque: the state machine's
};

// All that a store holds: what a machine starts from.
struct StoredState {
  HardState hard;
  Snapshot snapshot;           // meta.index 0: none
  std::vector<Entry> entries;  // the first has index snapshot.meta.index + 1
  Incarnation incarnation;     // of this process life; set by who opens the store
};

}  // namespace bascule::raft
