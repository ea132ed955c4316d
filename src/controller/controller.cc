#include "src/controller/controller.h"

#include <algorithm>
#include <string>

#include "src/base/assert.h"
#include "src/controller/table_difference.h"

namespace bascule::controller {
namespace {

// Creating a stream can wait for space; everything else is small, and without it a full disk could not
// be emptied, or its broker not start.
Urgency urgency_of(const Command& command) {
  return std::holds_alternative<CreateStream>(command) ? Urgency::normal : Urgency::essential;
}

}  // namespace

Controller::Controller(env::World& world, const ControllerOptions& options,
                       const CommandCodec& codec, const Identity& identity,
                       const PersistedIncarnation& persisted)
    : world_(world),
      options_(options),
      codec_(codec),
      identity_(identity),
      persisted_(persisted),
      table_(identity.cluster),
      scope_(world.loop) {}

Controller::~Controller() {
  if (log_ != nullptr && options_.watcher != nullptr) options_.watcher->left(*this);
}

// --- What is committed -----------------------------------------------------------------------------

void Controller::raft_message(raft::Message message) {
  if (log_ != nullptr) log_->receive(std::move(message));
}

Status Controller::restore(Index index, ByteView snapshot) {
  BASCULE_TRY_ASSIGN(MetadataState state, codec_.decode_snapshot(snapshot));
  if (state.cluster != identity_.cluster || state.applied != index)
    return fail(Errc::corrupt, "metadata snapshot: of another cluster or index");
  BASCULE_TRY_ASSIGN(MetadataTable table, MetadataTable::restore(std::move(state)));
  if (log_ != nullptr) {
    // In place of commands that this broker has not seen: the observers are told what they come to.
    if (index < table_.applied()) return fail(Errc::corrupt, "metadata snapshot: of the past");
    MissedEvents missed = missed_events(table_.state(), table.state());
    tell_later({index, table_difference(table_.state(), table.state()), std::move(missed.events),
                missed.gap});
  }
  table_ = std::move(table);
  return {};
}

Status Controller::apply(Index index, Term, ByteView bytes) {
  auto command = codec_.decode_command(bytes);
  if (!command)
    return fail(command.error().code,
                "metadata entry " + index.to_string() + ": " + command.error().context);
  Applied applied = table_.apply(index, *command);
  BASCULE_TRY(table_.check_feature_level());
  ++entries_since_snapshot_;
  bytes_since_snapshot_ += bytes.size();
  if (log_ == nullptr) return {};
  last_index_ = index;
  last_outcome_ = std::move(applied.outcome);
  note_lives(applied.changes);
  tell_later({index, std::move(applied.changes), std::move(applied.events), false});
  maybe_snapshot();
  return {};
}

// --- Proposals -------------------------------------------------------------------------------------

void Controller::refuse(env::Done<Outcome> done, Error why) {
  world_.loop.post(alive_.wrap(
      [done = std::move(done), why = std::move(why)]() mutable { done(fail(std::move(why))); }));
}

void Controller::propose(Command command, env::Done<Outcome> done) {
  if (stopping_) return refuse(std::move(done), {Errc::stopping, "the controller"});
  auto encoded = codec_.encode_command(command);
  if (!encoded) return refuse(std::move(done), std::move(encoded.error()));
  const size_t bytes = encoded->size();
  if (queued_commands_ >= options_.queued_commands_max ||
      bytes > options_.queued_bytes_max - std::min(queued_bytes_, options_.queued_bytes_max))
    return refuse(std::move(done), {Errc::overloaded, "the metadata log's queue is full"});
  ++queued_commands_;
  queued_bytes_ += bytes;
  auto committed = [this, bytes, done = std::move(done)](Result<Index> index) mutable {
    --queued_commands_;
    queued_bytes_ -= bytes;
    if (!index) return done(fail(std::move(index.error())));
    ASSERT(*index == last_index_, *index, last_index_);
    done(std::move(last_outcome_));
  };
  log_->propose(Slice::copy_of(*encoded), urgency_of(command), alive_.wrap(std::move(committed)));
}

// --- Observers -------------------------------------------------------------------------------------

void Controller::observe(MetadataObserver& observer) { observers_.push_back(&observer); }

void Controller::forget_observer(MetadataObserver& observer) { std::erase(observers_, &observer); }

// Whoever speaks for an earlier life of a storage is not heard any more.
void Controller::note_lives(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    const auto* changed = std::get_if<BrokerChanged>(&change);
    const BrokerEntry* broker = changed == nullptr ? nullptr : table_.broker(changed->node);
    if (broker == nullptr || broker->node == identity_.node) continue;
    log_->driver().note_incarnation({broker->node, broker->storage}, broker->incarnation);
    if (peers_ != nullptr)
      peers_->peers().note_incarnation(broker->node, broker->storage, broker->incarnation);
  }
}

void Controller::tell_later(Untold untold) {
  if (observers_.empty() || (untold.changes.empty() && untold.events.empty() && !untold.gap))
    return;
  untold_.push_back(std::move(untold));
  world_.loop.post(alive_.wrap([this] { tell_observers(); }));
}

void Controller::tell_observers() {
  ASSERT(!untold_.empty());
  const Untold untold = std::move(untold_.front());
  untold_.pop_front();
  // Told by a copy of the list: being told, one may take itself or another back.
  const std::vector<MetadataObserver*> present = observers_;
  for (MetadataObserver* observer : present) {
    if (std::ranges::find(observers_, observer) != observers_.end())
      observer->metadata_changed(untold.index, untold.changes);
    if (std::ranges::find(observers_, observer) != observers_.end())
      observer->events_happened(untold.events, untold.gap);
  }
}

// --- Snapshots -------------------------------------------------------------------------------------

void Controller::maybe_snapshot() {
  if (snapshot_due_ || stopping_ || log_ == nullptr ||
      (entries_since_snapshot_ < options_.snapshot_entries &&
       bytes_since_snapshot_ < options_.snapshot_bytes))
    return;
  snapshot_due_ = true;
  // After the completions of this turn; the table is then at least as far.
  world_.loop.post(alive_.wrap([this] {
    entries_since_snapshot_ = 0;
    bytes_since_snapshot_ = 0;
    auto bytes = codec_.encode_snapshot(table_.state());
    if (!bytes || stopping_) {
      snapshot_due_ = false;
      return;
    }
    world_.trace.probe("controller.snapshot");
    log_->save_snapshot(table_.applied(), Slice::copy_of(*bytes), alive_.wrap([this](Status saved) {
      // A full disk keeps the log longer; the next one comes after as many entries.
      snapshot_due_ = false;
      if (!saved) world_.trace.probe("controller.snapshot_refused");
    }));
  }));
}

// --- The local broker ------------------------------------------------------------------------------

log::Co<void> Controller::persist_incarnation(PersistedIncarnation next) {
  const Slice file = Slice::copy_of(encode_incarnation(identity_.storage, next));
  for (int attempt = 0;; ++attempt) {
    auto replaced = co_await log::call<void>([this, &file](env::Done<void> done) {
      env::replace_file(world_.disk, "", "incarnation", file, std::move(done));
    });
    if (replaced) break;
    if (replaced.error().code != Errc::no_space) {
      // What is on the disk now, nobody knows: only a new life may read it.
      world_.loop.fail_stop(replaced.error());
      co_return replaced;
    }
    if (attempt > 0 || lend_ == nullptr) co_return replaced;
    (void)co_await log::call<void>([this](env::Done<void> done) { lend_(std::move(done)); });
  }
  persisted_ = next;
  co_return Status();
}

// The number of this life was synced before anything was said in its name, and is above what the metadata knew
// then (open_controller.cc). What it registers is synced too, before it is proposed: a disk that remembers an
// earlier registration than the metadata has forgotten something, however many lives it has begun since.
log::Co<Incarnation> Controller::run_registration(std::vector<ReplicaReport> reports) {
  auto current =
      co_await log::call<Index>([this](env::Done<Index> done) { log_->read(std::move(done)); });
  if (!current) co_return fail(std::move(current.error()));
  const Incarnation recorded = table_.recorded_incarnation(identity_.node);
  if (persisted_.incarnation <= recorded)
    co_return fail(Errc::fenced,
                   "incarnation " + recorded.to_string() + " of this node is registered");
  const bool rolled_back = persisted_.rolled_back || persisted_.registered < recorded;
  auto persisted =
      co_await persist_incarnation({persisted_.incarnation, rolled_back, persisted_.incarnation});
  if (!persisted) co_return fail(std::move(persisted.error()));
  const PersistedIncarnation life = persisted_;
  RegisterBroker command;
  command.node = identity_.node;
  command.storage = identity_.storage;
  command.incarnation = life.incarnation;
  command.replaces = recorded;
  command.rolled_back = life.rolled_back;
  command.reports = std::move(reports);
  command.endpoints = options_.endpoints;
  command.host = options_.host;
  command.features = k_feature_range;
  auto outcome = co_await log::call<Outcome>(
      [this, &command](env::Done<Outcome> done) { propose(std::move(command), std::move(done)); });
  if (!outcome) co_return fail(std::move(outcome.error()));
  if (life.rolled_back) {
    // It was carried by a registration that is applied: the next life need not tell it again.
    auto cleared = co_await persist_incarnation({life.incarnation, false, life.registered});
    if (!cleared) co_return fail(std::move(cleared.error()));
  }
  incarnation_ = life.incarnation;
  co_return incarnation_;
}

void Controller::register_broker(std::vector<ReplicaReport> reports, env::Done<Incarnation> done) {
  REQUIRE(!std::exchange(registering_, true));
  scope_.spawn<Incarnation>(run_registration(std::move(reports)), std::move(done));
}

void Controller::unfence(env::Done<void> done) {
  REQUIRE(static_cast<bool>(incarnation_));
  propose(UnfenceBroker{identity_.node, incarnation_},
          [done = std::move(done)](Result<Outcome> outcome) mutable {
            if (!outcome) return done(fail(std::move(outcome.error())));
            done({});
          });
}

void Controller::read_barrier(env::Done<void> done) {
  log_->read([done = std::move(done)](Result<Index> index) mutable {
    if (!index) return done(fail(std::move(index.error())));
    done({});
  });
}

// --- The end ---------------------------------------------------------------------------------------

void Controller::displaced(const Error& why) { world_.loop.fail_stop(why); }

void Controller::stop(env::Done<void> done) {
  REQUIRE(!stopping_);
  stopping_ = true;
  log_->stop(alive_.wrap([this, done = std::move(done)](Status stopped) mutable {
    if (peers_ == nullptr) return done(std::move(stopped));
    peers_->listen_to(nullptr);
    peers_->peers().stop(alive_.wrap([stopped = std::move(stopped), done = std::move(done)](
                                         const Status&) mutable { done(std::move(stopped)); }));
  }));
}

}  // namespace bascule::controller
