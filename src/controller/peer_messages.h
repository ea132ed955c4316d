// What brokers ask of each other's controllers, as values. How they become bytes is the codec's matter
// (capnp/controller_message_codec.h implements it).
//
// Forwarded commands and Raft's own messages are not here: the first travel as the entry's bytes, the second
// have a codec of their own.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/raft/types.h"

namespace bascule::controller {

// Kinds of requests between brokers. Numbers travel and are never reused; 1 to 99 are the controller's.
enum class RequestKind : uint16_t {
  append = 1,      // body: an entry of the metadata log; the answer has none: it is committed
  founding = 2,    // FoundingQuery
  join = 3,        // JoinRequest
  heartbeat = 4,   // SessionHeartbeat
  membership = 5,  // MembershipRequest
  members = 6,     // MembersQuery
};

// Asked by a founding member of another one, before there is a cluster.
struct FoundingQuery {
  std::vector<NodeId>
      founders;  // ascending, as the asker was told; refused (`invalid`) where others were

  bool operator==(const FoundingQuery&) const = default;
};
struct FoundingAnswer {
  Uuid storage;
  Uuid cluster;                       // none: not founded yet
  raft::Configuration configuration;  // what it was founded with, where it is

  bool operator==(const FoundingAnswer&) const = default;
};

// A broker without a cluster asks to be let in, as a learner. Safe to repeat.
struct JoinRequest {
  raft::Member member;

  bool operator==(const JoinRequest&) const = default;
};
struct JoinAnswer {
  Uuid cluster;

  bool operator==(const JoinAnswer&) const = default;
};

// From a broker to the active controller.
struct SessionHeartbeat {
  Incarnation incarnation;        // of its registration
  bool ready = false;             // it may be unfenced: its logs are recovered, it is not draining
  Duration oldest_unsynced = {};  // age of its oldest write that has not ended; 0: there is none

  bool operator==(const SessionHeartbeat&) const = default;
};
struct HeartbeatAnswer {
  bool fenced = false;  // as the controller's table says now

  bool operator==(const HeartbeatAnswer&) const = default;
};

// An operator's wish, carried out by the leader of the metadata.
struct MembershipRequest {
  enum class Verb : uint8_t {
    promote = 0,   // a learner becomes a voter; `replaces`, where given, goes in the same change
    remove = 1,    // a voter or learner goes
    transfer = 2,  // leadership goes to this voter
  };
  Verb verb = Verb::promote;
  NodeId node;
  NodeId replaces;  // 0: nobody

  bool operator==(const MembershipRequest&) const = default;
};
struct MembershipAnswer {
  bool operator==(const MembershipAnswer&) const = default;
};

struct MembersQuery {
  bool operator==(const MembersQuery&) const = default;
};
struct MemberProgress {
  raft::Member member;
  bool voter = false;
  Index match;                    // of its log, as the leader knows
  bool active = false;            // heard of within an election timeout
  Duration oldest_unsynced = {};  // as its last heartbeat said

  bool operator==(const MemberProgress&) const = default;
};
struct MembersAnswer {
  NodeId leader;
  Term term;
  Index commit;
  bool joint = false;  // a change of the voters is under way
  std::vector<MemberProgress> members;

  bool operator==(const MembersAnswer&) const = default;
};

using PeerMessage =
    std::variant<FoundingQuery, FoundingAnswer, JoinRequest, JoinAnswer, SessionHeartbeat,
                 HeartbeatAnswer, MembershipRequest, MembershipAnswer, MembersQuery, MembersAnswer>;

class PeerMessageCodec {
 public:
  virtual ~PeerMessageCodec() = default;
  virtual Bytes encode(const PeerMessage& message) const = 0;
  // Any bytes may come. `corrupt`; `unsupported`: a message that a later program made.
  virtual Result<PeerMessage> decode(ByteView bytes) const = 0;
};

// The message of type T; `corrupt` where it is another.
template <class T>
Result<T> decode_as(const PeerMessageCodec& codec, ByteView bytes) {
  BASCULE_TRY_ASSIGN(PeerMessage message, codec.decode(bytes));
  if (T* found = std::get_if<T>(&message)) return std::move(*found);
  return fail(Errc::corrupt, "a peer message of another kind than was asked for");
}

}  // namespace bascule::controller
