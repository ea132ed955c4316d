#include "src/client/subscription.h"

#include <map>
#include <utility>

#include "src/client/partition_reader.h"

namespace bascule::client {
namespace {

class SubscriptionImpl final : public ReaderOwner,
                               public std::enable_shared_from_this<SubscriptionImpl> {
 public:
  SubscriptionImpl(Shared& shared, Metadata& metadata, SubscribeOptions options, Receiver& receiver)
      : shared_(shared), metadata_(metadata), options_(std::move(options)), receiver_(&receiver) {}

  void start() {
    metadata_.find(options_.stream, [self = weak_from_this()](Result<StreamInfoRef> info) {
      const auto subscription = self.lock();
      if (subscription && subscription->receiver_ != nullptr) subscription->found(std::move(info));
    });
  }

  // The user has let go, perhaps inside a call of the receiver: what is here goes once that has
  // returned, by the task that holds it.
  void close() {
    receiver_ = nullptr;
    shared_.loop.post([self = shared_from_this()] {});
  }

  void pause() { paused_ = true; }
  void resume() {
    if (!std::exchange(paused_, false)) return;
    for (auto& [partition, reader] : readers_) reader->resume();
  }

  // --- ReaderOwner ---
  const SubscribeOptions& options() const override { return options_; }
  const StreamInfo& stream() const override { return *stream_; }
  Receiver* receiver() override { return receiver_; }
  bool paused() const override { return paused_; }
  void stale() override {
    metadata_.forget(options_.stream);
    if (std::exchange(looking_up_, true)) return;
    metadata_.find(options_.stream, [self = weak_from_this()](Result<StreamInfoRef> info) {
      const auto subscription = self.lock();
      if (!subscription) return;
      subscription->looking_up_ = false;
      // A stream that is gone, or another one under its name: the broker says so to the readers.
      if (info && (*info)->status.id == subscription->stream_->status.id)
        subscription->stream_ = std::move(*info);
    });
  }
  void reader_ended(const PartitionEnd& end) override {
    if (receiver_ == nullptr) return;
    --open_;
    receiver_->partition_ended(end);
    if (open_ == 0) finish({});
  }

 private:
  void found(Result<StreamInfoRef> info) {
    if (!info) return finish(fail(std::move(info.error())));
    stream_ = std::move(*info);
    const auto count = static_cast<uint32_t>(stream_->status.partitions.size());
    if (options_.partition) {
      if (options_.partition->value >= count)
        return finish(fail(Errc::unknown_partition, options_.stream));
      add_reader(*options_.partition);
    } else {
      for (uint32_t i = 0; i < count; ++i) add_reader(PartitionIndex(i));
    }
    open_ = readers_.size();
    if (open_ == 0) return finish({});
    for (auto& [partition, reader] : readers_) reader->start();
  }

  void add_reader(PartitionIndex partition) {
    readers_[partition] = std::make_unique<PartitionReader>(shared_, metadata_, *this, partition);
  }

  void finish(Status result) {
    if (receiver_ == nullptr) return;
    std::exchange(receiver_, nullptr)->ended(std::move(result));
  }

  Shared& shared_;
  Metadata& metadata_;
  const SubscribeOptions options_;
  Receiver* receiver_;  // null: nothing is called any more
  bool paused_ = false;
  bool looking_up_ = false;
  size_t open_ = 0;  // readers that have not ended
  StreamInfoRef stream_;
  std::map<PartitionIndex, std::unique_ptr<PartitionReader>> readers_;
};

class SubscriptionHandle final : public Subscription {
 public:
  explicit SubscriptionHandle(std::shared_ptr<SubscriptionImpl> impl) : impl_(std::move(impl)) {}
  ~SubscriptionHandle() override { impl_->close(); }

  void pause() override { impl_->pause(); }
  void resume() override { impl_->resume(); }

 private:
  std::shared_ptr<SubscriptionImpl> impl_;
};

}  // namespace

std::unique_ptr<Subscription> make_subscription(Shared& shared, Metadata& metadata,
                                                SubscribeOptions options, Receiver& receiver) {
  auto impl = std::make_shared<SubscriptionImpl>(shared, metadata, std::move(options), receiver);
  impl->start();
  return std::make_unique<SubscriptionHandle>(std::move(impl));
}

}  // namespace bascule::client
