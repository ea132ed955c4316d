#include "src/controller/raft_metadata_log.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "src/base/assert.h"
#include "src/base/codec.h"

namespace bascule::controller {
namespace {

constexpr size_t k_prefix_bytes = 16;  // life and number of the proposer

// The controller decides when a snapshot is taken.
raft::DriverOptions without_own_snapshots(raft::DriverOptions options) {
  options.snapshot_entries = 0;
  options.snapshot_bytes = 0;
  return options;
}

Slice with_prefix(uint64_t life, uint64_t number, const Slice& command) {
  BufferRef entry = BufferRef::allocate(k_prefix_bytes + command.size());
  uint8_t* at = entry.mutable_bytes().data();
  store_le<uint64_t>(at, life);
  store_le<uint64_t>(at + 8, number);
  if (!command.empty()) std::memcpy(at + k_prefix_bytes, command.data(), command.size());
  return Slice(std::move(entry));
}

// Nothing was appended, and another try may find a leader.
bool finds_no_leader(Errc code) {
  return code == Errc::not_leader || code == Errc::not_yet || code == Errc::connection_refused;
}

}  // namespace

Result<ByteView> command_of_entry(const Slice& entry) {
  if (entry.size() < k_prefix_bytes) return fail(Errc::corrupt, "too short");
  return entry.view().subspan(k_prefix_bytes);
}

RaftMetadataLog::RaftMetadataLog(env::World& world, const RaftLogOptions& options,
                                 raft::MemberId self, raft::StoredState stored,
                                 std::unique_ptr<raft::Store> store, MemberLink* link,
                                 CommittedEntries& committed)
    : world_(world),
      options_(options),
      link_(link),
      committed_(committed),
      life_(world.random.next()),
      driver_(world.loop, self, without_own_snapshots(options.driver), std::move(stored),
              std::move(store), Prng(world.random.next()), *this, *this) {}

RaftMetadataLog::~RaftMetadataLog() = default;

Status RaftMetadataLog::start() { return driver_.start(); }

// --- Proposals -------------------------------------------------------------------------------------

void RaftMetadataLog::propose(Slice command, Urgency urgency, MonotonicTime give_up,
                              env::Done<Index> done) {
  if (stopping_) {
    return world_.loop.post(
        [done = std::move(done)]() mutable { done(fail(Errc::stopping, "the metadata log")); });
  }
  const uint64_t number = next_number_++;
  Proposal& p = waiting_[number];
  p.entry = with_prefix(life_, number, command);
  p.urgency = urgency;
  p.give_up = std::min(give_up, world_.loop.now() + options_.patience);
  p.done = std::move(done);
  if (urgency == Urgency::essential && essential_++ == 0) driver_.set_urgent(true);
  submit(number);
  retry_later();
}

void RaftMetadataLog::submit(uint64_t number) {
  Proposal& p = waiting_.at(number);
  ASSERT(!p.given);
  if (driver_.leads()) {
    p.given = true;
    driver_.propose(p.entry, alive_.wrap([this, number](Result<Index> index) {
      answered(number, index ? Status() : fail(std::move(index.error())));
    }));
    return;
  }
  const raft::MemberId leader = driver_.leader();
  if (link_ == nullptr || !leader) return;
  p.given = true;
  link_->forward(leader.node, p.entry,
                 alive_.wrap([this, number](const Status& answer) { answered(number, answer); }));
}

void RaftMetadataLog::answered(uint64_t number, const Status& answer) {
  const auto at = waiting_.find(number);
  if (at == waiting_.end()) return;  // it was applied here already
  // Committed: it will be applied here, or is unknown when patience ends.
  if (answer) return;
  Proposal& p = at->second;
  if (finds_no_leader(answer.error().code)) {
    p.given = false;
    return;
  }
  // It may take what is kept back for it, once the store has heard of that.
  if (answer.error().code == Errc::no_space && p.urgency == Urgency::essential &&
      world_.loop.now() < p.give_up) {
    p.given = false;
    return;
  }
  Error error = answer.error();
  if (error.code == Errc::connection_lost || error.code == Errc::deadline_exceeded)
    error = {Errc::outcome_unknown, "the controller did not answer"};
  finish(number, fail(std::move(error)));
}

void RaftMetadataLog::retry_later() {
  if (timer_ || waiting_.empty()) return;
  timer_ = world_.loop.after(options_.retry_interval, alive_.wrap([this] {
    timer_ = {};
    look_after_waiting();
    retry_later();
  }));
}

void RaftMetadataLog::look_after_waiting() {
  std::vector<uint64_t> numbers;
  for (const auto& [number, p] : waiting_) numbers.push_back(number);
  for (const uint64_t number : numbers) {
    const auto at = waiting_.find(number);
    if (at == waiting_.end()) continue;
    Proposal& p = at->second;
    if (world_.loop.now() >= p.give_up) {
      const bool given = p.given;
      finish(number, given ? fail(Errc::outcome_unknown, "no word of the controller in time")
                           : fail(Errc::not_leader, "no majority of the controllers is reached"));
    } else if (!p.given) {
      submit(number);
    }
  }
}

void RaftMetadataLog::finish(uint64_t number, Result<Index> result) {
  auto node = waiting_.extract(number);
  ASSERT(!node.empty(), number);
  if (node.mapped().urgency == Urgency::essential && --essential_ == 0) driver_.set_urgent(false);
  node.mapped().done(std::move(result));
}

void RaftMetadataLog::append_forwarded(Slice entry, env::Done<void> done) {
  if (entry.size() < k_prefix_bytes) {
    return world_.loop.post([done = std::move(done)]() mutable {
      done(fail(Errc::invalid, "a forwarded command: too short"));
    });
  }
  driver_.propose(std::move(entry), [done = std::move(done)](Result<Index> index) mutable {
    done(index ? Status() : fail(std::move(index.error())));
  });
}

// --- Reads -----------------------------------------------------------------------------------------

void RaftMetadataLog::read(env::Done<Index> done) {
  try_read(world_.loop.now() + options_.patience, std::move(done));
}

void RaftMetadataLog::try_read(MonotonicTime give_up, env::Done<Index> done) {
  driver_.read(alive_.wrap([this, give_up, done = std::move(done)](Result<Index> index) mutable {
    if (index || !finds_no_leader(index.error().code) || world_.loop.now() >= give_up)
      return done(std::move(index));
    world_.loop.after(options_.retry_interval,
                      alive_.wrap([this, give_up, done = std::move(done)]() mutable {
                        try_read(give_up, std::move(done));
                      }));
  }));
}

// --- The driver's side -----------------------------------------------------------------------------

void RaftMetadataLog::send(raft::Message message) {
  if (link_ != nullptr) link_->send(std::move(message));
}

Status RaftMetadataLog::restore(Index index, const Slice& snapshot) {
  return committed_.restore(index, snapshot);
}

Status RaftMetadataLog::apply(Index index, Term term, raft::EntryKind kind, const Slice& data) {
  if (kind != raft::EntryKind::command) return {};
  auto command = command_of_entry(data);
  if (!command)
    return fail(Errc::corrupt,
                "metadata entry " + index.to_string() + ": " + command.error().context);
  BASCULE_TRY(committed_.apply(index, term, *command));
  if (load_le<uint64_t>(data.data()) != life_) return {};
  const uint64_t number = load_le<uint64_t>(data.data() + 8);
  if (waiting_.contains(number)) finish(number, index);
  return {};
}

Slice RaftMetadataLog::take_snapshot() {
  ASSERT(false);  // the driver was told never to take one by itself
  return {};
}

void RaftMetadataLog::turn_ended() {
  if (on_turn_) on_turn_();
}

// --- Snapshots, the end ----------------------------------------------------------------------------

void RaftMetadataLog::save_snapshot(Index index, Slice snapshot, env::Done<void> done) {
  driver_.save_snapshot(index, std::move(snapshot), std::move(done));
}

void RaftMetadataLog::lend_reserve(env::Done<void> done) { driver_.lend_reserve(std::move(done)); }

void RaftMetadataLog::stop(env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  world_.loop.cancel(timer_);
  hand_over(
      world_.loop.now() + options_.handover_max,
      alive_.wrap([this, done = std::move(done)]() mutable { stop_driver(std::move(done)); }));
}

void RaftMetadataLog::hand_over(MonotonicTime until, env::Task then) {
  if (!driver_.leads() || world_.loop.now() >= until) return world_.loop.post(std::move(then));
  // The one that is furthest; without one there is nobody to wait for.
  raft::MemberId best;
  Index match;
  for (const raft::ProgressView& p : driver_.machine().progress()) {
    if (!p.active || !driver_.machine().configuration().is_voter(p.member) ||
        (best && p.match <= match))
      continue;
    best = p.member;
    match = p.match;
  }
  if (!best) return world_.loop.post(std::move(then));
  (void)driver_.transfer(best);
  world_.loop.after(options_.retry_interval,
                    alive_.wrap([this, until, then = std::move(then)]() mutable {
                      hand_over(until, std::move(then));
                    }));
}

void RaftMetadataLog::stop_driver(env::Done<void> done) {
  driver_.stop(alive_.wrap([this, done = std::move(done)](Status stopped) mutable {
    // What was given away may be committed; what was not never will be.
    while (!waiting_.empty()) {
      const uint64_t number = waiting_.begin()->first;
      finish(number, waiting_.begin()->second.given
                         ? fail(Errc::outcome_unknown, "the metadata log stopped")
                         : fail(Errc::stopping, "the metadata log"));
    }
    done(std::move(stopped));
  }));
}

}  // namespace bascule::controller
