// One running subscription: reads behind the HW of a partition, thins out, delivers within the credit.
//
//   waiting for HW ──committed──▶ reading ──batches──▶ deliver ──credit left──▶ reading …
//         ▲                                              │ credit spent: add_credit() reads on
//         └──────────────── at HW ───────────────────────┘
//
// At most one read is in flight, of no more bytes than the credit (a batch at least), and what it gives
// is handed over in the turn in which it arrives: a subscription buffers nothing. Positions only rise;
// nothing at or above HW is ever read. It ends once: at its stop position, with an error, or, without a
// word, when its holder destroys it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "src/base/ids.h"
#include "src/broker/api.h"
#include "src/broker/thinning.h"
#include "src/env/world.h"
#include "src/partition/partition.h"

namespace bascule::broker {

// Counts the subscriptions of a broker; shared, since a holder may keep one longer than the broker.
using SubscriptionCount = std::shared_ptr<uint64_t>;

struct SubscriptionStart {
  Offset first;
  std::optional<Offset> until;         // stop position; none: for ever
  std::optional<WallTime> until_time;  // likewise
  std::string filter;
  uint64_t credit_bytes = 0;
  // The position is not on the log's history: end at once with log_truncated.
  std::optional<Offset> diverged_at;
};

class ActiveSubscription final : public Subscription, private partition::CommittedReader {
 public:
  ActiveSubscription(env::Loop& loop, Tracer& trace, Subscriber& subscriber,
                     SubscriptionCount count);
  ~ActiveSubscription() override;

  // Begins in a later turn. `partition` outlives this or calls ended(). Errors: those of Partition::attach; nothing has begun then.
  Status begin(partition::Partition& partition, SubscriptionStart start);
  void add_credit(uint64_t bytes) override;

 private:
  void committed() override;
  void ended(const Error& why) override;

  void pump();
  void watch_stop_time();
  void complete();
  void read();
  void on_read(Result<log::ReadResult> result);
  // False: destroyed by the subscriber, nothing may be touched.
  bool deliver(std::vector<Delivery> deliveries);
  // Posts the last call.
  void finish(SubscriptionEnd end);
  void fail_with(Error error);

  env::Loop& loop_;
  Tracer& trace_;
  Subscriber& subscriber_;
  SubscriptionCount count_;
  partition::Partition* partition_ = nullptr;  // null: not begun, or ended
  Wanted wanted_;  // wanted_.from is the position: first offset not yet delivered
  std::optional<Offset> until_;
  int64_t credit_ = 0;  // below 0: a batch was larger than what was left
  bool first_ = true;   // nothing was delivered: one batch passes without credit
  bool reading_ = false;
  bool waiting_ = false;         // for HW to pass the position
  env::TimerId timer_;           // for the stop time
  std::shared_ptr<bool> alive_;  // false: destroyed, perhaps inside deliver()
  env::Scope scope_;
};

}  // namespace bascule::broker
