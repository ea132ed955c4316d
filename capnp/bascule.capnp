# The public contract: what a client says to a broker on the RPC port.
#
# A connection begins with Bootstrap.login, which hands out a session of capabilities: what you hold is
# what you may do. Until login has succeeded, one message has at most 64 KiB; afterwards 12 MiB.
#
# Rules of this file. Ordinals are never reused and types never change, so old clients keep working; new
# fields come at the end, with a zero that means "as before". Times are nanoseconds: `…WallNs` since 1970
# UTC, `…Ns` a span. A budget is the time left to answer, from arrival; 0: the broker's default. Offsets
# of ranges are [first, next). Whatever can fail answers `failure`, absent on success: an exception of
# the RPC layer means a fault in the protocol or a lost connection, never an answer.
@0xb2a1f3c94e60d715;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bascule::wire");

# --- Errors --------------------------------------------------------------------------------------------

struct Failure {
  code @0 :UInt16;          # the table of error codes; numbers are never reused
  text @1 :Text;            # for people; never a secret
  leader @2 :LeaderHint;    # with not_leader and fenced, where it is known
}

struct LeaderHint {
  node @0 :UInt32;          # 0: none
  epoch @1 :UInt64;         # of the partition's leadership
  endpoint @2 :Endpoint;    # where its clients connect; absent: see StreamInfo.nodes
}

struct Endpoint {
  host @0 :Text;            # a name or a literal address
  port @1 :UInt16;
}

struct NodeEndpoint {
  node @0 :UInt32;
  endpoint @1 :Endpoint;
}

# --- Login ---------------------------------------------------------------------------------------------

interface Bootstrap {
  # Failures: unauthenticated (the connection is closed after it), unsupported.
  login @0 (credentials :Credentials, clientName :Text) -> (failure :Failure, session :Session);
}

struct Credentials {
  union {
    none @0 :Void;          # accepted where no token is set, which only a loopback port may have
    token @1 :Data;         # the shared secret
  }
}

struct Session {
  admin @0 :Admin;
  publisher @1 :Publisher;
  reader @2 :Reader;
  node @3 :UInt32;          # the broker that answers
  messageBytesMax @4 :UInt32;  # bytes; a greater message ends the connection
  batchBytesMax @5 :UInt32;    # bytes of one batch, header and body
  cluster @6 :Cluster;
}

# --- Streams -------------------------------------------------------------------------------------------

enum Durability {
  fsync @0;                 # acknowledged when synced on disk
  memory @1;                # acknowledged when the operating system has it
}

enum Answers {
  automatic @0;             # on where the first token of every subject is literal
  on @1;
  off @2;
}

struct StreamConfig {
  name @0 :Text;
  subjects @1 :List(Text);  # NATS subjects, wildcards allowed
  partitions @2 :UInt32;    # count
  replicas @3 :UInt32;      # count
  minIsr @4 :UInt32;        # count
  durability @5 :Durability;
  answers @6 :Answers;
  retainAgeNs @7 :Int64;    # ns; 0: for ever
  retainBytes @8 :UInt64;   # bytes per partition; 0: no limit
  retainMessages @9 :UInt64;    # records per partition; 0: no limit
  segmentBytes @10 :UInt64;     # bytes; 0: the broker's default
  messageBytesMax @11 :UInt32;  # bytes of one record; 0: the broker's default
}

enum PartitionState {
  offline @0;               # no leader
  starting @1;              # elected, not ready yet
  online @2;
  damaged @3;               # serves what it can
  deleting @4;
}

struct OptionalOffset {
  union {
    unknown @0 :Void;
    offset @1 :UInt64;
  }
}

struct PartitionStatus {
  index @0 :UInt32;
  leader @1 :UInt32;        # node; 0: none
  epoch @2 :UInt64;
  replicas @3 :List(UInt32);  # nodes
  isr @4 :List(UInt32);
  elr @5 :List(UInt32);
  state @6 :PartitionState;
  # Known where the answering broker leads.
  logStart @7 :OptionalOffset;
  hw @8 :OptionalOffset;    # first offset that is not committed
  leo @9 :OptionalOffset;   # offset of the next record
  bytes @10 :UInt64;        # on disk
}

struct StreamStatus {
  id @0 :UInt64;            # never reused
  config @1 :StreamConfig;
  createdWallNs @2 :Int64;
  partitions @3 :List(PartitionStatus);
  warnings @4 :List(Text);  # sentences for people
}

# How old an answer about metadata may be. Every broker answers from its own copy; where it cannot vouch for
# the age asked for, it asks a majority of the controllers first.
struct MaxAge {
  union {
    linearizable @0 :Void;  # as of the call, or later
    ns @1 :UInt64;          # a span
    any @2 :Void;           # whatever the broker has
  }
}

struct AsOf {
  index @0 :UInt64;         # all of the metadata log up to this entry is in the answer
  age :union {
    unknown @1 :Void;       # the broker cannot tell
    ns @2 :UInt64;          # at most
  }
}

struct StreamInfo {
  status @0 :StreamStatus;
  nodes @1 :List(NodeEndpoint);  # where the brokers of the cluster are reached
  asOf @2 :AsOf;
}

struct StreamRef {
  union {
    id @0 :UInt64;
    name @1 :Text;
  }
}

interface Admin {
  # Durable when answered. An equal stream under this name is success.
  createStream @0 (config :StreamConfig, budgetNs :UInt64)
      -> (failure :Failure, stream :StreamInfo);
  # By name, ascending; those after `after` (empty: from the first). `more`: ask again after the last.
  listStreams @1 (after :Text, budgetNs :UInt64, maxAge :MaxAge)
      -> (failure :Failure, streams :List(StreamStatus), more :Bool, asOf :AsOf);
  # An unknown_stream is as of the call, unless maxAge is `any`.
  describeStream @2 (stream :StreamRef, budgetNs :UInt64, maxAge :MaxAge)
      -> (failure :Failure, stream :StreamInfo);
  deleteStream @3 (id :UInt64, budgetNs :UInt64) -> (failure :Failure);
}

# --- Publish -------------------------------------------------------------------------------------------

enum Acks {
  none @0;                  # answered when the request was accepted
  leader @1;                # in the leader's log, by the stream's durability
  all @2;                   # committed: on every in-sync replica
}

interface Publisher {
  # One batch in the format of the log: base offset, epoch and append time 0, sealed with the null id.
  # Calls overlap; batches of one partition are appended in the order of their calls. A failure is
  # definite (the batch will never appear) unless its code is outcome_unknown.
  publish @0 (stream :UInt64,   # id
              partition :UInt32,
              epoch :UInt64,    # that the sender believes in; 0: whichever is current
              acks :Acks,
              budgetNs :UInt64,
              batch :Data)
      -> (failure :Failure,
          epoch :UInt64,        # of the leader that took it
          baseOffset :UInt64,   # of the first record; 0 with acks none
          count :UInt32,        # records
          duplicate :Bool);     # it was there before
  # A producer id that nobody else was ever given.
  allocateProducer @1 (budgetNs :UInt64) -> (failure :Failure, producer :UInt64);
}

# --- Subscribe -----------------------------------------------------------------------------------------

struct StartPosition {
  union {
    earliest @0 :Void;
    latest @1 :Void;        # the last committed record
    new @2 :Void;           # what is committed from now on
    offset @3 :Resume;
    timeWallNs @4 :Int64;   # the first record appended at or after it
    agoNs @5 :Int64;        # that long before the leader's wall clock
    last @6 :UInt64;        # that many last offsets
  }
}

struct Resume {
  offset @0 :UInt64;
  # Epoch of the record before it. A log whose history differs there ends the subscription with
  # log_truncated and the end of the common part.
  epochBefore :union {
    unknown @1 :Void;
    epoch @2 :UInt64;
  }
}

struct StopPosition {
  union {
    never @0 :Void;
    latest @1 :Void;        # the end of what is committed at the time of the call
    offset @2 :UInt64;      # not delivered itself
    timeWallNs @3 :Int64;   # the first record appended at or after it ends the subscription
  }
}

interface Reader {
  # Deliveries may begin before the answer arrives. Dropping `subscription` ends it.
  subscribe @0 (stream :UInt64,      # id
                partition :UInt32,
                from :StartPosition,
                until :StopPosition,
                filter :Text,        # NATS subject with wildcards; empty: all
                creditBytes :UInt64, # delivered before more is granted
                budgetNs :UInt64,    # for the subscription to begin
                subscriber :Subscriber)
      -> (failure :Failure,
          subscription :Subscription,
          epoch :UInt64,
          first :UInt64,             # no record below this offset is delivered
          logIdLow :UInt64,          # the partition's log: seeds the CRCs of batch headers
          logIdHigh :UInt64,
          until :OptionalOffset);    # first offset that is not delivered, where known: to subscribe again
}

interface Subscription {
  # Grants more bytes.
  addCredit @0 (bytes :UInt64) -> ();
}

struct Delivery {
  epoch @0 :UInt64;         # of all batches in it
  baseOffset @1 :UInt64;
  nextOffset @2 :UInt64;    # where a resumed subscription goes on
  hw @3 :UInt64;            # as known when it was sent
  bytes @4 :UInt64;         # charged against the credit
  batches @5 :List(Data);   # contiguous; each one or more whole batches
}

struct SubscriptionEnd {
  failure @0 :Failure;      # absent: the stop position was reached
  nextOffset @1 :UInt64;    # where a resumed subscription goes on
  validEnd @2 :OptionalOffset;  # with log_truncated: the end of the common history
}

# Held by the client, called by the broker.
interface Subscriber {
  deliver @0 (delivery :Delivery) -> stream;
  # Last call.
  end @1 (end :SubscriptionEnd) -> ();
}

# --- The cluster ---------------------------------------------------------------------------------------

enum MemberRole {
  none @0;                  # registered, and not in the group that keeps the metadata
  learner @1;
  voter @2;
}

enum BrokerState {
  unknown @0;               # never registered
  fenced @1;                # its session is over, or it is starting
  up @2;
}

struct MemberStatus {
  node @0 :UInt32;
  storageLow @1 :UInt64;
  storageHigh @2 :UInt64;
  role @3 :MemberRole;
  state @4 :BrokerState;
  reachable @5 :Bool;       # heard of by the controller just now
  behind @6 :UInt64;        # entries of the metadata that it lacks
  incarnation @7 :UInt64;
  host @8 :Text;            # failure domain
  peers @9 :Text;           # HOST:PORT
  rpc @10 :Text;            # HOST:PORT
  featureLeast @11 :UInt32; # levels that its program can work at, ends included; 0: never registered
  featureMost @12 :UInt32;
  oldestUnsyncedNs @13 :UInt64;  # age of its oldest write that is not synced; 0: there is none
}

struct Setting {
  name @0 :Text;
  value @1 :Text;           # in force
  byDefault @2 :Bool;
}

struct ClusterStatus {
  clusterLow @0 :UInt64;
  clusterHigh @1 :UInt64;
  answeredBy @2 :UInt32;
  controller @3 :UInt32;    # 0: none is known
  term @4 :UInt64;
  featureLevel @5 :UInt32;
  members @6 :List(MemberStatus);
  partitions @7 :UInt64;
  partitionsOffline @8 :UInt64;
  problems @9 :List(Text);  # sentences for people; none: healthy
  settings @10 :List(Setting);
  asOf @11 :AsOf;           # of brokers, partitions, level and settings
}

enum ClusterVerb {
  add @0;                   # a broker that has joined becomes a voter, in the place of `replaces` if given
  remove @1;
  transfer @2;              # leadership of the metadata
}

struct ClusterDecision {
  union {
    finalizeFeatureLevel @0 :UInt32;  # 0: the highest that every registered broker can work at
    setSetting :group {
      name @1 :Text;
      value @2 :Text;       # empty: the default again
    }
    declareStorageLost :group {
      storageLow @3 :UInt64;
      storageHigh @4 :UInt64;
    }
  }
}

# The index of an entry of the metadata log, and the number of the event among that entry's, from 1.
struct EventPosition {
  index @0 :UInt64;
  ordinal @1 :UInt32;
}

# Fields are filled as the kind says (src/model/event.h); the others are 0 or empty.
struct Event {
  position @0 :EventPosition;
  kind @1 :UInt16;
  kindName @2 :Text;        # for who does not know the number
  node @3 :UInt32;
  incarnation @4 :UInt64;
  stream @5 :UInt64;        # id
  partition @6 :UInt32;
  epoch @7 :UInt64;
  number @8 :UInt64;
  nodes @9 :List(UInt32);
  name @10 :Text;
  detail @11 :Text;
}

struct EventsStart {
  union {
    kept @0 :Void;          # the first event that is kept
    now @1 :Void;           # none that has happened by now
    after @2 :EventPosition;
  }
}

struct EventsLost {
  after @0 :EventPosition;  # reading may go on after it
  firstKept @1 :EventPosition;  # absent: none is kept
}

interface Cluster {
  # What the answering broker knows, and the controller where there is one.
  status @0 (budgetNs :UInt64, maxAge :MaxAge) -> (failure :Failure, status :ClusterStatus);
  # Answered when the change is under way.
  change @1 (verb :ClusterVerb, node :UInt32, replaces :UInt32, budgetNs :UInt64)
      -> (failure :Failure);
  # Durable when answered.
  decide @2 (decision :ClusterDecision, budgetNs :UInt64) -> (failure :Failure);
  # The activity of the metadata, from any broker: whoever asks for what comes after the last event that he has
  # handled gets each exactly once, in order. Waits for an event where there is none yet, and answers with an
  # empty list when the budget is over; a budget of 1 ns does not wait. `not_leader`: this broker may be
  # further behind than maxAge, ask another.
  events @3 (from :EventsStart, max :UInt32, maxAge :MaxAge, budgetNs :UInt64)
      -> (failure :Failure,
          events :List(Event),  # none with `lost`
          next :EventPosition,  # ask for what comes after it
          lost :EventsLost);    # absent: nothing was
}
