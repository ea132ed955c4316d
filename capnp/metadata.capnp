# The cluster's metadata as bytes: commands as they lie in the metadata log, and snapshots of the table.
# Ordinals are never reused, so every later program reads what an earlier one wrote; a command kind or an
# enumerator that a program does not know stops it by name. Meaning and bounds: src/controller/command.h,
# src/controller/metadata_state.h. Values are judged there; here they only have a shape.
@0xb6695d11bf3f2a0c;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bascule::metadata_schema");

struct Uuid {
  first @0 :UInt64;
  second @1 :UInt64;
}

struct PartitionId {
  stream @0 :UInt64;
  index @1 :UInt32;
}

# --- Streams ---------------------------------------------------------------------------------------

struct StreamConfig {
  name @0 :Text;
  subjects @1 :List(Text);
  partitions @2 :UInt32;
  replicas @3 :UInt32;
  minIsr @4 :UInt32;
  durability @5 :Durability;
  answers @6 :Answers;
  retainAge @7 :Int64;  # nanoseconds
  retainBytes @8 :UInt64;
  retainMessages @9 :UInt64;
  segmentBytes @10 :UInt64;
  messageBytesMax @11 :UInt32;

  enum Durability {
    fsync @0;
    memory @1;
  }
  enum Answers {
    automatic @0;
    on @1;
    off @2;
  }
}

# --- Commands --------------------------------------------------------------------------------------

struct Command {
  format @0 :UInt32;  # 1; so that zeros are no command
  union {
    registerBroker @1 :RegisterBroker;
    unfenceBroker @2 :BrokerLife;
    fenceBrokers @3 :List(BrokerLife);
    createStream @4 :CreateStream;
    deleteStream @5 :UInt64;
    clearSuspect @6 :ClearSuspect;
    reportReplica @7 :ReportReplica;
    endElectionWait @8 :List(WaitedPartition);
    electUnclean @9 :ElectUnclean;
    unregisterBroker @10 :BrokerLife;
    declareStorageLost @11 :Uuid;
    finalizeFeatureLevel @12 :UInt32;
    setSetting @13 :Setting;
    allocateProducerIds @14 :AllocateProducerIds;
    resignLeaderships @15 :BrokerLife;
    changeIsr @16 :ChangeIsr;
  }
}

struct BrokerLife {
  node @0 :UInt32;
  incarnation @1 :UInt64;
}

struct ReplicaReport {
  partition @0 :PartitionId;
  assignment @1 :UInt64;
  missing @2 :Bool;
  damaged @3 :Bool;
  diverged @4 :Bool;
  suspect @5 :Bool;
  lastEpoch @6 :UInt64;
  leo @7 :UInt64;
  cacheLost @8 :Bool;
}

struct RegisterBroker {
  node @0 :UInt32;
  storage @1 :Uuid;
  incarnation @2 :UInt64;
  replaces @3 :UInt64;
  rolledBack @4 :Bool;
  reports @5 :List(ReplicaReport);
  address @6 :BrokerAddress;
}

struct BrokerAddress {
  peers @0 :Text;  # HOST:PORT; empty: none
  rpc @1 :Text;
  nats @2 :Text;
  host @3 :Text;  # failure domain
  featureLeast @4 :UInt32;
  featureMost @5 :UInt32;
}

struct Setting {
  name @0 :Text;
  value @1 :Text;
}

struct AllocateProducerIds {
  broker @0 :BrokerLife;
  count @1 :UInt64;
}

struct CreateStream {
  config @0 :StreamConfig;
  logSeed @1 :Uuid;
  created @2 :Int64;  # nanoseconds since 1970, UTC
}

struct ClearSuspect {
  leader @0 :BrokerLife;
  items @1 :List(Item);

  struct Item {
    partition @0 :PartitionId;
    version @1 :UInt64;
    replica @2 :BrokerLife;
  }
}

struct ChangeIsr {
  leader @0 :BrokerLife;
  items @1 :List(Item);

  struct Item {
    partition @0 :PartitionId;
    version @1 :UInt64;
    isr @2 :List(BrokerLife);
  }
}

struct ReportReplica {
  broker @0 :BrokerLife;
  partition @1 :PartitionId;
  epoch @2 :UInt64;
  lastEpoch @3 :UInt64;
  leo @4 :UInt64;
}

struct WaitedPartition {
  partition @0 :PartitionId;
  epoch @1 :UInt64;
}

struct ElectUnclean {
  partition @0 :PartitionId;
  epoch @1 :UInt64;
  node @2 :UInt32;
  decided @3 :Int64;
}

# --- Snapshots -------------------------------------------------------------------------------------

# On disk: the number of words of the message, 8 bytes little-endian, then the message, packed.
struct Snapshot {
  format @0 :UInt32;  # 1
  cluster @1 :Uuid;
  featureLevel @2 :UInt32;
  applied @3 :UInt64;
  nextStream @4 :UInt64;
  nextAssignment @5 :UInt64;
  brokers @6 :List(Broker);
  streams @7 :List(Stream);
  lostStorages @8 :List(Uuid);
  # Of the table that was encoded: one that decodes to another is refused.
  stateHash @9 :Uuid;
  nextProducer @10 :UInt64;
  removedIncarnation @11 :UInt64;
  settings @12 :List(Setting);
  events @13 :Events;
  eventsDropped @14 :EventPosition;
  rescues @15 :List(Rescue);

  struct EventPosition {
    index @0 :UInt64;
    ordinal @1 :UInt32;
  }

  # One column per field, each as long as there are events, or empty where the field is nowhere filled: packed,
  # an event of a burst takes some 10 bytes.
  struct Events {
    # Positions: `count` events of one entry each, their ordinals from `first` on.
    runs @0 :List(Run);
    kinds @1 :List(UInt8);  # src/model/event.h
    nodes @2 :List(UInt32);
    incarnations @3 :List(UInt64);
    streams @4 :List(UInt64);
    partitions @5 :List(UInt32);
    epochs @6 :List(UInt64);
    numbers @7 :List(UInt64);
    setSizes @8 :List(UInt8);  # of each event's `nodes`, which lie end to end in setMembers
    setMembers @9 :List(UInt32);
    names @10 :List(Text);
    details @11 :List(Text);

    struct Run {
      index @0 :UInt64;
      first @1 :UInt32;
      count @2 :UInt32;
    }
  }

  struct Rescue {
    lastKnown @0 :UInt64;
    first @1 :UInt64;
    node @2 :UInt32;
    clusterBefore @3 :Uuid;
    decided @4 :Int64;
  }

  struct Broker {
    node @0 :UInt32;
    storage @1 :Uuid;
    incarnation @2 :UInt64;
    fenced @3 :Bool;
    registered @4 :UInt64;
    address @5 :BrokerAddress;
  }

  struct Stream {
    id @0 :UInt64;
    config @1 :StreamConfig;
    created @2 :Int64;
    partitions @3 :List(Partition);
  }

  struct Partition {
    logId @0 :Uuid;
    replicas @1 :List(Replica);
    isr @2 :List(UInt32);
    elr @3 :List(UInt32);
    leader @4 :UInt32;
    leaderIncarnation @5 :UInt64;
    epoch @6 :UInt64;
    version @7 :UInt64;
    dataLost @8 :Bool;
    loss @9 :Loss;  # absent: none
  }

  struct Replica {
    node @0 :UInt32;
    assignment @1 :UInt64;
    assigned @2 :UInt64;
    suspect @3 :Bool;
    damaged @4 :Bool;
    diverged @5 :Bool;
    report @6 :Report;  # absent: none
  }

  struct Report {
    lastEpoch @0 :UInt64;
    leo @1 :UInt64;
  }

  struct Loss {
    epoch @0 :UInt64;
    node @1 :UInt32;
    byOperator @2 :Bool;
    decided @3 :Int64;
  }
}
