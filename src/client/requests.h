// Requests that may be made again: everything but a publish. Creating a stream twice is one stream,
// deleting by id never touches another, and reads change nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "src/base/prng.h"
#include "src/client/backoff.h"
#include "src/client/client.h"
#include "src/client/connections.h"
#include "src/client/transport.h"
#include "src/env/loop.h"

namespace bascule::client {

// What the parts of a client share.
struct Shared {
  env::Loop& loop;
  Prng& random;
  ClientOptions options;
  Connections connections;
  env::Scope alive = {};

  Backoff backoff() { return {random, options.retry_pause_first, options.retry_pause_last}; }
};

// What a request does where it is carried out though nobody hears of it.
enum class Effect : uint8_t { none, change };

// Makes one request until it is answered, refused for good, or its time is over. Kept alive by what it
// waits for.
template <class T>
class Request final : public std::enable_shared_from_this<Request<T>> {
 public:
  using Make = std::move_only_function<void(Connection&, MonotonicTime deadline, Answer<T>)>;

  Request(Shared& shared, Make make, Done<T> done, Effect effect = Effect::none)
      : shared_(shared),
        make_(std::move(make)),
        done_(std::move(done)),
        effect_(effect),
        backoff_(shared.backoff()) {}

  void start() {
    const MonotonicTime now = shared_.loop.now();
    deadline_ = now + shared_.options.request_timeout;
    connect_by_ = now + shared_.options.connect_timeout;
    timer_ = shared_.loop.schedule(deadline_, shared_.alive.wrap([self = this->weak_from_this()] {
      if (const auto request = self.lock()) request->time_over();
    }));
    attempt();
  }

 private:
  void attempt() {
    shared_.connections.any([self = this->shared_from_this()](Result<ConnectionRef> connection) {
      if (!self->done_) return;
      if (!connection) return self->not_connected(std::move(connection.error()));
      self->connect_by_ = self->deadline_;
      Connection& to = **connection;
      self->unanswered_ = true;
      self->make_(to, self->deadline_, [self](std::expected<T, Failure> result) mutable {
        self->answered(std::move(result));
      });
    });
  }

  void not_connected(Error error) {
    const bool definite = error.code != Errc::unauthenticated && error.code != Errc::unsupported &&
                          error.code != Errc::invalid;
    if (!definite || shared_.loop.now() >= connect_by_) return finish(fail(std::move(error)));
    again();
  }

  void answered(std::expected<T, Failure> result) {
    if (!done_) return;
    unanswered_ = false;
    if (result) {
      if constexpr (std::is_void_v<T>) {
        return finish({});
      } else {
        return finish(std::move(*result));
      }
    }
    Error& error = result.error().error;
    if (errc_retry(error.code) == Retry::idempotent) maybe_done_ = true;
    if (errc_retry(error.code) == Retry::never) return finish(fail(std::move(error)));
    // This broker says that another one can, or is on its way out.
    if (errc_retry(error.code) == Retry::elsewhere) shared_.connections.prefer_another();
    last_said_ = std::move(error);
    again();
  }

  void again() {
    shared_.loop.after(backoff_.next(), shared_.alive.wrap([self = this->shared_from_this()] {
      if (self->done_) self->attempt();
    }));
  }

  void time_over() {
    std::string why = "no broker answered in time";
    if (last_said_) why += "; the last answer was " + last_said_->to_string();
    const bool unknown = effect_ == Effect::change && (maybe_done_ || unanswered_);
    finish(fail(unknown ? Errc::outcome_unknown : Errc::deadline_exceeded, std::move(why)));
  }

  void finish(Result<T> result) {
    shared_.loop.cancel(timer_);
    if (auto done = std::exchange(done_, {})) done(std::move(result));
  }

  Shared& shared_;
  Make make_;
  Done<T> done_;
  const Effect effect_;
  Backoff backoff_;
  MonotonicTime deadline_;
  MonotonicTime connect_by_;  // until a broker has been reached
  env::TimerId timer_;
  bool maybe_done_ = false;
  bool unanswered_ = false;         // a broker was asked, and has not answered
  std::optional<Error> last_said_;  // by a broker that was to be asked again
};

}  // namespace bascule::client
