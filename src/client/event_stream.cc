#include "src/client/event_stream.h"

#include <algorithm>
#include <utility>

namespace bascule::client {
namespace {

constexpr Duration k_wait = seconds(20);

class EventStreamImpl final : public EventStream {
 public:
  EventStreamImpl(Shared& shared, const broker::EventsStart& from, EventReceiver& receiver)
      : shared_(shared), from_(from), receiver_(receiver), backoff_(shared.backoff()) {
    read();
  }
  ~EventStreamImpl() override { *alive_ = false; }

 private:
  void read() {
    ReadEventsOptions options;
    options.wait = k_wait;
    read_events(shared_, from_, options, scope_.wrap([this](Result<broker::EventsPage> page) {
      if (!page) return failed(page.error());
      backoff_.reset();
      from_ = page->next;
      hand_over(*page);
    }));
  }

  void hand_over(const broker::EventsPage& page) {
    const std::shared_ptr<bool> alive = alive_;  // the receiver may destroy this
    if (page.lost) receiver_.events_lost(*page.lost);
    if (*alive && !page.events.empty()) receiver_.events(page.events);
    if (*alive) read();
  }

  void failed(const Error& error) {
    if (errc_retry(error.code) == Retry::never) return receiver_.ended(error);
    shared_.loop.after(backoff_.next(), scope_.wrap([this] { read(); }));
  }

  Shared& shared_;
  broker::EventsStart from_;
  EventReceiver& receiver_;
  Backoff backoff_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  env::Scope scope_;
};

}  // namespace

void read_events(Shared& shared, const broker::EventsStart& from, const ReadEventsOptions& options,
                 Done<broker::EventsPage> done) {
  std::make_shared<Request<broker::EventsPage>>(
      shared,
      [&shared, from, options](Connection& to, MonotonicTime deadline,
                               Answer<broker::EventsPage> answer) {
        // An answer that is empty has to come before the request is given up.
        const MonotonicTime now = shared.loop.now();
        const Duration wait = std::min(options.wait, (deadline - now) / 2);
        to.read_events({from, options.max, options.max_age, now + wait}, std::move(answer));
      },
      std::move(done))
      ->start();
}

std::unique_ptr<EventStream> make_event_stream(Shared& shared, const broker::EventsStart& from,
                                               EventReceiver& receiver) {
  return std::make_unique<EventStreamImpl>(shared, from, receiver);
}

}  // namespace bascule::client
