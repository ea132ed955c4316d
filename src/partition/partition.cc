#include "src/partition/partition.h"

#include <algorithm>
#include <utility>

#include "src/base/assert.h"

namespace bascule::partition {

Partition::Partition(env::Loop& loop, Tracer& trace, PartitionOptions options,
                     std::unique_ptr<log::Log> log)
    : loop_(loop), trace_(trace), options_(options), log_(std::move(log)) {
  REQUIRE(log_ != nullptr);
  hw_ = log_->recovered_hw();
  log_->on_progress(scope_.wrap([this] { on_log_progress(); }));
}

Partition::~Partition() {
  loop_.cancel(deadline_timer_);
  loop_.cancel(drain_timer_);
  end_readers({Errc::stopping, ""});
}

// --- What the machine says ------------------------------------------------------------------------

void Partition::perform(LeaderOutput output) {
  if (output.hw) {
    hw_ = *output.hw;
    log_->note_hw(hw_);
    wake_readers();
    if (replicating_) replicating_->hw_moved();
  }
  if (output.answers.empty()) return set_deadline_timer();
  const Epoch epoch = view_.epoch;
  // Publishers are answered in a turn of their own, after all state is as the machine says: they may
  // call back into this partition, or have it stopped.
  std::vector<std::pair<env::Done<PublishResult>, AckOutcome>> answers;
  answers.reserve(output.answers.size());
  for (const AckOutcome& outcome : output.answers) {
    env::Done<PublishResult>& slot = answers_[outcome.request.value - first_request_];
    answers.emplace_back(std::exchange(slot, nullptr), outcome);
  }
  while (!answers_.empty() && !answers_.front()) {
    answers_.pop_front();
    ++first_request_;
  }
  loop_.post([epoch, answers = std::move(answers)]() mutable {
    for (auto& [done, outcome] : answers) {
      switch (outcome.outcome) {
        case Outcome::acked: done(PublishResult{epoch, outcome.base, outcome.count}); break;
        case Outcome::unknown_deadline:
          done(fail(Errc::outcome_unknown, "appended, and not committed by the deadline"));
          break;
        case Outcome::unknown_leadership_lost:
          done(fail(Errc::outcome_unknown, "appended, and the leadership ended"));
          break;
      }
    }
  });
  set_deadline_timer();
  maybe_drained();
}

void Partition::on_log_progress() {
  if (following_) following_->log_progressed();
  if (!leader_) return;
  perform(leader_->progress(options_.self, {log_->written_leo(), log_->durable_leo()}));
}

// --- Deadlines ------------------------------------------------------------------------------------

void Partition::set_deadline_timer() {
  MonotonicTime next = leader_ ? leader_->next_deadline() : MonotonicTime::never();
  for (const Waiting& waiting : waiting_) next = std::min(next, waiting.admission.deadline);
  // A timer that is early looks again; only one that is late must be moved.
  if (next >= deadline_timer_at_) return;
  loop_.cancel(deadline_timer_);
  deadline_timer_at_ = next;
  deadline_timer_ = loop_.schedule(next, scope_.wrap([this] { on_deadline(); }));
}

void Partition::on_deadline() {
  deadline_timer_at_ = MonotonicTime::never();
  expire_waiting();
  if (leader_) perform(leader_->expire(loop_.now()));
  set_deadline_timer();
}

// --- Readers --------------------------------------------------------------------------------------

void Partition::read_committed(Offset from, size_t bytes_max, env::Done<log::ReadResult> done) {
  if (!leader_) {
    return loop_.post([done = std::move(done)]() mutable { done(fail(Errc::not_leader)); });
  }
  log_->read({.from = from, .until = leader_->hw(), .bytes_max = bytes_max}, std::move(done));
}

void Partition::find_time(WallTime time, env::Done<Offset> done) {
  // The log outlives its completions, and this object the log.
  log_->find_time(time, [this, done = std::move(done)](Result<Offset> found) mutable {
    if (found && *found > hw()) found = hw();
    done(std::move(found));
  });
}

Status Partition::attach(CommittedReader& reader) {
  if (stopping_ || draining_) return fail(Errc::stopping);
  if (!leader_) return fail(Errc::not_leader);
  if (readers_.size() >= options_.readers_max)
    return fail(Errc::overloaded, "too many subscriptions of this partition");
  readers_.push_back({&reader, std::nullopt});
  return {};
}

void Partition::detach(CommittedReader& reader) {
  std::erase_if(readers_, [&](const Reader& r) { return r.reader == &reader; });
}

void Partition::wait_above(CommittedReader& reader, Offset offset) {
  const auto it = std::ranges::find(readers_, &reader, &Reader::reader);
  REQUIRE(it != readers_.end() && !it->above);
  it->above = offset;
  if (hw() > offset) loop_.post(scope_.wrap([this] { wake_readers(); }));
}

void Partition::wake_readers() {
  const Offset now = hw();
  // A reader may wait again at once, but it neither attaches nor detaches readers here.
  for (size_t i = 0; i < readers_.size(); ++i) {
    Reader& reader = readers_[i];
    if (!reader.above || now <= *reader.above) continue;
    reader.above.reset();
    reader.reader->committed();
  }
}

void Partition::end_readers(const Error& why) {
  for (Reader& reader : std::exchange(readers_, {})) reader.reader->ended(why);
}

// --- Retention ------------------------------------------------------------------------------------

void Partition::run_retention(ClockTrust clock, env::Done<Offset> done) {
  std::optional<Offset> to;
  if (leader_ && !stopping_ && view_.retention.any()) {
    // In memory mode HW may be ahead of what is synced; the log's start may not.
    const Offset end = std::min(leader_->hw(), log_->durable_leo());
    to = retention_start(log_->segments(), log_->log_start(), end, loop_.wall(), clock,
                         view_.retention);
  }
  if (!to) {
    return loop_.post(
        [start = log_->log_start(), done = std::move(done)]() mutable { done(start); });
  }
  trace_.probe("partition.retention.moved");
  log_->set_log_start(*to, [this, to = *to, done = std::move(done)](Status moved) mutable {
    if (!moved) return done(fail(std::move(moved.error())));
    if (replicating_) replicating_->log_start_moved();
    done(to);
  });
}

void Partition::compact(env::Done<void> done) {
  if (!stopping_) return log_->compact_thin_segments(std::move(done));
  loop_.post([done = std::move(done)]() mutable { done(fail(Errc::stopping)); });
}

// --- The end --------------------------------------------------------------------------------------

void Partition::drain(MonotonicTime until, env::Done<void> done) {
  REQUIRE(!drained_);
  draining_ = true;
  drained_ = std::move(done);
  refuse_waiting({Errc::stopping, ""});
  drain_timer_ = loop_.schedule(until, scope_.wrap([this] {
    stop_leading({Errc::stopping, "the time to drain is over"});
    maybe_drained();
  }));
  maybe_drained();
}

void Partition::maybe_drained() {
  if (!drained_ || (leader_ && leader_->waiting() != 0)) return;
  loop_.cancel(drain_timer_);
  loop_.post([done = std::exchange(drained_, nullptr)]() mutable { done({}); });
}

void Partition::stop(Error why, env::Done<void> done) {
  REQUIRE(!stopping_);
  stop_leading(why);
  stop_following();
  stopping_ = true;
  end_readers(why);
  loop_.cancel(deadline_timer_);
  log_->stop(std::move(done));
}

void Partition::check_invariants() const {
  if (leader_) {
    leader_->check_invariants();
    ASSERT(leader_->leo() == log_->leo(), leader_->leo(), log_->leo());
    ASSERT(leader_->hw() == hw_, leader_->hw(), hw_);
  }
  ASSERT(leader_ || waiting_.empty());
  ASSERT(!leader_ || (!following_ && !changing_log_));
  log_->check_invariants();
}

}  // namespace bascule::partition
