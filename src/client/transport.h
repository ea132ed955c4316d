// How the client library reaches brokers: a small interface that a wire protocol implements
// (capnp/rpc_transport.h) and tests fake.
//
// A Connection carries requests to one broker as values of broker/api.h. Each request is answered
// exactly once, in a later turn, unless the connection is destroyed first: then it is dropped. When
// the connection breaks, each open request gets
//   connection_lost   if nothing of it was given to the network: it did not happen;
//   outcome_unknown   if some of it was.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/result.h"
#include "src/broker/api.h"
#include "src/env/loop.h"
#include "src/env/network.h"

namespace bascule::client {

// Who leads, as the broker that refused knows it.
struct LeaderHint {
  NodeId node;
  Epoch epoch;
  std::optional<env::Address> address;  // where its clients connect

  bool operator==(const LeaderHint&) const = default;
};

struct Failure {
  Error error;
  std::optional<LeaderHint> leader;
};

template <class T>
using Answer = std::move_only_function<void(std::expected<T, Failure>)>;

// Where clients reach a broker.
struct NodeEndpoint {
  NodeId node;
  env::Address address;

  bool operator==(const NodeEndpoint&) const = default;
};

// A stream as a client needs it: what it is, and where its leaders are.
struct StreamInfo {
  broker::StreamStatus status;
  std::vector<NodeEndpoint> nodes;
  broker::AsOf as_of;  // index 0 where the broker said nothing of it
};

struct PublishRequest {
  StreamId stream;
  PartitionIndex partition;
  Epoch epoch;  // 0: whichever is current
  model::Acks acks = model::Acks::all;
  MonotonicTime deadline = MonotonicTime::never();
  Slice batch;  // sent without a copy
};

class Connection {
 public:
  virtual ~Connection() = default;

  virtual void create_stream(broker::CreateStream request, Answer<StreamInfo> done) = 0;
  virtual void list_streams(broker::MetadataRead read, Answer<broker::StreamList> done) = 0;
  virtual void describe_stream(broker::StreamRef stream, broker::MetadataRead read,
                               Answer<StreamInfo> done) = 0;
  virtual void delete_stream(StreamId stream, MonotonicTime deadline, Answer<void> done) = 0;
  virtual void cluster_status(broker::MetadataRead read, Answer<broker::ClusterStatus> done) = 0;
  virtual void change_cluster(broker::ClusterChange change, MonotonicTime deadline,
                              Answer<void> done) = 0;
  virtual void decide_cluster(broker::ClusterDecision decision, MonotonicTime deadline,
                              Answer<void> done) = 0;
  virtual void allocate_producer(MonotonicTime deadline, Answer<ProducerId> done) = 0;
  virtual void read_events(broker::ReadEvents request, Answer<broker::EventsPage> done) = 0;
  virtual void publish(PublishRequest request, Answer<broker::PublishAck> done) = 0;
  // As Api::subscribe. When the connection breaks, the subscriber's end has `connection_lost`.
  virtual void subscribe(broker::Subscribe request, broker::Subscriber& subscriber,
                         Answer<broker::SubscribeStarted> done) = 0;
  // Runs once when the connection has broken, after each open request has had its answer; not after
  // the connection is destroyed, which it may be in this call.
  virtual void on_closed(std::move_only_function<void(Error)> task) = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;

  // Connects and authenticates (`token` empty: without credentials). Errors: connection_refused,
  // connection_lost, deadline_exceeded (no answer in `timeout`), unauthenticated, unsupported (the
  // other side speaks something else).
  virtual void connect(env::Address server, std::string token, Duration timeout,
                       env::Done<std::unique_ptr<Connection>> done) = 0;
};

}  // namespace bascule::client
