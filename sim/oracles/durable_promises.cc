#include "sim/oracles/durable_promises.h"

#include <algorithm>

namespace bascule::sim {

void DurablePromises::Disk::apply(const Given& change) {
  if (change.snapshot > base) {
    const bool fits = change.snapshot <= last() && holds(change.snapshot, change.snapshot_term);
    const uint64_t covered = change.snapshot.value - base.value;
    if (fits) {
      terms.erase(terms.begin(), terms.begin() + static_cast<ptrdiff_t>(covered));
    } else {
      terms.clear();
    }
    base = change.snapshot;
    base_term = change.snapshot_term;
  }
  if (change.first) {
    while (last() >= change.first && !terms.empty()) terms.pop_back();
    for (size_t i = 0; i < change.terms.size(); ++i) {
      if (change.first.value + i > base.value) terms.push_back(change.terms[i]);
    }
  }
  if (change.hard) hard = *change.hard;
}

bool DurablePromises::Disk::holds(Index index, Term term) const {
  if (index < base) return true;
  if (index == base) return base_term == term;
  return index <= last() && terms[index.value - base.value - 1] == term;
}

void DurablePromises::given(const raft::MemberId& who, uint64_t number,
                            const raft::Persist& persist) {
  Given given{number, persist.hard, {}, {}, persist.first, {}};
  if (persist.snapshot) {
    given.snapshot = persist.snapshot->meta.index;
    given.snapshot_term = persist.snapshot->meta.term;
    // Its log, as far as the store was told of it.
    Disk disk = members_[who];
    for (const Given& earlier : disk.given) disk.apply(earlier);
    if (given.snapshot < disk.last() && given.snapshot > disk.base &&
        disk.holds(given.snapshot, given.snapshot_term))
      verdict_.fire("O8", who.to_string() + " installs a snapshot of " +
                              given.snapshot.to_string() +
                              " over a log that agrees with it and has " + "entries to " +
                              disk.last().to_string());
  }
  for (const raft::Entry& entry : persist.entries) given.terms.push_back(entry.term);
  members_[who].given.push_back(std::move(given));
}

void DurablePromises::confirmed(const raft::MemberId& who, uint64_t number) {
  Disk& disk = members_[who];
  const auto it = std::ranges::find(disk.given, number, &Given::number);
  if (it == disk.given.end()) return;
  disk.apply(*it);
  disk.given.erase(it);
}

void DurablePromises::refused(const raft::MemberId& who, uint64_t number) {
  std::erase_if(members_[who].given, [&](const Given& g) { return g.number == number; });
}

std::string DurablePromises::missing(const raft::MemberId& who,
                                     const raft::StoredState& stored) const {
  const auto found = members_.find(who);
  if (found == members_.end()) return {};
  const Disk& disk = found->second;
  // What was on its way may have come to the disk, and cut what was there.
  Index certain = disk.last();
  bool vote_may_differ = false;
  for (const Given& given : disk.given) {
    if (given.first && given.first <= certain) certain = Index(given.first.value - 1);
    if (given.snapshot) certain = std::min(certain, given.snapshot);
    if (given.hard && given.hard->term == disk.hard.term) vote_may_differ = true;
  }
  if (stored.hard.term < disk.hard.term)
    return "term " + disk.hard.term.to_string() + " was confirmed, the disk says " +
           stored.hard.term.to_string();
  if (stored.hard.term == disk.hard.term && disk.hard.vote && !vote_may_differ &&
      stored.hard.vote != disk.hard.vote)
    return "the vote for " + disk.hard.vote.to_string() + " in term " + disk.hard.term.to_string() +
           " was confirmed, and is not there";
  const Index base = stored.snapshot.meta.index;
  const Index last(base.value + stored.entries.size());
  if (last < certain)
    return "entries up to " + certain.to_string() + " were confirmed, the disk ends at " +
           last.to_string();
  for (uint64_t i = std::max(base.value, disk.base.value) + 1; i <= certain.value; ++i) {
    const Term there = stored.entries[i - base.value - 1].term;
    if (there != disk.terms[i - disk.base.value - 1])
      return "entry " + std::to_string(i) + " was confirmed with term " +
             disk.terms[i - disk.base.value - 1].to_string() + ", the disk has term " +
             there.to_string();
  }
  return {};
}

void DurablePromises::opened(const raft::MemberId& who, const raft::StoredState& stored) {
  if (const std::string what = missing(who, stored); !what.empty())
    verdict_.fire("O8", who.to_string() + " opens its store: " + what);
  Disk& disk = members_[who];
  disk = {};
  disk.hard = stored.hard;
  disk.base = stored.snapshot.meta.index;
  disk.base_term = stored.snapshot.meta.term;
  for (const raft::Entry& entry : stored.entries) disk.terms.push_back(entry.term);
}

void DurablePromises::sending(const raft::Message& message) {
  const Disk& disk = members_[message.from];
  const auto who = [&message] { return message.from.to_string(); };
  if (const auto* vote = std::get_if<raft::VoteResponse>(&message.body)) {
    if (vote->pre || !vote->granted || disk.hard.term > message.term) return;
    if (disk.hard.term < message.term || disk.hard.vote != message.to)
      verdict_.fire("O8", who() + " votes for " + message.to.to_string() + " in term " +
                              message.term.to_string() + ", its disk says term " +
                              disk.hard.term.to_string() + ", vote " + disk.hard.vote.to_string());
  } else if (const auto* append = std::get_if<raft::AppendResponse>(&message.body)) {
    if (append->accepted && disk.last() < append->index)
      verdict_.fire("O8", who() + " acknowledges entries up to " + append->index.to_string() +
                              ", its disk ends at " + disk.last().to_string());
    if (append->accepted && disk.hard.term < message.term)
      verdict_.fire("O8", who() + " acknowledges entries in term " + message.term.to_string() +
                              ", its disk says term " + disk.hard.term.to_string());
  } else if (const auto* snapshot = std::get_if<raft::SnapshotRequest>(&message.body)) {
    if (disk.last() < snapshot->meta.index)
      verdict_.fire("O8", who() + " sends a snapshot beyond its own disk");
  }
}

bool DurablePromises::holds(const raft::MemberId& who, Index index, Term term) const {
  const auto it = members_.find(who);
  return it != members_.end() && it->second.holds(index, term);
}

bool DurablePromises::on_a_quorum(const raft::Configuration& configuration, Index index,
                                  Term term) const {
  return is_quorum(configuration, [&](const raft::MemberId& id) { return holds(id, index, term); });
}

bool DurablePromises::dispensable(const raft::MemberId& who,
                                  const raft::Configuration& configuration) const {
  const auto it = members_.find(who);
  if (it == members_.end()) return true;
  const Disk& mine = it->second;
  const Term last_term = mine.terms.empty() ? mine.base_term : mine.terms.back();
  return is_quorum(configuration, [&](const raft::MemberId& id) {
    const auto found = members_.find(id);
    if (id == who || found == members_.end()) return false;
    const Disk& other = found->second;
    const bool vote =
        other.hard.term > mine.hard.term ||
        (other.hard.term == mine.hard.term && other.hard.vote == mine.hard.vote && mine.hard.vote);
    return vote && other.holds(mine.last(), last_term);
  });
}

}  // namespace bascule::sim
