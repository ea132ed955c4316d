#include "src/client/publisher.h"

#include <algorithm>
#include <utility>

#include "src/base/assert.h"

namespace bascule::client {
namespace {

// How often deadlines are looked at while records are open.
constexpr Duration k_tick = milliseconds(50);
// What a record costs beside its bytes.
constexpr size_t k_record_overhead = 32;

class PublisherImpl final : public LaneOwner, public std::enable_shared_from_this<PublisherImpl> {
 public:
  PublisherImpl(Shared& shared, Metadata& metadata, std::string name, PublisherOptions options)
      : shared_(shared),
        metadata_(metadata),
        name_(std::move(name)),
        options_(std::move(options)) {}

  // The user has let go, perhaps inside one of our calls: nothing is called any more, and what is here
  // goes when that call has returned.
  void close() { closed_ = true; }

  Result<uint64_t> publish(const model::RecordView& record, Done<Published> done) {
    BASCULE_TRY(model::check_record(record));
    const size_t cost = model::record_bytes(record, record.timestamp) + k_record_overhead;
    if (buffered_ > 0 && buffered_ + cost > options_.buffered_bytes_max)
      return fail(Errc::overloaded, "the publisher's buffer is full");
    const uint64_t sequence = next_sequence_;
    if (stream_) {
      BASCULE_TRY(route(record, sequence, cost, std::move(done)));
    } else {
      unrouted_.push_back({record.to_record(), sequence, cost,
                           shared_.loop.now() + options_.delivery_timeout, std::move(done)});
      look_up();
    }
    ++next_sequence_;
    ++open_;
    buffered_ += cost;
    tick_soon();
    ask_for_id();
    return sequence;
  }

  void on_batch(std::move_only_function<void(const BatchOutcome&)> observer) {
    observer_ = std::move(observer);
  }

  void when_ready(env::Task task) {
    ready_tasks_.push_back(std::move(task));
    tell_ready();
  }

  void flush(Done<void> done) {
    flushes_.push_back({next_sequence_, open_, std::move(done)});
    if (open_ == 0) {
      shared_.loop.post([self = weak_from_this()] {
        if (const auto publisher = self.lock()) publisher->finish_flushes();
      });
    }
  }

  size_t buffered_bytes() const { return buffered_; }

  // --- LaneOwner ---
  const PublisherOptions& options() const override { return options_; }
  const StreamInfo& stream() const override { return *stream_; }
  void stale() override {
    metadata_.forget(name_);
    look_up();
  }
  ProducerId producer() const override { return id_; }
  void batch_closed(PartitionIndex partition) override {
    if (partition != round_robin_) return;
    round_robin_ = PartitionIndex((partition.value + 1) % partition_count());
  }
  void batch_done(PartitionIndex, OutgoingBatch batch, Result<broker::PublishAck> result) override {
    if (closed_) return;
    const auto self = shared_from_this();  // the user may let go in any of these calls
    if (observer_) observer_({batch.sequences, result});
    for (auto& [index, done] : batch.dones) {
      if (closed_) return;
      if (result) {
        const bool placed = options_.acks != model::Acks::none;
        done(Published{result->partition, result->epoch,
                       placed ? result->base_offset + index : Offset{}, result->duplicate});
      } else {
        done(fail(result.error()));
      }
    }
    if (closed_) return;
    for (const uint64_t sequence : batch.sequences) {
      for (Flush& flush : flushes_) {
        if (sequence < flush.until) --flush.open;
      }
    }
    settle(batch.sequences.size(), batch.cost, result ? nullptr : &result.error());
  }

 private:
  struct Unrouted {
    model::Record record;
    uint64_t sequence;
    size_t cost;
    MonotonicTime deadline;
    Done<Published> done;
  };
  struct Flush {
    uint64_t until;  // first sequence that it does not wait for
    uint64_t open;   // records before that without an answer
    Done<void> done;
  };

  uint32_t partition_count() const {
    return std::max<uint32_t>(1, static_cast<uint32_t>(stream_->status.partitions.size()));
  }

  Status route(const model::RecordView& record, uint64_t sequence, size_t cost,
               Done<Published> done) {
    PartitionIndex partition = round_robin_;
    if (options_.partition) {
      partition = *options_.partition;
    } else if (record.key) {
      partition = PartitionIndex(model::partition_of_key(*record.key, partition_count()));
    }
    auto& lane = lanes_[partition];
    if (!lane) lane = std::make_unique<PublishLane>(shared_, metadata_, *this, partition);
    return lane->add(record, sequence, cost, std::move(done));
  }

  void look_up() {
    if (std::exchange(looking_up_, true)) return;
    metadata_.find(name_, [self = weak_from_this()](Result<StreamInfoRef> info) {
      if (const auto publisher = self.lock(); publisher && !publisher->closed_)
        publisher->found(std::move(info));
    });
  }

  // Nothing waits for it: records go without a producer until there is one.
  void ask_for_id() {
    if (id_ || std::exchange(asking_for_id_, true)) return;
    std::make_shared<Request<ProducerId>>(
        shared_,
        [](Connection& to, MonotonicTime deadline, Answer<ProducerId> answer) {
          to.allocate_producer(deadline, std::move(answer));
        },
        [self = weak_from_this()](Result<ProducerId> id) {
          const auto publisher = self.lock();
          if (!publisher) return;
          publisher->asking_for_id_ = false;
          if (id) publisher->id_ = *id;
        })
        ->start();
  }

  void found(Result<StreamInfoRef> info) {
    looking_up_ = false;
    // Another stream under this name is not the one that records were routed for.
    if (info && stream_ && (*info)->status.id != stream_->status.id)
      info = fail(Errc::unknown_stream, "the stream was deleted; another one has its name");
    if (info) {
      stream_ = std::move(*info);
      if (options_.partition && options_.partition->value >= stream_->status.partitions.size())
        return fail_unrouted({Errc::unknown_partition, name_});
      for (Unrouted& record : std::exchange(unrouted_, {})) {
        // It was checked when it came, so it fits a batch.
        const Status status = route(model::view_of(record.record), record.sequence, record.cost,
                                    std::move(record.done));
        ASSERT(status.has_value());
      }
      return;
    }
    fail_unrouted(info.error());
  }

  void fail_unrouted(const Error& error) {
    if (unrouted_.empty()) return;
    auto records = std::exchange(unrouted_, {});
    OutgoingBatch batch;
    for (Unrouted& record : records) {
      if (record.done)
        batch.dones.emplace_back(static_cast<uint32_t>(batch.sequences.size()),
                                 std::move(record.done));
      batch.sequences.push_back(record.sequence);
      batch.cost += record.cost;
    }
    batch_done(PartitionIndex{}, std::move(batch), fail(error));
  }

  void settle(size_t records, size_t cost, const Error* error) {
    open_ -= records;
    buffered_ -= cost;
    if (error && !first_error_) first_error_ = *error;
    finish_flushes();
    tell_ready();
  }

  void finish_flushes() {
    while (!flushes_.empty() && flushes_.front().open == 0) {
      Done<void> done = std::move(flushes_.front().done);
      flushes_.erase(flushes_.begin());
      const auto error = std::exchange(first_error_, std::nullopt);
      if (error) {
        done(fail(*error));
      } else {
        done({});
      }
    }
  }

  void tell_ready() {
    if (ready_tasks_.empty() || buffered_ >= options_.buffered_bytes_max / 2) return;
    for (env::Task& task : std::exchange(ready_tasks_, {})) shared_.loop.post(std::move(task));
  }

  void tick_soon() {
    if (std::exchange(ticking_, true)) return;
    shared_.loop.after(k_tick, shared_.alive.wrap([self = weak_from_this()] {
      if (const auto publisher = self.lock(); publisher && !publisher->closed_) publisher->tick();
    }));
  }

  void tick() {
    ticking_ = false;
    const MonotonicTime now = shared_.loop.now();
    if (!unrouted_.empty() && unrouted_.front().deadline <= now)
      fail_unrouted({Errc::deadline_exceeded, "the stream could not be looked up"});
    std::vector<PartitionIndex> partitions;
    for (const auto& [partition, lane] : lanes_) partitions.push_back(partition);
    for (const PartitionIndex partition : partitions) {
      if (closed_) return;
      lanes_[partition]->expire(now);
    }
    if (!closed_ && open_ > 0) tick_soon();
  }

  Shared& shared_;
  Metadata& metadata_;
  const std::string name_;
  const PublisherOptions options_;
  bool closed_ = false;
  bool looking_up_ = false;
  bool asking_for_id_ = false;
  ProducerId id_;  // 0: none yet
  bool ticking_ = false;
  StreamInfoRef stream_;  // null: not found yet
  std::vector<Unrouted> unrouted_;
  std::map<PartitionIndex, std::unique_ptr<PublishLane>> lanes_;
  PartitionIndex round_robin_;
  uint64_t next_sequence_ = 0;
  uint64_t open_ = 0;  // records without an answer
  size_t buffered_ = 0;
  std::optional<Error> first_error_;
  std::vector<Flush> flushes_;
  std::vector<env::Task> ready_tasks_;
  std::move_only_function<void(const BatchOutcome&)> observer_;
};

class PublisherHandle final : public Publisher {
 public:
  explicit PublisherHandle(std::shared_ptr<PublisherImpl> impl) : impl_(std::move(impl)) {}
  ~PublisherHandle() override { impl_->close(); }

  Result<uint64_t> publish(const model::RecordView& record, Done<Published> done) override {
    return impl_->publish(record, std::move(done));
  }
  void on_batch(std::move_only_function<void(const BatchOutcome&)> observer) override {
    impl_->on_batch(std::move(observer));
  }
  void when_ready(env::Task task) override { impl_->when_ready(std::move(task)); }
  void flush(Done<void> done) override { impl_->flush(std::move(done)); }
  size_t buffered_bytes() const override { return impl_->buffered_bytes(); }

 private:
  std::shared_ptr<PublisherImpl> impl_;
};

}  // namespace

std::unique_ptr<Publisher> make_publisher(Shared& shared, Metadata& metadata, std::string stream,
                                          PublisherOptions options) {
  return std::make_unique<PublisherHandle>(
      std::make_shared<PublisherImpl>(shared, metadata, std::move(stream), std::move(options)));
}

}  // namespace bascule::client
