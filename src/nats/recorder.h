// The recorder: takes every message that NATS clients publish to the streams that record its subject, and
// answers those publishers who asked for it.
//
// It stands beside the traffic: subscribers get a message at once, whatever the recorder does with it. It
// observes the broker's streams, picks each message's partitions by subject (xxh64, as a message without a
// key is placed), gathers one batch per partition while the one before is in flight, and publishes it with
// acks from all in-sync replicas. recorded + dropped + refused + unknown = messages × streams, always.
//
// When a partition holds too much, publishers are held back for a moment (Verdict::pause), and what comes
// after that is dropped and counted: a log that stands still must not stop the NATS traffic.
//
// A stream that answers publishers sends JetStream's PubAck to a message's reply subject, once the message
// is as durable as the stream promises, or JetStream's error.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/broker/api.h"
#include "src/env/world.h"
#include "src/nats/message.h"
#include "src/nats/options.h"
#include "src/nats/recorder_partition.h"
#include "src/nats/subject_cache.h"
#include "src/nats/subject_index.h"

namespace bascule::nats {

class Recorder final : private broker::StreamObserver, private PartitionSink {
 public:
  // The NATS system whose messages are recorded.
  class Host {
   public:
    virtual ~Host() = default;
    // Publishes an answer of the broker's. Answers are not recorded themselves.
    virtual void answer(std::string_view subject, std::string_view payload) = 0;
    // A publisher that was told to pause may go on.
    virtual void resume(ConnectionId publisher) = 0;
  };

  struct Verdict {
    bool answered = false;  // the reply subject gets, or will get, an answer from a stream
    bool pause = false;     // read nothing more from this publisher until resume()
  };

  // `world` and `api` outlive the recorder.
  Recorder(env::World world, broker::Api& api, RecorderOptions options);
  ~Recorder() override;

  // Called before the first message; what happens after detach() is answered to nobody.
  void attach(Host& host);
  void detach();

  // Records `message`, with a valid subject. `publisher` is the one to be held back; 0: nobody can be.
  Verdict record(const Message& message, ConnectionId publisher);
  // Whether any stream records `subject`.
  bool records(std::string_view subject) { return !routes_of(subject).empty(); }

  // Completes when all that was recorded so far has its outcome and the answers are with the host. Whoever
  // drains gives no more messages. One drain at a time.
  void drain(env::Done<void> done);

  RecorderStats stats() const;

 private:
  struct Stream {
    model::StreamConfig config;
    bool answers = false;
    StreamId id;
    // By index; made with its first message.
    std::vector<std::unique_ptr<RecorderPartition>> partitions;
  };
  // One stream that records a subject, and where.
  struct Target {
    Stream* stream = nullptr;
    PartitionIndex partition;
  };
  using Targets = std::vector<Target>;
  struct Answer {
    std::string subject;
    std::string payload;
  };

  void stream_changed(const broker::StreamRoute& stream) override;
  void stream_removed(StreamId id) override;

  void recorder_has_work(RecorderPartition& partition) override;
  void recorder_answer(std::string subject, std::string payload) override;
  void recorder_resume(ConnectionId publisher) override;
  void recorder_idle() override;

  const Targets& routes_of(std::string_view subject);
  void find_targets(std::string_view subject, Targets& out);
  RecorderPartition& partition_of(const Target& target);
  // The error of JetStream's for a message that the stream does not take; nullopt: it may.
  std::optional<std::string> refusal(const Stream& stream, const Message& message,
                                     bool answers) const;
  void record_in(const Target& target, const Message& message, ConnectionId publisher,
                 Verdict& verdict);
  void wake_at_turn_end();
  void turn_end();
  bool idle() const;

  env::World world_;
  broker::Api& api_;
  RecorderOptions options_;
  Host* host_ = nullptr;
  std::map<StreamId, Stream> streams_;
  SubjectIndex<StreamId> filters_;
  SubjectCache<Targets> cache_;
  uint64_t generation_ = 1;
  model::RecordView record_;  // of the message at hand; kept for its memory
  RecorderShared shared_;
  std::vector<RecorderPartition*> with_work_;
  std::vector<Answer> answers_;  // given to the host at the end of the turn
  bool wake_pending_ = false;
  env::Done<void> drain_;  // of a drain under way
  env::Scope scope_;
};

}  // namespace bascule::nats
