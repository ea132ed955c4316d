# What brokers say to each other: the bodies of the frames of src/peers (src/peers/FORMAT.md). Ordinals are
# never reused; a new field's zero must mean what its absence meant. Meaning and bounds: src/peers/message.h,
# src/raft/message.h. Log entries and chunks of snapshots are not here: they are attachments of the frame.
@0xd1b5a9f0c3e64e27;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bascule::peers_schema");

struct Uuid {
  first @0 :UInt64;
  second @1 :UInt64;
}

# --- Handshake: frames of kind 1 ---------------------------------------------------------------------

struct Handshake {
  format @0 :UInt32;  # 1; so that zeros are no message
  union {
    hello @1 :Hello;
    challenge @2 :Challenge;
    proof @3 :Proof;
    welcome @4 :Welcome;
    refusal @5 :Refusal;
  }
}

struct Identity {
  node @0 :UInt32;
  storage @1 :Uuid;
  incarnation @2 :UInt64;
  life @3 :Uuid;
  featureMin @4 :UInt32;
  featureMax @5 :UInt32;
  host @6 :Text;  # empty: no address
  port @7 :UInt16;
}

struct Hello {
  identity @0 :Identity;
  cluster @1 :Uuid;  # zeros: not known yet
  channel @2 :UInt8;
  proves @3 :Bool;
  nonce @4 :Data;  # 32 bytes
}

struct Challenge {
  identity @0 :Identity;
  cluster @1 :Uuid;
  nonce @2 :Data;
}

struct Proof {
  link @0 :UInt64;
  lastLink @1 :UInt64;
  mac @2 :Data;  # 32 bytes
}

struct Welcome {
  link @0 :UInt64;
  mac @1 :Data;
}

struct Refusal {
  reason @0 :UInt16;
  text @1 :Text;
  by @2 :UInt32;
  cluster @3 :Uuid;
}

# --- Calls: frames of kind 3 -------------------------------------------------------------------------

struct Call {
  union {
    request @0 :Request;
    response @1 :Response;
    notice @2 :UInt16;  # its kind
  }

  struct Request {
    id @0 :UInt64;
    kind @1 :UInt16;
  }
  struct Response {
    id @0 :UInt64;
    error @1 :UInt16;  # 0: none
    text @2 :Text;
  }
}

# --- Raft: frames of kind 4 --------------------------------------------------------------------------

struct MemberId {
  node @0 :UInt32;
  storage @1 :Uuid;
}

struct RaftMessage {
  from @0 :MemberId;
  to @1 :MemberId;
  term @2 :UInt64;
  incarnation @3 :UInt64;
  union {
    none @4 :Void;  # so that zeros are no message
    voteRequest @5 :VoteRequest;
    voteResponse @6 :VoteResponse;
    appendRequest @7 :AppendRequest;
    appendResponse @8 :AppendResponse;
    snapshotRequest @9 :SnapshotRequest;
    snapshotResponse @10 :SnapshotResponse;
    timeoutNow @11 :Void;
    readRequest @12 :UInt64;
    readResponse @13 :ReadResponse;
  }

  struct VoteRequest {
    pre @0 :Bool;
    transfer @1 :Bool;
    lastIndex @2 :UInt64;
    lastTerm @3 :UInt64;
  }
  struct VoteResponse {
    pre @0 :Bool;
    granted @1 :Bool;
  }
  struct AppendRequest {
    prevIndex @0 :UInt64;
    prevTerm @1 :UInt64;
    commit @2 :UInt64;
    round @3 :UInt64;
    # Runs of entries of one term and kind; the data of the n-th entry is the n-th attachment.
    runs @4 :List(Run);
  }
  struct Run {
    term @0 :UInt64;
    count @1 :UInt32;
    kind @2 :UInt8;
  }
  struct AppendResponse {
    accepted @0 :Bool;
    index @1 :UInt64;
    lastIndex @2 :UInt64;
    conflictTerm @3 :UInt64;
    conflictFirst @4 :UInt64;
    round @5 :UInt64;
  }
  struct SnapshotRequest {
    index @0 :UInt64;
    term @1 :UInt64;
    configuration @2 :Data;  # as Raft's log holds it
    totalBytes @3 :UInt64;
    offset @4 :UInt64;
    round @5 :UInt64;
    # The chunk is the one attachment.
  }
  struct SnapshotResponse {
    index @0 :UInt64;
    nextOffset @1 :UInt64;
    round @2 :UInt64;
  }
  struct ReadResponse {
    id @0 :UInt64;
    ok @1 :Bool;
    index @2 :UInt64;
  }
}
