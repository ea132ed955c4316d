#include "capnp/kj_guest.h"

#include <string>

#include "src/base/assert.h"

namespace bascule::rpc {
namespace {

// Events of one task: so many that a burst of calls is one task, so few that other work gets its turn.
constexpr kj::uint k_events_per_task = 512;

}  // namespace

KjGuest::KjGuest(env::Loop& loop) : loop_(loop), kj_loop_(static_cast<kj::EventPort&>(*this)) {}

KjGuest::~KjGuest() noexcept {
  REQUIRE(entered_ == 0, entered_);
  settle();
}

kj::TimePoint KjGuest::now() const {
  return kj::origin<kj::TimePoint>() + loop_.now().ns * kj::NANOSECONDS;
}

bool KjGuest::wait() {
  ASSERT(false);
  return false;
}

bool KjGuest::poll() { return false; }

void KjGuest::setRunnable(bool runnable) {
  runnable_ = runnable;
  if (runnable) run_soon();
}

void KjGuest::defer(env::Task task) {
  deferred_.push_back(std::move(task));
  run_soon();
}

void KjGuest::run_soon() {
  if (posted_) return;
  posted_ = true;
  loop_.post(alive_.wrap([this] { run(); }));
}

void KjGuest::settle() {
  while (runnable_) run_events(k_events_per_task);
}

void KjGuest::run_events(kj::uint count) {
  REQUIRE(!running_);
  running_ = true;
  const Status status = enter([&] { kj_loop_.run(count); });
  ASSERT(status.has_value());
  running_ = false;
}

void KjGuest::run() {
  run_events(k_events_per_task);
  posted_ = false;
  if (runnable_) run_soon();
  // A deferred task may destroy this guest.
  auto tasks = std::exchange(deferred_, {});
  for (env::Task& task : tasks) task();
}

Status KjGuest::caught(const kj::Exception& exception) { return fail(error_of(exception)); }

kj::Exception disconnected(const Error& error) {
  const std::string text = error.to_string();
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::str(text.c_str()));
}

Error error_of(const kj::Exception& exception) {
  const kj::StringPtr description = exception.getDescription();
  std::string text(description.cStr(), description.size());
  switch (exception.getType()) {
    case kj::Exception::Type::DISCONNECTED: return {Errc::connection_lost, std::move(text)};
    case kj::Exception::Type::OVERLOADED: return {Errc::overloaded, std::move(text)};
    case kj::Exception::Type::UNIMPLEMENTED: return {Errc::unsupported, std::move(text)};
    case kj::Exception::Type::FAILED: break;
  }
  return {Errc::internal, std::move(text)};
}

}  // namespace bascule::rpc
