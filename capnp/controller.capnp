# What brokers ask of each other's controllers: bodies of requests and answers between peers. Ordinals are
# never reused; a new field's zero must mean what its absence meant. Meaning: src/controller/peer_messages.h.
@0xc7e40d3b1f5a9826;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bascule::controller_schema");

struct Uuid {
  first @0 :UInt64;
  second @1 :UInt64;
}

struct Member {
  node @0 :UInt32;
  storage @1 :Uuid;
  address @2 :Text;
}

struct PeerMessage {
  format @0 :UInt32;  # 1; so that zeros are no message
  union {
    foundingQuery @1 :FoundingQuery;
    foundingAnswer @2 :FoundingAnswer;
    joinRequest @3 :JoinRequest;
    joinAnswer @4 :JoinAnswer;
    heartbeat @5 :Heartbeat;
    heartbeatAnswer @6 :HeartbeatAnswer;
    membershipRequest @7 :MembershipRequest;
    membershipAnswer @8 :Void;
    membersQuery @9 :Void;
    membersAnswer @10 :MembersAnswer;
  }
}

struct FoundingQuery {
  founders @0 :List(UInt32);  # nodes, ascending
}

struct FoundingAnswer {
  storage @0 :Uuid;
  cluster @1 :Uuid;  # zeros: not founded yet
  configuration @2 :Data;  # as Raft encodes it; empty: none
}

struct JoinRequest {
  member @0 :Member;
}

struct JoinAnswer {
  cluster @0 :Uuid;
}

struct Heartbeat {
  incarnation @0 :UInt64;
  ready @1 :Bool;
  oldestUnsyncedNs @2 :UInt64;  # 0: every write has ended
}

struct HeartbeatAnswer {
  fenced @0 :Bool;
}

struct MembershipRequest {
  verb @0 :UInt8;
  node @1 :UInt32;
  replaces @2 :UInt32;
}

struct MembersAnswer {
  leader @0 :UInt32;
  term @1 :UInt64;
  commit @2 :UInt64;
  joint @3 :Bool;
  members @4 :List(Progress);

  struct Progress {
    member @0 :Member;
    voter @1 :Bool;
    match @2 :UInt64;
    active @3 :Bool;
    oldestUnsyncedNs @4 :UInt64;
  }
}
