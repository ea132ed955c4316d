// A subscription whose deliveries and end are held against the oracles.
#pragma once

#include <functional>
#include <memory>

#include "sim/oracles/served_bytes.h"
#include "sim/worlds/stream_story.h"
#include "src/broker/broker.h"

namespace bascule::sim {

class OracleReader final : public broker::Subscriber {
 public:
  OracleReader(StreamStory& story, PartitionId partition) : story_(story) {
    view_.partition = partition;
  }

  void begin(broker::Broker& broker, broker::Subscribe request);
  // Credit that is granted back is granted after so long; negative: never.
  void set_grant_delay(env::Loop& loop, Duration delay) {
    loop_ = &loop;
    grant_delay_ = delay;
  }
  // Keeps all that is read, from `first` on.
  void keep(WholeRead& into) { kept_ = &into; }
  void on_end(std::function<void(const Result<broker::SubscriptionEnd>&)> f) {
    on_end_ = std::move(f);
  }

  void deliver(broker::Delivery delivery) override;
  void end(broker::SubscriptionEnd end) override;
  bool ended() const { return ended_; }

 private:
  void check_end(const broker::SubscriptionEnd& end);

  StreamStory& story_;
  ReaderView view_;
  std::string filter_;
  uint32_t header_seed_ = 0;
  Offset seen_at_begin_;  // another reader had seen up to here
  WholeRead* kept_ = nullptr;
  env::Loop* loop_ = nullptr;
  Duration grant_delay_;
  std::function<void(const Result<broker::SubscriptionEnd>&)> on_end_;
  std::unique_ptr<broker::Subscription> subscription_;
  bool ended_ = false;
  env::Scope scope_;
};

}  // namespace bascule::sim
