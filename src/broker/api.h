// All that a client can ask of a broker, as C++ values. RPC, NATS and the simulator's fast clients end
// here; nothing above this line knows how messages are kept, nothing below how they came.
//
// Every call is completion-based: `done` runs exactly once, in a later turn. Every request has a
// deadline by which it is answered. Stream *ids* are never reused: a request with a stale id gets
// `unknown_stream`, never another stream's data. Names are resolved by describe_stream().
//
// Errors of a publish are definite (the message will never appear) except `outcome_unknown`.
// What is durable on success is said at each call.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/env/loop.h"
#include "src/model/batch.h"
#include "src/model/event.h"
#include "src/model/stream_config.h"

namespace bascule::broker {

using env::Done;

// Who asks. Given by the front end that authenticated the connection.
struct Principal {
  std::string name;  // empty: a local client without credentials
};

// --- How old an answer about metadata may be ---------------------------------------------------------
//
// Every broker answers from its own copy of the metadata, which may lag. A read says how old the copy may be
// at most; the broker asks a majority of the controllers first where it cannot vouch for that.
struct MetadataRead {
  // 0: as of the call or later (linearizable). Duration::max(): whatever this broker has, asking nobody.
  Duration max_age = {};
  MonotonicTime deadline = MonotonicTime::never();
};

struct AsOf {
  Index index;                  // everything up to this entry of the metadata log is in the answer
  std::optional<Duration> age;  // it is not older than that; absent: this broker cannot tell

  bool operator==(const AsOf&) const = default;
};

enum class PartitionState : uint8_t {
  offline,   // no leader
  starting,  // elected here, not ready yet
  online,
  damaged,  // serves what it can; some range answers `corrupt` or `repairing`
  deleting,
};

struct PartitionStatus {
  PartitionIndex index;
  NodeId leader;  // 0: none
  Epoch epoch;
  std::vector<NodeId> replicas;
  std::vector<NodeId> isr;
  std::vector<NodeId> elr;
  PartitionState state = PartitionState::offline;
  // Known where this broker leads; else absent.
  std::optional<Offset> log_start;
  std::optional<Offset> hw;
  std::optional<Offset> leo;
  uint64_t bytes = 0;

  bool operator==(const PartitionStatus&) const = default;
};

struct StreamStatus {
  StreamId id;
  model::StreamConfig config;
  WallTime created;
  std::vector<PartitionStatus> partitions;
  // Sentences for the person who created or looks at it (responders on an answering subject, …).
  std::vector<std::string> warnings;
};

struct StreamList {
  std::vector<StreamStatus> streams;  // by id
  AsOf as_of;
};

struct DescribedStream {
  StreamStatus stream;
  AsOf as_of;
};

struct CreateStream {
  model::StreamConfig config;
  MonotonicTime deadline = MonotonicTime::never();
};

// By id, or by name where the id is 0.
struct StreamRef {
  StreamId id;
  std::string name;
};

struct Publish {
  StreamId stream;
  PartitionIndex partition;
  // Leadership that the sender believes in; 0: whichever is current. Another one is `fenced`.
  Epoch epoch;
  model::Acks acks = model::Acks::all;
  MonotonicTime deadline = MonotonicTime::never();
  // One batch as a client makes it: base offset, epoch and append time 0, sealed with the null id.
  // Verified and copied before the call returns; a view into the caller's buffer is enough.
  ByteView batch;
};

struct PublishAck {
  PartitionId partition;
  Epoch epoch;
  Offset base_offset;  // of the first record; the last is base_offset + count - 1. 0 for acks none
  uint32_t count = 0;
  bool duplicate = false;
};

// Where a subscription begins. Times look at append time.
struct FromEarliest {};
struct FromLatest {};  // the last committed record
struct FromNew {};     // only what is committed after the subscription began
struct FromOffset {
  Offset offset;
  // Epoch of the record before it, where the reader knows it: a log whose history differs there
  // answers `log_truncated` with the end of the common part.
  std::optional<Epoch> epoch_before;
};
struct FromTime {
  WallTime time;  // the first record appended at or after it
};
struct FromAgo {
  Duration ago;  // FromTime{the leader's wall clock - ago}
};
struct FromLast {
  uint64_t count = 0;  // the last `count` offsets
};
using StartPosition =
    std::variant<FromEarliest, FromLatest, FromNew, FromOffset, FromTime, FromAgo, FromLast>;

// Where it ends; the named position is not delivered itself.
struct UntilNever {};
struct UntilLatest {};  // the HW at the time of the call
struct UntilOffset {
  Offset offset;
};
struct UntilTime {
  WallTime time;  // the first record appended at or after it ends the subscription
};
using StopPosition = std::variant<UntilNever, UntilLatest, UntilOffset, UntilTime>;

struct Subscribe {
  StreamId stream;
  PartitionIndex partition;
  StartPosition from;
  StopPosition until;
  std::string filter;  // NATS subject with wildcards; empty: all
  // Delivered before more is granted; at least one batch passes whatever it is.
  uint64_t credit_bytes = 0;
  MonotonicTime deadline = MonotonicTime::never();  // for the subscription to begin
};

// --- The cluster ---------------------------------------------------------------------------------

enum class MemberRole : uint8_t {
  none,     // registered, and not in the group that keeps the metadata
  learner,  // follows the metadata
  voter,    // decides about it
};

enum class BrokerState : uint8_t {
  unknown,  // never registered
  fenced,   // its session is over, or it is starting
  up,
};

struct MemberStatus {
  NodeId node;
  Uuid storage;
  MemberRole role = MemberRole::none;
  BrokerState state = BrokerState::unknown;
  bool reachable = false;  // heard of by the controller within an election timeout
  uint64_t behind = 0;     // entries of the metadata that it lacks, as the controller knows
  Incarnation incarnation;
  std::string host;   // failure domain
  std::string peers;  // "HOST:PORT"
  std::string rpc;
  // Feature levels that its program can work at; 0: never registered.
  uint32_t feature_least = 0;
  uint32_t feature_most = 0;
  // Age of its oldest write that is not synced, as the controller heard last; 0: there is none.
  Duration oldest_unsynced = {};

  bool operator==(const MemberStatus&) const = default;
};

struct SettingStatus {
  std::string name;
  std::string value;  // in force
  bool by_default = true;

  bool operator==(const SettingStatus&) const = default;
};

struct ClusterStatus {
  Uuid cluster;
  NodeId answered_by;
  NodeId controller;  // that leads the metadata's group; 0: none is known
  Term term;
  uint32_t feature_level = 0;
  std::vector<MemberStatus> members;  // by node
  uint64_t partitions = 0;
  uint64_t partitions_offline = 0;      // without a leader
  std::vector<SettingStatus> settings;  // all of them, by name
  // Sentences for people. Empty: the cluster is healthy.
  std::vector<std::string> problems;
  // Of what the metadata say: brokers, partitions, level. Who is in the group is as of now.
  AsOf as_of;

  bool operator==(const ClusterStatus&) const = default;
};

struct ClusterChange {
  enum class Verb : uint8_t {
    add,  // a broker that has joined becomes a voter; `replaces`, where given, goes in the same change
    remove,    // a broker that holds no replicas goes for good
    transfer,  // the metadata is to be led by this voter
  };
  Verb verb = Verb::add;
  NodeId node;
  NodeId replaces;  // 0: nobody
};

// What an operator decides about the cluster as a whole.
struct FinalizeFeatureLevel {
  uint32_t level = 0;  // 0: the highest that every registered broker can work at
};
struct SetSetting {
  std::string name;
  std::string value;  // empty: the default again
};
// The storage will never come back: what it held is not waited for any more, and it is refused for good.
struct DeclareStorageLost {
  Uuid storage;
};
using ClusterDecision = std::variant<FinalizeFeatureLevel, SetSetting, DeclareStorageLost>;

// --- Events --------------------------------------------------------------------------------------

// The activity of the metadata: one event per change, the same ones under the same positions on every broker. A
// reader that asks for what comes after the last event that it has handled gets each exactly once, in order,
// whichever brokers it asks.
struct EventsFromKept {};  // the first that is kept
struct EventsFromNow {};   // none that has happened by now
using EventsStart = std::variant<EventsFromKept, EventsFromNow, model::EventPosition>;  // after it

struct ReadEvents {
  EventsStart from;
  uint32_t max = 1000;  // events of one answer; at most bounds::k_events_per_page_max are given
  // A broker that has nothing to tell makes sure first that it is not further behind than this.
  Duration max_age = {};
  // Where there is no event yet, one is waited for until then; the answer is empty where none came.
  MonotonicTime deadline;
};

// Events after the position that was asked for are not kept any more. Reading may go on after `after`,
// whose next event is the first one kept.
struct EventsLost {
  model::EventPosition after;
  std::optional<model::EventPosition> first_kept;  // absent: none is kept

  bool operator==(const EventsLost&) const = default;
};

struct EventsPage {
  std::vector<model::Event> events;  // empty with `lost`
  model::EventPosition next;         // what to ask for next: after it
  std::optional<EventsLost> lost;
};

// What a subscriber gets: whole batches, as they are in the log, or re-encoded and marked `derived`
// where a filter or a start in the middle thinned them out. Never anything at or above the HW.
//
// What a client verifies of each batch: the header's CRC under the log id (so that a batch of another
// partition is caught), the body's CRC, and that deliveries follow one another: each base_offset is the
// next_offset before it, but where retention has removed what lay between. An original batch's body CRC
// is the one that its producer computed; a derived one's was made here, after the original had been
// verified.
struct Delivery {
  Epoch epoch;
  Offset base_offset;
  Offset next_offset;  // where a resumed subscription goes on
  // Ascending, each slice one or more batches of this epoch, end to end. Empty where a filter kept
  // nothing of the range: then only the position moves.
  std::vector<Slice> batches;
  size_t bytes = 0;  // charged against the credit; never 0
  Offset hw;         // as known when it was sent, to show how far behind the reader is
};

// How a subscription ended.
struct SubscriptionEnd {
  Error error;                      // code `cancelled` never arrives; see `complete`
  bool complete = false;            // the stop position was reached: no error
  Offset next_offset;               // where a resumed one goes on
  std::optional<Offset> valid_end;  // with log_truncated: the end of the common history
};

// Receives a subscription; called in turns of its own, never from inside a call of the broker.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  virtual void deliver(Delivery delivery) = 0;
  // Last call.
  virtual void end(SubscriptionEnd end) = 0;
};

// Destroying it ends the subscription; the subscriber is not called any more.
class Subscription {
 public:
  virtual ~Subscription() = default;
  // Grants more bytes.
  virtual void add_credit(uint64_t bytes) = 0;
};

// What a subscription's begin was resolved to.
struct SubscribeStarted {
  std::unique_ptr<Subscription> subscription;
  Epoch epoch;
  Offset first;  // no record below it is delivered
  // First offset that is not delivered, where that is known: a client that subscribes again asks for it by
  // UntilOffset, since "the latest" is another by then.
  std::optional<Offset> until;
  // The partition's log: seeds the header CRCs of the batches delivered, so that a client can check
  // them end to end. `derived` batches are sealed with it too.
  Uuid log_id;
};

// One stream as the recorder and other front ends route by. Values stay valid while held.
struct StreamRoute {
  StreamId id;
  model::StreamConfig config;
};

// Told of every change of the set of streams, in turns of its own; first of the present ones.
class StreamObserver {
 public:
  virtual ~StreamObserver() = default;
  virtual void stream_changed(const StreamRoute& stream) = 0;
  virtual void stream_removed(StreamId id) = 0;
};

class Api {
 public:
  virtual ~Api() = default;

  // --- Streams. Durable when complete. -------------------------------------------------------------
  // Success means that every partition has a leader, and that those led by this broker are ready. Errors: invalid, stream_exists (a
  // different configuration under this name; an equal one is success with the existing stream), overloaded,
  // no_space, outcome_unknown.
  virtual void create_stream(const Principal& who, CreateStream request,
                             Done<StreamStatus> done) = 0;
  // Errors of reads: not_leader (no majority of the controllers can vouch for the age), deadline_exceeded.
  virtual void list_streams(const Principal& who, MetadataRead read, Done<StreamList> done) = 0;
  // unknown_stream is never said by a copy that may be old: it is as of the call, unless max_age is
  // Duration::max().
  virtual void describe_stream(const Principal& who, StreamRef stream, MetadataRead read,
                               Done<DescribedStream> done) = 0;
  // Errors: unknown_stream, outcome_unknown.
  virtual void delete_stream(const Principal& who, StreamId stream, Done<void> done) = 0;

  // --- Publish -----------------------------------------------------------------------------------
  // Errors before the append, definite: invalid, corrupt (CRC), too_large, unknown_stream,
  // unknown_partition, not_leader, fenced, not_enough_replicas, overloaded, no_space, read_only, not_yet,
  // stopping, deadline_exceeded. After it: outcome_unknown.
  virtual void publish(const Principal& who, Publish request, Done<PublishAck> done) = 0;

  // --- Subscribe ---------------------------------------------------------------------------------
  // `subscriber` outlives the subscription. Errors: invalid, unknown_stream, unknown_partition,
  // not_leader, not_yet, overloaded, stopping. A position whose history differs, or that lies above the
  // end, starts and then ends with `log_truncated` and its valid_end; one below the log's start begins
  // at the start (`first` says so).
  virtual void subscribe(const Principal& who, Subscribe request, Subscriber& subscriber,
                         Done<SubscribeStarted> done) = 0;

  // --- The cluster -------------------------------------------------------------------------------
  // What this broker knows and the controller tells. Never fails for want of a majority: it says so among the
  // problems, and in as_of.
  virtual void cluster_status(const Principal& who, MetadataRead read,
                              Done<ClusterStatus> done) = 0;
  // Success: the change is under way; the status shows when it is through. Errors: not_found, invalid, busy (a
  // change is under way, or the broker holds replicas), not_yet (it has not caught up: ask again), not_leader
  // (no majority of the controllers is reached), already_exists, outcome_unknown.
  virtual void change_cluster(const Principal& who, ClusterChange request, Done<void> done) = 0;

  // Durable when complete; making it again changes nothing. Errors: invalid (names what there is), unsupported (a
  // broker cannot work at the level: names them), not_found (no broker has the storage), busy (the storage is in
  // use), not_leader, outcome_unknown.
  virtual void decide_cluster(const Principal& who, ClusterDecision decision, Done<void> done) = 0;
  // A producer id that nobody else was ever given. Errors: not_leader, overloaded, deadline_exceeded, stopping:
  // asking again is safe, and gives another one.
  virtual void allocate_producer(const Principal& who, MonotonicTime deadline,
                                 Done<ProducerId> done) = 0;
  // Any broker serves it, from what it has applied. Errors: not_leader (this broker may be further behind than
  // max_age: ask another), overloaded, stopping.
  virtual void read_events(const Principal& who, ReadEvents request, Done<EventsPage> done) = 0;

  // --- Routing -----------------------------------------------------------------------------------
  // `observer` is called until it is taken back.
  virtual void observe_streams(StreamObserver& observer) = 0;
  virtual void forget_observer(StreamObserver& observer) = 0;
  // Whether this broker takes messages: false while draining.
  virtual bool accepting() const = 0;
};

}  // namespace bascule::broker
