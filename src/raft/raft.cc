#include "src/raft/raft.h"

#include <algorithm>

#include "src/raft/raft_state.h"

namespace bascule::raft {
namespace {

constexpr size_t k_held_max = 256;
constexpr size_t k_incarnations_max = 2 * k_members_max;

template <class T>
constexpr bool comes_from_leader =
    std::is_same_v<T, AppendRequest> || std::is_same_v<T, SnapshotRequest>;

}  // namespace

Raft::State::State(MemberId self_id, const RaftOptions& given, StoredState stored,
                   MonotonicTime start, Prng prng)
    : self(self_id),
      options(given),
      incarnation(stored.incarnation),
      random(prng),
      now(start),
      hard(stored.hard),
      log(stored.snapshot.meta.index, stored.snapshot.meta.term),
      snapshot(std::move(stored.snapshot)),
      commit(snapshot.meta.index),
      applied(snapshot.meta.index) {
  REQUIRE(self, self);
  REQUIRE(options.in_flight_messages_max > 0 && options.heartbeat > Duration{});
  REQUIRE(options.election_timeout_min > options.heartbeat, options.election_timeout_min.ns);
  REQUIRE(options.election_timeout_min <= options.election_timeout_max);
  configurations.push_back({snapshot.meta.index, snapshot.meta.configuration});
  for (Entry& entry : stored.entries) {
    if (entry.kind == EntryKind::configuration) {
      auto configuration = decode_configuration(entry.data);
      REQUIRE(configuration, log.last());  // the store has verified what it gives
      configurations.push_back({log.last().next(), *std::move(configuration)});
    }
    log.append(std::move(entry));
  }
  REQUIRE(hard.term >= log.last_term(), hard.term, log.last_term());
  durable = log.last();
  unpersisted_first = log.last().next();
  self_votes = configuration().is_voter(self);
  reset_election_timer();
  told_role = role_now();
  told_term = hard.term;
}

void Raft::State::step(Message message) {
  if (message.to != self || !message.from || message.from == self ||
      !heed(message.from, message.incarnation))
    return drop();
  const auto* vote_request = std::get_if<VoteRequest>(&message.body);
  const auto* vote_response = std::get_if<VoteResponse>(&message.body);
  if (message.term > hard.term) {
    // Thesis §9.6: a pre-vote changes no term. §4.2.3: who hears a leader lets nobody disturb it, unless
    // that leader wants it so.
    const bool keeps_term =
        vote_request && (vote_request->pre || (!vote_request->transfer && hears_leader()));
    if (!keeps_term) become_follower(message.term, MemberId{});
  } else if (message.term < hard.term && !vote_request && !(vote_response && vote_response->pre) &&
             !std::holds_alternative<ReadRequest>(message.body)) {
    return answer_older_term(message);
  }
  dispatch(message);
}

void Raft::State::dispatch(const Message& message) {
  std::visit(
      [&](const auto& body) {
        using T = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<T, AppendRequest>) {
          on_append_request(message.from, body);
        } else if constexpr (std::is_same_v<T, AppendResponse>) {
          on_append_response(message.from, body);
        } else if constexpr (std::is_same_v<T, VoteRequest>) {
          on_vote_request(message.from, message.term, body);
        } else if constexpr (std::is_same_v<T, VoteResponse>) {
          on_vote_response(message.from, body);
        } else if constexpr (std::is_same_v<T, SnapshotRequest>) {
          on_snapshot_request(message.from, body);
        } else if constexpr (std::is_same_v<T, SnapshotResponse>) {
          on_snapshot_response(message.from, body);
        } else if constexpr (std::is_same_v<T, TimeoutNow>) {
          on_timeout_now(message.from);
        } else if constexpr (std::is_same_v<T, ReadRequest>) {
          on_read_request(message.from, body);
        } else {
          static_assert(std::is_same_v<T, ReadResponse>);
          on_read_response(body);
        }
      },
      message.body);
}

// Whether `from` may be heard in this life. Bounded: beyond the bound nothing new is kept in mind.
bool Raft::State::heed(const MemberId& from, Incarnation life) {
  const auto at = std::ranges::lower_bound(incarnations, from, {}, &KnownIncarnation::member);
  if (at == incarnations.end() || at->member != from) {
    if (incarnations.size() < k_incarnations_max) incarnations.insert(at, {from, life});
    return true;
  }
  if (life < at->incarnation) return false;
  if (life > at->incarnation) {
    at->incarnation = life;
    // What a leader knows of a follower is of one life: the next one may remember less.
    if (auto* lead = std::get_if<Leader>(&role))
      if (Progress* progress = progress_of(*lead, from)) {
        progress->match = Index{};
        progress->round = 0;
        progress->commit_sent = Index{};
        progress->probe_from(log.last().next());
      }
  }
  return true;
}

// A leader of an earlier term learns that it is over; the rest needs no answer (paper fig. 2).
void Raft::State::answer_older_term(const Message& message) {
  std::visit(
      [&](const auto& body) {
        if constexpr (comes_from_leader<std::decay_t<decltype(body)>>)
          send(message.from, AppendResponse{.last_index = log.last()});
        else
          drop();
      },
      message.body);
}

void Raft::State::send(const MemberId& to, Body body, After after) {
  Message message{self, to, hard.term, incarnation, std::move(body)};
  if (after == After::log || hard_dirty) {
    out.after_persist.push_back(std::move(message));
  } else if (hard_persist_id != 0) {
    // The Output that waits for that disk is gone already, and this one may have nothing to persist.
    if (held.size() >= k_held_max) return drop();
    held.push_back({hard_persist_id, std::move(message)});
  } else {
    out.now.push_back(std::move(message));
  }
}

void Raft::State::persisted(uint64_t persist_id) {
  REQUIRE(persist_id <= last_persist_id, persist_id, last_persist_id);
  bool installed = false;
  while (!persists.empty() && persists.front().id <= persist_id) {
    durable = std::max(durable, persists.front().last);
    installed |= persists.front().snapshot;
    persists.pop_front();
  }
  ASSERT(durable <= log.last(), durable, log.last());
  if (hard_persist_id <= persist_id) hard_persist_id = 0;
  if (installed && !snapshot_dirty && std::ranges::none_of(persists, &PersistInFlight::snapshot)) {
    snapshot_on_its_way = false;
    out.restore = snapshot;
    applied = snapshot.meta.index;
  }
  auto kept = held.begin();
  for (HeldMessage& one : held) {
    if (one.persist_id <= persist_id)
      out.now.push_back(std::move(one.message));
    else
      *kept++ = std::move(one);
  }
  held.erase(kept, held.end());
  if (auto* lead = std::get_if<Leader>(&role)) {
    advance_commit(*lead);
  } else if (auto* candidate = std::get_if<Candidate>(&role);
             candidate && !hard_dirty && hard_persist_id == 0) {
    count_own_vote(*candidate);
  }
}

Output Raft::State::take_output() {
  if (auto* lead = std::get_if<Leader>(&role); lead && lead->flush) flush(*lead);
  Output taken = std::move(out);
  out = Output{};
  hand_out_persist(taken);
  hand_out_committed(taken);
  ASSERT(taken.after_persist.empty() || taken.persist_id != 0);
  const Role role_is = role_now();
  const MemberId leader_is = leader();
  taken.role_changed = role_is != told_role || hard.term != told_term || leader_is != told_leader;
  told_role = role_is;
  told_term = hard.term;
  told_leader = leader_is;
  return taken;
}

void Raft::State::hand_out_persist(Output& taken) {
  if (!hard_dirty && !snapshot_dirty && unpersisted_first > log.last()) return;
  taken.persist_id = ++last_persist_id;
  PersistInFlight flight{.id = last_persist_id};
  if (hard_dirty) {
    taken.persist.hard = hard;
    hard_persist_id = last_persist_id;
  }
  if (snapshot_dirty) {
    taken.persist.snapshot = snapshot;
    // Nothing of the log that was here before stays, also where no entry follows.
    taken.persist.first = unpersisted_first;
    flight.snapshot = true;
    flight.last = snapshot.meta.index;
  }
  if (unpersisted_first <= log.last()) {
    taken.persist.first = unpersisted_first;
    taken.persist.entries.reserve(log.last().value - unpersisted_first.value + 1);
    for (Index i = unpersisted_first; i <= log.last(); i = i.next())
      taken.persist.entries.push_back(log.at(i));
    flight.last = log.last();
  }
  persists.push_back(flight);
  hard_dirty = snapshot_dirty = false;
  unpersisted_first = log.last().next();
}

void Raft::State::hand_out_committed(Output& taken) {
  if (snapshot_on_its_way || applied >= commit) return;
  taken.apply_first = applied.next();
  taken.apply.reserve(commit.value - applied.value);
  for (Index i = applied.next(); i <= commit; i = i.next()) taken.apply.push_back(log.at(i));
  applied = commit;
}

MonotonicTime Raft::State::deadline() const {
  if (const auto* lead = std::get_if<Leader>(&role)) {
    MonotonicTime due = std::min(lead->heartbeat_due, lead->quorum_check_due);
    if (lead->transfer) due = std::min(due, lead->transfer->give_up);
    return due;
  }
  MonotonicTime due = may_stand() ? election_due : MonotonicTime::never();
  if (const auto* follower = std::get_if<Follower>(&role)) {
    if (!follower->reads.empty()) due = std::min(due, follower->reads.front().give_up);
  } else if (const auto* pre = std::get_if<PreCandidate>(&role)) {
    due = std::min(due, pre->ask_again);
  } else if (const auto* candidate = std::get_if<Candidate>(&role)) {
    due = std::min(due, candidate->ask_again);
  }
  return due;
}

// --- The public face ------------------------------------------------------------------------------

bool Output::empty() const {
  return persist_id == 0 && now.empty() && after_persist.empty() && !restore && apply.empty() &&
         reads.empty() && !role_changed;
}

Raft::Raft(MemberId self, const RaftOptions& options, StoredState stored, MonotonicTime now,
           Prng random)
    : state_(std::make_unique<State>(self, options, std::move(stored), now, random)) {}
Raft::~Raft() = default;
Raft::Raft(Raft&&) noexcept = default;
Raft::Raft(std::unique_ptr<State> state) : state_(std::move(state)) {}
Raft Raft::copy() const { return Raft(std::make_unique<State>(*state_)); }

StoredState Raft::bootstrap(const Configuration& configuration) {
  REQUIRE(configuration.check() && !configuration.joint());
  StoredState stored;
  stored.hard.term = Term(1);
  stored.entries.push_back(
      {Term(1), EntryKind::configuration, Slice::copy_of(encode_configuration(configuration))});
  return stored;
}

void Raft::step(MonotonicTime now, Message message) {
  state_->now = std::max(state_->now, now);
  state_->step(std::move(message));
}
void Raft::tick(MonotonicTime now) {
  state_->now = std::max(state_->now, now);
  state_->tick();
}
MonotonicTime Raft::deadline() const { return state_->deadline(); }
void Raft::persisted(MonotonicTime now, uint64_t persist_id) {
  state_->now = std::max(state_->now, now);
  state_->persisted(persist_id);
}
Result<Index> Raft::propose(Slice command) {
  std::vector<Slice> commands;
  commands.push_back(std::move(command));
  return state_->propose(std::move(commands));
}
Result<Index> Raft::propose(std::vector<Slice> commands) {
  return state_->propose(std::move(commands));
}
Result<Index> Raft::change_membership(std::vector<Member> voters, std::vector<Member> learners) {
  return state_->change_membership(std::move(voters), std::move(learners));
}
Status Raft::transfer(MonotonicTime now, MemberId to) {
  state_->now = std::max(state_->now, now);
  return state_->transfer_to(to);
}
Status Raft::read(MonotonicTime now, uint64_t id) {
  state_->now = std::max(state_->now, now);
  return state_->read(id);
}
void Raft::compact(const Snapshot& snapshot) { state_->compact(snapshot); }
void Raft::note_incarnation(const MemberId& member, Incarnation incarnation) {
  (void)state_->heed(member, incarnation);
}
void Raft::set_can_persist(MonotonicTime now, bool can) {
  state_->now = std::max(state_->now, now);
  state_->set_can_persist(can);
}
void Raft::leader_is_gone(MonotonicTime now, const MemberId& leader) {
  state_->now = std::max(state_->now, now);
  state_->leader_is_gone(leader);
}
Output Raft::take_output() { return state_->take_output(); }

const MemberId& Raft::self() const { return state_->self; }
Role Raft::role() const { return state_->role_now(); }
Term Raft::term() const { return state_->hard.term; }
MemberId Raft::leader() const { return state_->leader(); }
Index Raft::commit() const { return state_->commit; }
Index Raft::applied() const { return state_->applied; }
Index Raft::first_index() const { return state_->log.first(); }
Index Raft::last_index() const { return state_->log.last(); }
Index Raft::durable_index() const { return state_->durable; }
std::optional<Term> Raft::term_at(Index index) const { return state_->log.term_at(index); }
const HardState& Raft::hard_state() const { return state_->hard; }
const Configuration& Raft::configuration() const { return state_->configuration(); }
bool Raft::configuration_committed() const {
  return state_->configuration_index() <= state_->commit;
}
const Configuration& Raft::configuration_at(Index index) const {
  const auto& all = state_->configurations;
  REQUIRE(all.front().index <= index && index <= state_->applied, index, all.front().index);
  auto at = all.end();
  while (std::prev(at)->index > index) --at;
  return std::prev(at)->configuration;
}
bool Raft::leads_for_sure() const {
  const auto* lead = std::get_if<Leader>(&state_->role);
  return lead && state_->commit >= lead->term_start;
}
std::vector<ProgressView> Raft::progress() const {
  std::vector<ProgressView> views;
  if (const auto* lead = std::get_if<Leader>(&state_->role))
    for (const Progress& p : lead->progress)
      views.push_back({p.member, p.match, p.next, p.state == ProgressState::snapshot,
                       state_->now - p.heard <= state_->options.election_timeout_max});
  return views;
}
uint64_t Raft::dropped_messages() const { return state_->dropped_messages; }
void Raft::check_invariants() const { state_->check_invariants(); }
uint64_t Raft::fingerprint() const { return state_->fingerprint(); }

}  // namespace bascule::raft
