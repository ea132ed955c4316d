// The C++ client library: publish to streams, subscribe to them, manage them.
//
//   auto transport = rpc::make_rpc_transport(loop, network);          // capnp/rpc_transport.h
//   auto client = client::make_client(loop, *transport, random, {.servers = {address}});
//   auto publisher = client->publisher("orders", {});
//   model::Record record{.timestamp = loop.wall(), .subject = "orders.new", .value = "hello"};
//   auto sequence = publisher->publish(model::view_of(record), [](Result<Published> result) { … });
//
// The client connects when it first has something to do, follows the leaders of partitions, gathers
// records into batches (a batch gathers while earlier ones are in flight, so a lone record leaves at
// once and a flood leaves in large batches), and repeats by itself only what is safe to repeat: what
// was definitely refused, and reads. A publish whose answer was lost ends with `outcome_unknown`: the
// record may or may not be in the stream.
//
// Everything runs in the thread of the loop. Completions run exactly once, in a later turn, unless the
// object that owes them is destroyed first: then they are dropped. Client outlives what it made; loop,
// transport and generator outlive the client.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/prng.h"
#include "src/base/result.h"
#include "src/broker/api.h"
#include "src/client/transport.h"
#include "src/env/loop.h"
#include "src/env/network.h"
#include "src/model/record.h"
#include "src/model/stream_config.h"

namespace bascule::client {

using broker::DescribedStream;
using broker::StartPosition;
using broker::StopPosition;
using broker::StreamList;
using broker::StreamStatus;
using env::Done;

struct ClientOptions {
  std::vector<env::Address> servers = {};  // at least one; any broker of the cluster; tried in turn
  std::string token = {};                  // the shared secret; empty: none
  Duration connect_timeout = seconds(5);
  // Each request other than a publish is answered within this time, retries included.
  Duration request_timeout = seconds(30);
  // Pause before what failed is tried again: doubles from the first to the last, with jitter.
  Duration retry_pause_first = milliseconds(20);
  Duration retry_pause_last = seconds(2);
};

// --- Publish -----------------------------------------------------------------------------------------

struct PublisherOptions {
  model::Acks acks = model::Acks::all;
  model::Compression compression = model::Compression::none;
  // All records go there; else by key, and those without a key round robin, batch by batch.
  std::optional<PartitionIndex> partition = {};
  size_t batch_bytes_max = 256 << 10;  // a greater record makes a batch of its own
  uint32_t batch_records_max = 1 << 14;
  // Sent and not answered, per partition. With more than 1, records of a batch that is refused and
  // sent again come after those of the batches behind it.
  uint32_t batches_in_flight_max = 8;
  // Accepted and not answered, all partitions together; publish() refuses beyond it.
  size_t buffered_bytes_max = 32 << 20;
  // Each record is answered within this time from publish(), retries included, and a second for the
  // broker's last word.
  Duration delivery_timeout = seconds(30);
};

struct Published {
  PartitionId partition;
  Epoch epoch;
  Offset offset;           // 0 with Acks::none
  bool duplicate = false;  // it was in the stream before
};

// What became of one batch. Sequences are those that publish() gave, ascending; record i of a
// successful batch has the offset ack.base_offset + i.
struct BatchOutcome {
  std::span<const uint64_t> sequences;
  Result<broker::PublishAck> result;
};

class Publisher {
 public:
  // Records that are not answered yet may or may not be published.
  virtual ~Publisher() = default;

  // Copies the record into a batch. Gives its sequence: 0, 1, 2, … per publisher. `done` may be empty.
  // Errors at once: `overloaded` (buffered_bytes_max reached: wait for when_ready), `invalid` and
  // `too_large` (the record itself). Errors by `done`: unknown_stream, unknown_partition, read_only,
  // … and `deadline_exceeded` are definite: the record will never appear. `outcome_unknown`: it may.
  virtual Result<uint64_t> publish(const model::RecordView& record, Done<Published> done) = 0;
  Result<uint64_t> publish(const model::RecordView& record) { return publish(record, {}); }

  // Called for every batch, before the records' own completions: cheaper than those for a flood.
  // Set before the first publish().
  virtual void on_batch(std::move_only_function<void(const BatchOutcome&)> observer) = 0;
  // Runs `task` once, when less than half of buffered_bytes_max is in use.
  virtual void when_ready(env::Task task) = 0;
  // Completes when all records accepted so far are answered, with the first error among those answered
  // since the last flush.
  virtual void flush(Done<void> done) = 0;
  // Bytes of records accepted and not answered.
  virtual size_t buffered_bytes() const = 0;
};

// --- Subscribe ---------------------------------------------------------------------------------------

struct SubscribeOptions {
  std::string stream = {};
  std::optional<PartitionIndex> partition = {};  // else all of them, side by side
  StartPosition from = broker::FromNew{};
  StopPosition until = broker::UntilNever{};
  std::string filter = {};               // NATS subject with wildcards; empty: all
  uint64_t credit_bytes = 1 << 20;       // per partition: sent by the broker before it hears more
  Duration begin_timeout = seconds(30);  // for the first beginning of each partition
};

// One record as it is in the stream. The views live during the call that hands it over.
struct Received {
  PartitionId partition;
  Offset offset;
  Epoch epoch;
  WallTime append_time;  // the leader's clock; record.timestamp is the producer's
  model::RecordView record;
};

// Where a subscription of one partition ended.
struct PartitionEnd {
  PartitionIndex partition;
  // Nothing: the stop position was reached. Else unknown_stream, stream_deleted, invalid, corrupt (the
  // batch at `next` fails its CRC), `log_truncated` (history changed before `next`: see valid_end), …
  Status result;
  Offset next;                        // first offset that was not delivered
  std::optional<Epoch> epoch_before;  // of the record before `next`, where known
  std::optional<Offset> valid_end;    // with log_truncated: the end of the common history
};

// Receives what a subscription delivers; lives until the subscription is destroyed. Never called from
// inside a call of the client. It may destroy the subscription in any of these calls.
class Receiver {
 public:
  virtual ~Receiver() = default;
  // Records of one partition, offsets ascending; each once, also over reconnects.
  virtual void records(std::span<const Received> records) = 0;
  // The partition begins: no record below `first` is delivered. Again after each reconnect.
  virtual void started(PartitionId partition, Epoch epoch, Offset first) = 0;
  // Last call for this partition.
  virtual void partition_ended(const PartitionEnd& end) = 0;
  // Last call of all: every partition has ended; or the stream could not be found: its error.
  virtual void ended(Status result) = 0;
};

class Subscription {
 public:
  // Ends it; the receiver is not called any more.
  virtual ~Subscription() = default;
  // Between the two nothing is handed over, and the broker sends at most what credit it still has.
  virtual void pause() = 0;
  virtual void resume() = 0;
};

// --- Events ------------------------------------------------------------------------------------------

struct ReadEventsOptions {
  uint32_t max = 1000;
  Duration max_age = seconds(5);  // of the broker's knowledge, where it has nothing to tell
  Duration wait = {};
};

// Receives the activity of the metadata; lives until the stream is destroyed, which it may do in any of these
// calls.
class EventReceiver {
 public:
  virtual ~EventReceiver() = default;
  // Each event once, in order, also over reconnects to other brokers.
  virtual void events(std::span<const model::Event> events) = 0;
  // What came before is not kept any more; the stream goes on with the first that is.
  virtual void events_lost(const broker::EventsLost& lost) = 0;
  // Last call: the stream cannot go on (unauthenticated, …).
  virtual void ended(const Error& why) = 0;
};

class EventStream {
 public:
  // Ends it; the receiver is not called any more.
  virtual ~EventStream() = default;
};

// --- Client ------------------------------------------------------------------------------------------

class Client {
 public:
  virtual ~Client() = default;

  // Durable when complete. Errors: invalid, stream_exists (with another configuration; an equal one
  // is success), unauthenticated, `outcome_unknown` (creating again is safe), deadline_exceeded (no
  // broker could be reached; nothing was done).
  virtual void create_stream(model::StreamConfig config, Done<StreamStatus> done) = 0;
  // Reads of metadata are linearizable: not older than the call. With `max_age` they may be as old as that, and
  // as_of tells how old they are at most; Duration::max() is whatever the broker has. `not_leader`: no majority of
  // the controllers could be asked in time.
  virtual void list_streams(Duration max_age, Done<StreamList> done) = 0;
  void list_streams(Done<StreamList> done) { list_streams({}, std::move(done)); }
  virtual void describe_stream(std::string name, Duration max_age, Done<DescribedStream> done) = 0;
  void describe_stream(std::string name, Done<DescribedStream> done) {
    describe_stream(std::move(name), {}, std::move(done));
  }
  // By name, looked up first; deletes the stream that had it then and never a later one. Errors:
  // unknown_stream, outcome_unknown.
  virtual void delete_stream(std::string name, Done<void> done) = 0;

  // As one broker knows it, which asks the controller where there is one.
  virtual void cluster_status(Duration max_age, Done<broker::ClusterStatus> done) = 0;
  void cluster_status(Done<broker::ClusterStatus> done) { cluster_status({}, std::move(done)); }
  // Complete when the change is under way. Made again until there is a controller that takes it, or the time
  // is over. Errors: as Api::change_cluster.
  virtual void change_cluster(broker::ClusterChange change, Done<void> done) = 0;
  // Durable when complete. Errors: as Api::decide_cluster.
  virtual void decide_cluster(broker::ClusterDecision decision, Done<void> done) = 0;

  // The activity of the metadata: see EventStream. One answer: what there is after `from`, or, where there is
  // nothing, what comes within `wait` (at most half of the request timeout).
  virtual void read_events(broker::EventsStart from, ReadEventsOptions options,
                           Done<broker::EventsPage> done) = 0;
  // `receiver` outlives the stream.
  virtual std::unique_ptr<EventStream> follow_events(broker::EventsStart from,
                                                     EventReceiver& receiver) = 0;

  // A producer id that nobody else was ever given: by a broker, from the block that the controller gave it.
  virtual void allocate_producer(Done<ProducerId> done) = 0;

  // The stream is looked up when the first record comes; one that does not exist fails the records
  // with unknown_stream.
  virtual std::unique_ptr<Publisher> publisher(std::string stream, PublisherOptions options) = 0;
  // `receiver` outlives the subscription.
  virtual std::unique_ptr<Subscription> subscribe(SubscribeOptions options, Receiver& receiver) = 0;
};

// Requires at least one server.
std::unique_ptr<Client> make_client(env::Loop& loop, Transport& transport, Prng& random,
                                    ClientOptions options);

}  // namespace bascule::client
