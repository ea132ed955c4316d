#include "src/raft/raft_driver.h"

#include <algorithm>

#include "src/base/assert.h"

namespace bascule::raft {

RaftDriver::RaftDriver(env::Loop& loop, MemberId self, const DriverOptions& options,
                       StoredState stored, std::unique_ptr<Store> store, Prng random,
                       Sender& sender, StateMachine& state)
    : loop_(loop),
      options_(options),
      store_(std::move(store)),
      initial_(stored.snapshot),
      // An answer to an earlier life's read, late or played again, must not be taken for this one's.
      next_read_((stored.incarnation.value << 32) + 1),
      raft_(self, options.raft, std::move(stored), loop.now(), random),
      sender_(sender),
      state_(state) {}

RaftDriver::~RaftDriver() = default;

Status RaftDriver::start() {
  REQUIRE(!started_);
  if (initial_.meta.index) BASCULE_TRY(state_.restore(initial_.meta.index, initial_.data));
  applied_ = initial_.meta.index;
  snapshot_index_ = applied_;
  if (applied_) configurations_.emplace(applied_, initial_.meta.configuration);
  initial_ = {};
  started_ = true;
  wake();
  return {};
}

// --- In --------------------------------------------------------------------------------------------

void RaftDriver::receive(Message message) {
  if (!started_ || dead_ || stopping_) return;
  raft_.step(loop_.now(), std::move(message));
  wake();
}

void RaftDriver::propose(Slice command, env::Done<Index> done) {
  if (stopping_ || dead_) return refuse(std::move(done), {Errc::stopping, {}});
  if (proposals_.size() >= options_.proposals_max)
    return refuse(std::move(done), {Errc::overloaded, "proposals that wait"});
  if (blocked_) return refuse(std::move(done), {Errc::no_space, "the metadata log's disk"});
  const Result<Index> index = raft_.propose(std::move(command));
  if (!index) return refuse(std::move(done), hinted(index.error()));
  // An entry of an earlier leadership of ours that was cut had the same index.
  if (const auto old = proposals_.find(*index); old != proposals_.end()) {
    refuse(std::move(old->second.done), {Errc::outcome_unknown, "leadership was lost"});
    proposals_.erase(old);
  }
  proposals_.emplace(*index, Proposal{raft_.term(), std::move(done)});
  wake();
}

void RaftDriver::read(env::Done<Index> done) {
  if (stopping_ || dead_) return refuse(std::move(done), {Errc::stopping, {}});
  const uint64_t id = next_read_++;
  const Status taken = raft_.read(loop_.now(), id);
  if (!taken) return refuse(std::move(done), hinted(taken.error()));
  reads_.emplace(id, std::move(done));
  wake();
}

void RaftDriver::change_membership(std::vector<Member> voters, std::vector<Member> learners,
                                   env::Done<Index> done) {
  if (stopping_ || dead_) return refuse(std::move(done), {Errc::stopping, {}});
  if (blocked_) return refuse(std::move(done), {Errc::no_space, "the metadata log's disk"});
  Result<Index> index = raft_.change_membership(std::move(voters), std::move(learners));
  if (!index) return refuse(std::move(done), hinted(index.error()));
  wake();
  loop_.post(scope_.wrap([done = std::move(done), index = *index]() mutable { done(index); }));
}

Status RaftDriver::transfer(MemberId to) {
  if (stopping_ || dead_) return fail(Errc::stopping);
  const Status begun = raft_.transfer(loop_.now(), to);
  wake();
  return begun;
}

void RaftDriver::leader_is_gone(const MemberId& leader) {
  if (stopping_ || dead_) return;
  raft_.leader_is_gone(loop_.now(), leader);
  wake();
}

void RaftDriver::note_incarnation(const MemberId& member, Incarnation incarnation) {
  raft_.note_incarnation(member, incarnation);
}

Error RaftDriver::hinted(Error why) const {
  if (why.code == Errc::not_leader && raft_.leader())
    why.context = "the leader is " + raft_.leader().to_string();
  return why;
}

// --- The turn's end --------------------------------------------------------------------------------

void RaftDriver::wake() {
  if (turn_armed_ || dead_ || stopping_ || !started_) return;
  turn_armed_ = true;
  loop_.at_turn_end(scope_.wrap([this] {
    turn_armed_ = false;
    turn();
  }));
}

void RaftDriver::turn() {
  if (dead_ || stopping_) return;
  Output output = raft_.take_output();
  persist(output);
  if (dead_) return;
  for (Message& message : output.now) sender_.send(std::move(message));
  queue_application(output);
  if (!apply_waiting()) return;
  lose_proposals();
  for (ReadReady& ready : output.reads) answer_read(ready);
  settle_reads();
  if (dead_ || stopping_) return;
  maybe_snapshot();
  arm_timer();
  state_.turn_ended();
}

void RaftDriver::arm_timer() {
  const MonotonicTime deadline = raft_.deadline();
  // One that comes too early is harmless, and cheaper than moving it with each heartbeat.
  if (deadline == MonotonicTime::never() || (timer_ && timer_at_ <= deadline)) return;
  loop_.cancel(timer_);
  timer_at_ = deadline;
  timer_ = loop_.schedule(deadline, scope_.wrap([this] {
    timer_ = {};
    if (dead_ || stopping_) return;
    raft_.tick(loop_.now());
    wake();
  }));
}

// --- Persist, and send what depends on it ----------------------------------------------------------

void RaftDriver::persist(Output& output) {
  if (output.persist_id == 0) {
    if (persists_.empty()) {
      for (Message& message : output.after_persist) sender_.send(std::move(message));
    } else {
      for (Message& message : output.after_persist)
        persists_.back().messages.push_back(std::move(message));
    }
    return;
  }
  ASSERT(output.persist_id > durable_id_ &&
             (persists_.empty() || output.persist_id > persists_.back().persist_id),
         output.persist_id, durable_id_);
  persists_.push_back({output.persist_id, std::move(output.persist), loop_.now(), false, false,
                       false, std::move(output.after_persist)});
  watch_disk();
  if (!blocked_) submit(persists_.back());
}

void RaftDriver::submit(Pending& pending) {
  pending.submitted = true;
  ++in_flight_;
  auto persisted = scope_.wrap(
      [this, id = pending.persist_id](Status status) { on_persisted(id, std::move(status)); });
  if (urgent_) {
    store_->persist_urgent(pending.persist, std::move(persisted));
  } else {
    store_->persist(pending.persist, std::move(persisted));
  }
}

void RaftDriver::set_urgent(bool urgent) {
  urgent_ = urgent;
  if (urgent_ && blocked_ && in_flight_ == 0 && !dead_ && !stopping_) resubmit();
}

void RaftDriver::on_persisted(uint64_t persist_id, const Status& status) {
  if (dead_) return;
  --in_flight_;
  const auto it = std::ranges::find(persists_, persist_id, &Pending::persist_id);
  ASSERT(it != persists_.end(), persist_id);
  if (!status) {
    if (stopping_ && status.error().code == Errc::stopping) return maybe_stopped();
    if (status.error().code != Errc::no_space) return die(status.error());
    it->submitted = false;
    it->refused = true;
    block();
    return maybe_stopped();
  }
  it->durable = true;
  it->refused = false;
  release_durable();
  if (blocked_ && std::ranges::none_of(persists_, &Pending::refused)) unblock();
  maybe_stopped();
  wake();
}

void RaftDriver::release_durable() {
  while (!persists_.empty() && persists_.front().durable) {
    Pending pending = std::move(persists_.front());
    persists_.pop_front();
    durable_id_ = pending.persist_id;
    if (stopping_) continue;
    for (Message& message : pending.messages) sender_.send(std::move(message));
    raft_.persisted(loop_.now(), pending.persist_id);
  }
  if (stuck_) judge_disk();
}

void RaftDriver::tell_can_persist() {
  raft_.set_can_persist(loop_.now(), can_persist());
  wake();
}

Duration RaftDriver::oldest_unsynced() const {
  return persists_.empty() ? Duration{} : loop_.now() - persists_.front().since;
}

// One timer for all writes: looks when the oldest one will have taken too long, if it is still there.
void RaftDriver::watch_disk() {
  if (watch_ || persists_.empty()) return;
  watch_ = loop_.schedule(persists_.front().since + options_.stuck_disk_after, scope_.wrap([this] {
    watch_ = {};
    if (dead_ || stopping_) return;
    judge_disk();
    // Else release_durable looks, when the write has ended.
    if (!stuck_) watch_disk();
  }));
}

void RaftDriver::judge_disk() {
  const bool others = raft_.configuration().voters.size() > 1;
  const bool stuck = others && oldest_unsynced() >= options_.stuck_disk_after;
  if (stuck == stuck_ || stopping_) return;
  stuck_ = stuck;
  tell_can_persist();
  if (!stuck_) watch_disk();
}

// The disk is full. Nothing more is given to it until it has taken what it refused, in order.
void RaftDriver::block() {
  if (!blocked_) {
    blocked_ = true;
    tell_can_persist();
  }
  if (retry_ || stopping_) return;
  retry_ = loop_.after(options_.no_space_retry, scope_.wrap([this] {
    retry_ = {};
    if (dead_ || stopping_) return;
    if (in_flight_ > 0) return block();  // answers of the last attempt are still to come
    resubmit();
  }));
}

void RaftDriver::resubmit() {
  // A later term that is durable already must not be taken back by an earlier one.
  bool later_hard = false;
  for (auto it = persists_.rbegin(); it != persists_.rend(); ++it) {
    if (!it->durable && later_hard) it->persist.hard.reset();
    later_hard = later_hard || (it->durable && it->persist.hard);
  }
  for (Pending& pending : persists_) {
    if (!pending.durable && !pending.submitted) submit(pending);
  }
}

void RaftDriver::unblock() {
  blocked_ = false;
  loop_.cancel(retry_);
  retry_ = {};
  for (Pending& pending : persists_) {
    if (!pending.durable && !pending.submitted) submit(pending);
  }
  if (!stopping_) tell_can_persist();
}

// --- Apply -----------------------------------------------------------------------------------------

void RaftDriver::queue_application(Output& output) {
  if (!output.restore && output.apply.empty()) return;
  Application next;
  if (output.restore && !persists_.empty()) next.after_persist = persists_.back().persist_id;
  next.restore = std::move(output.restore);
  next.first = output.apply_first;
  next.entries = std::move(output.apply);
  to_apply_.push_back(std::move(next));
}

// False: the process is at its end, or stops.
bool RaftDriver::apply_waiting() {
  while (!to_apply_.empty() && to_apply_.front().after_persist <= durable_id_) {
    Application next = std::move(to_apply_.front());
    to_apply_.pop_front();
    if (next.restore && !restore(*next.restore)) return false;
    Index index = next.first;
    for (const Entry& entry : next.entries) {
      if (!apply_entry(index, entry)) return false;
      index = index.next();
    }
  }
  return true;
}

bool RaftDriver::restore(const Snapshot& snapshot) {
  const Index index = snapshot.meta.index;
  ASSERT(index > applied_, index, applied_);
  if (const Status restored = state_.restore(index, snapshot.data); !restored) {
    die(restored.error());
    return false;
  }
  applied_ = index;
  snapshot_index_ = index;
  entries_bytes_ = 0;
  configurations_.clear();
  configurations_.emplace(index, snapshot.meta.configuration);
  // Whether what waited below is in the snapshot, it does not say.
  while (!proposals_.empty() && proposals_.begin()->first <= index) {
    auto lost = proposals_.extract(proposals_.begin());
    lost.mapped().done(fail(Errc::outcome_unknown, "a snapshot took the place of the log"));
    if (stopping_) return false;
  }
  return true;
}

bool RaftDriver::apply_entry(Index index, const Entry& entry) {
  ASSERT(index == applied_.next(), index, applied_);
  if (entry.kind == EntryKind::configuration) {
    Result<Configuration> configuration = decode_configuration(entry.data);
    if (!configuration) {
      die(configuration.error());
      return false;
    }
    configurations_.insert_or_assign(index, *std::move(configuration));
  }
  if (const Status applied = state_.apply(index, entry.term, entry.kind, entry.data); !applied) {
    die(applied.error());
    return false;
  }
  applied_ = index;
  entries_bytes_ += entry.cost();
  if (proposals_.empty() || proposals_.begin()->first > index) return true;
  auto waiting = proposals_.extract(proposals_.begin());
  ASSERT(waiting.key() == index, waiting.key(), index);
  if (waiting.mapped().term == entry.term) {
    waiting.mapped().done(index);
  } else {
    waiting.mapped().done(fail(Errc::outcome_unknown, "leadership was lost"));
  }
  return !stopping_;
}

// --- Tell who waits --------------------------------------------------------------------------------

void RaftDriver::lose_proposals() {
  // All that wait were appended under one term: ours, or one that is over.
  while (!proposals_.empty() && (!leads() || proposals_.begin()->second.term != raft_.term())) {
    auto lost = proposals_.extract(proposals_.begin());
    lost.mapped().done(fail(Errc::outcome_unknown, "leadership was lost"));
  }
}

void RaftDriver::answer_read(ReadReady& ready) {
  auto read = reads_.extract(ready.id);
  if (read.empty()) return;
  if (!ready.index) {
    read.mapped()(fail(hinted(ready.index.error())));
  } else {
    ready_reads_.emplace(*ready.index,
                         ReadyRead{std::move(read.mapped()), loop_.now() + options_.read_wait_max});
  }
}

void RaftDriver::settle_reads() {
  while (!ready_reads_.empty() && ready_reads_.begin()->first <= applied_) {
    auto ready = ready_reads_.extract(ready_reads_.begin());
    ready.mapped().done(applied_);
  }
  if (ready_reads_.empty() || read_timer_ || stopping_) return;
  read_timer_ = loop_.after(options_.read_wait_max, scope_.wrap([this] {
    read_timer_ = {};
    if (dead_ || stopping_) return;
    give_up_reads();
    settle_reads();
  }));
}

void RaftDriver::give_up_reads() {
  std::vector<env::Done<Index>> late;
  for (auto it = ready_reads_.begin(); it != ready_reads_.end();) {
    if (it->second.give_up > loop_.now()) {
      ++it;
      continue;
    }
    late.push_back(std::move(it->second.done));
    it = ready_reads_.erase(it);
  }
  for (env::Done<Index>& done : late)
    done(fail(Errc::not_leader, "this member does not follow: ask another"));
}

template <class T>
void RaftDriver::refuse(env::Done<T> done, Error why) {
  loop_.post(scope_.wrap(
      [done = std::move(done), why = std::move(why)]() mutable { done(fail(std::move(why))); }));
}

// --- Snapshots -------------------------------------------------------------------------------------

void RaftDriver::maybe_snapshot() {
  if (options_.snapshot_entries == 0 || saving_ || blocked_ || applied_ <= snapshot_index_ ||
      loop_.now() < no_snapshot_before_)
    return;
  if (applied_.value - snapshot_index_.value < options_.snapshot_entries &&
      entries_bytes_ < options_.snapshot_bytes)
    return;
  if (!raft_.term_at(applied_)) return;  // a snapshot of the leader's is taking its place
  save(applied_, state_.take_snapshot(), nullptr);
}

void RaftDriver::save_snapshot(Index index, Slice snapshot, env::Done<void> done) {
  REQUIRE(index <= applied_ && index > snapshot_index_, index, applied_, snapshot_index_);
  if (stopping_ || dead_) return refuse(std::move(done), {Errc::stopping, {}});
  if (saving_) return refuse(std::move(done), {Errc::busy, "a snapshot is being saved"});
  if (!raft_.term_at(index))
    return refuse(std::move(done), {Errc::busy, "a snapshot of the leader's is taking its place"});
  save(index, std::move(snapshot), std::move(done));
}

void RaftDriver::save(Index index, Slice data, env::Done<void> done) {
  const std::optional<Term> term = raft_.term_at(index);
  const auto configuration = configurations_.upper_bound(index);
  ASSERT(term && configuration != configurations_.begin(), index);
  Snapshot snapshot{{index, *term, std::prev(configuration)->second}, std::move(data)};
  saving_ = true;
  const uint64_t bytes_before = entries_bytes_;
  store_->save_snapshot(
      snapshot, options_.keep_entries,
      scope_.wrap([this, snapshot, bytes_before, done = std::move(done)](Status saved) mutable {
        saving_ = false;
        if (dead_) return;
        const bool refused = !saved && (saved.error().code == Errc::no_space ||
                                        saved.error().code == Errc::stopping);
        if (!saved && !refused) return die(saved.error());
        if (!saved) no_snapshot_before_ = loop_.now() + options_.no_space_retry;
        // A snapshot of the leader's may have gone further meanwhile.
        if (saved && snapshot.meta.index > snapshot_index_) {
          snapshot_index_ = snapshot.meta.index;
          entries_bytes_ -= bytes_before;
          const auto kept = std::prev(configurations_.upper_bound(snapshot_index_));
          configurations_.erase(configurations_.begin(), kept);
          if (!stopping_) raft_.compact(snapshot);
        }
        wake();
        if (done) done(std::move(saved));
        maybe_stopped();
      }));
}

// --- The end ---------------------------------------------------------------------------------------

void RaftDriver::stop(env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  stopped_ = std::move(done);
  loop_.cancel(timer_);
  loop_.cancel(retry_);
  for (auto& [index, proposal] : proposals_)
    refuse(std::move(proposal.done), {Errc::outcome_unknown, "this member stops"});
  proposals_.clear();
  for (auto& [id, read] : reads_) refuse(std::move(read), {Errc::stopping, {}});
  reads_.clear();
  for (auto& [index, read] : ready_reads_) refuse(std::move(read.done), {Errc::stopping, {}});
  loop_.cancel(read_timer_);
  ready_reads_.clear();
  maybe_stopped();
}

void RaftDriver::maybe_stopped() {
  if (!stopping_ || dead_ || in_flight_ > 0 || saving_ || !stopped_) return;
  store_->stop(std::move(stopped_));
  stopped_ = nullptr;
}

void RaftDriver::die(const Error& why) {
  dead_ = true;
  loop_.fail_stop(why);
}

void RaftDriver::check_invariants() const {
  raft_.check_invariants();
  uint64_t last = durable_id_;
  for (const Pending& pending : persists_) {
    ASSERT(pending.persist_id > last, pending.persist_id, last);
    last = pending.persist_id;
  }
  ASSERT(persists_.empty() || !persists_.front().durable);
  ASSERT(snapshot_index_ <= applied_, snapshot_index_, applied_);
  ASSERT(applied_ <= raft_.applied(), applied_, raft_.applied());
  ASSERT(proposals_.empty() || proposals_.begin()->first > applied_);
  ASSERT(ready_reads_.empty() || ready_reads_.begin()->first > applied_);
}

}  // namespace bascule::raft
