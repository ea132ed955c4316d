// One number for all of a machine's state that decides what it does next, for tests that follow every
// interleaving. Times and random draws are left out: such tests let every timer run out.
#include <string_view>

#include "src/raft/raft_state.h"

namespace bascule::raft {
namespace {

// Folds values in, in an order that both sides share.
class Digest {
 public:
  void add(uint64_t value) { sum_ = mix64(sum_ ^ value) + 0x9e3779b97f4a7c15; }
  void add(bool value) { add(uint64_t{value}); }
  void add(Index value) { add(value.value); }
  void add(Term value) { add(value.value); }
  void add(const MemberId& id) {
    add(uint64_t{id.node.value});
    for (const uint64_t word : id.storage.words) add(word);
  }
  void add(ByteView bytes) {
    add(uint64_t{bytes.size()});
    for (const uint8_t byte : bytes) add(uint64_t{byte});
  }
  void add(const std::vector<MemberId>& members) {
    add(uint64_t{members.size()});
    for (const MemberId& member : members) add(member);
  }
  void add(const Entry& entry) {
    add(entry.term);
    add(static_cast<uint64_t>(entry.kind));
    add(entry.data.view());
  }
  void add(const SnapshotMeta& meta) {
    add(meta.index);
    add(meta.term);
    const Bytes bytes = encode_configuration(meta.configuration);
    add(ByteView(bytes));
  }

  void add(const VoteRequest& m) {
    add(m.pre);
    add(m.transfer);
    add(m.last_index);
    add(m.last_term);
  }
  void add(const VoteResponse& m) {
    add(m.pre);
    add(m.granted);
  }
  void add(const AppendRequest& m) {
    add(m.prev_index);
    add(m.prev_term);
    add(uint64_t{m.entries.size()});
    for (const Entry& entry : m.entries) add(entry);
    add(m.commit);
    add(m.round);
  }
  void add(const AppendResponse& m) {
    add(m.accepted);
    add(m.index);
    add(m.last_index);
    add(m.conflict_term);
    add(m.conflict_first);
    add(m.round);
  }
  void add(const SnapshotRequest& m) {
    add(m.meta);
    add(m.total_bytes);
    add(m.offset);
    add(m.data.view());
    add(m.round);
  }
  void add(const SnapshotResponse& m) {
    add(m.index);
    add(m.next_offset);
    add(m.round);
  }
  void add(const TimeoutNow&) { add(uint64_t{1}); }
  void add(const ReadRequest& m) { add(m.id); }
  void add(const ReadResponse& m) {
    add(m.id);
    add(m.ok);
    add(m.index);
  }
  void add(const Message& message) {
    add(message.from);
    add(message.to);
    add(message.term);
    add(message.incarnation.value);
    add(uint64_t{message.body.index()});
    std::visit([this](const auto& body) { add(body); }, message.body);
  }

  void add(const Follower& follower) {
    add(follower.leader);
    add(follower.matched);
    add(follower.incoming.has_value());
    if (follower.incoming) {
      add(follower.incoming->meta);
      add(ByteView(follower.incoming->data));
    }
    for (const ForwardedRead& read : follower.reads) add(read.id);
  }
  void add(const PreCandidate& pre) { add(pre.granted); }
  void add(const Candidate& candidate) {
    add(candidate.granted);
    add(candidate.transfer);
  }
  void add(const Leader& lead) {
    for (const Progress& p : lead.progress) {
      add(p.member);
      add(static_cast<uint64_t>(p.state));
      add(p.probe_sent);
      add(p.recent);
      add(p.match);
      add(p.next);
      add(p.commit_sent);
      add(p.round);
      add(uint64_t{p.in_flight.count()});
      add(uint64_t{p.in_flight.bytes()});
      if (p.transfer) {
        add(p.transfer->snapshot.meta);
        add(p.transfer->offset);
      }
    }
    add(lead.term_start);
    add(lead.round);
    add(lead.round_confirmed);
    add(lead.flush);
    add(lead.quorum_check_put_off);
    for (const LeaderRead& read : lead.reads) {
      add(read.id);
      add(read.asker);
      add(read.index);
      add(read.round);
    }
    add(lead.transfer.has_value());
    if (lead.transfer) {
      add(lead.transfer->to);
      add(lead.transfer->told);
    }
  }

  uint64_t sum() const { return sum_; }

 private:
  uint64_t sum_ = 0;
};

}  // namespace

uint64_t fingerprint(const Message& message) {
  Digest digest;
  digest.add(message);
  return digest.sum();
}

uint64_t Raft::State::fingerprint() const {
  Digest digest;
  digest.add(self);
  digest.add(incarnation.value);
  digest.add(hard.term);
  digest.add(hard.vote);
  digest.add(log.first());
  digest.add(log.term_at(Index(log.first().value - 1)).value_or(Term{}));
  for (Index i = log.first(); i <= log.last(); i = i.next()) digest.add(log.at(i));
  digest.add(snapshot.meta);
  for (const ConfigurationAt& at : configurations) digest.add(at.index);
  digest.add(commit);
  digest.add(applied);
  digest.add(durable);
  digest.add(uint64_t{role.index()});
  std::visit([&](const auto& of) { digest.add(of); }, role);
  digest.add(can_persist);
  digest.add(hard_dirty);
  digest.add(snapshot_dirty);
  digest.add(unpersisted_first);
  // Ids of writes count only against each other.
  digest.add(hard_persist_id == 0 ? 0 : last_persist_id + 1 - hard_persist_id);
  for (const PersistInFlight& flight : persists) {
    digest.add(last_persist_id - flight.id);
    digest.add(flight.last);
    digest.add(flight.snapshot);
  }
  for (const HeldMessage& one : held) {
    digest.add(last_persist_id - one.persist_id);
    digest.add(one.message);
  }
  digest.add(snapshot_on_its_way);
  for (const KnownIncarnation& known : incarnations) {
    digest.add(known.member);
    digest.add(known.incarnation.value);
  }
  return digest.sum();
}

}  // namespace bascule::raft
