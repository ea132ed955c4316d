# What replicas say to each other: bodies of notices between peers. Batches travel beside the body, as the
# frame's attachments, in order. Ordinals are never reused; a new field's zero must mean what its absence
# meant. Meaning: src/partition/replication.h.
@0xe1b7f0a94c2d6358;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bascule::replication_schema");

struct Fetches {
  format @0 :UInt32;  # 1; so that zeros are no message
  session @1 :UInt64;
  fetches @2 :List(Fetch);
  progress @3 :List(Progress);

  struct Fetch {
    stream @0 :UInt64;
    partition @1 :UInt32;
    epoch @2 :UInt64;
    from @3 :UInt64;
    lastEpoch @4 :UInt64;
    hw @5 :UInt64;
    written @6 :UInt64;
    durable @7 :UInt64;
  }
  struct Progress {
    stream @0 :UInt64;
    partition @1 :UInt32;
    epoch @2 :UInt64;
    written @3 :UInt64;
    durable @4 :UInt64;
  }
}

struct Answers {
  format @0 :UInt32;  # 1
  session @1 :UInt64;
  answers @2 :List(Answer);

  struct Answer {
    stream @0 :UInt64;
    partition @1 :UInt32;
    outcome @2 :UInt8;
    batches @3 :UInt32;  # that many of the attachments
    epoch @4 :UInt64;
    hw @5 :UInt64;
    logStart @6 :UInt64;
    commonEpoch @7 :UInt64;
    commonEnd @8 :UInt64;
  }
}
