#include "tests/raft/raft_group.h"

#include <algorithm>
#include <stdexcept>

#include "src/base/codec.h"

namespace bascule::raft {
namespace {

std::string key_of(const Entry& entry) {
  return std::to_string(static_cast<int>(entry.kind)) + to_string(entry.data.view());
}

Slice encode_state(const std::vector<std::string>& state) {
  Bytes bytes;
  Writer out(bytes);
  for (const std::string& command : state) out.sized(command);
  return Slice::copy_of(bytes);
}

std::vector<std::string> decode_state(ByteView bytes) {
  std::vector<std::string> state;
  Reader in(bytes);
  while (in.remaining() > 0) state.emplace_back(in.sized_text());
  return state;
}

[[noreturn]] void broken(const std::string& what) { throw std::logic_error(what); }

}  // namespace

MemberId member_id(uint32_t node, uint64_t storage) {
  return {NodeId(node), Uuid{{storage != 0 ? storage : 0x100 + node, node}}};
}
Member member(uint32_t node, uint64_t storage) {
  return {member_id(node, storage), "host" + std::to_string(node) + ":1"};
}
std::vector<Member> members(const std::vector<uint32_t>& nodes) {
  std::vector<Member> out;
  for (const uint32_t node : nodes) out.push_back(member(node));
  return out;
}
Configuration voters(const std::vector<uint32_t>& nodes) {
  Configuration configuration;
  configuration.voters = members(nodes);
  return configuration;
}
Slice text(std::string_view data) { return Slice::copy_of(as_bytes(data)); }

Peer::Peer(const Peer& other)
    : disk(other.disk),
      raft(other.raft ? std::make_unique<Raft>(other.raft->copy()) : nullptr),
      state(other.state),
      reads(other.reads),
      state_index(other.state_index),
      lives(other.lives),
      compared(other.compared) {}

void Disk::complete_first() {
  Persist& persist = writes.front().persist;
  if (persist.snapshot) {
    stored.snapshot = *persist.snapshot;
    stored.entries.clear();
  }
  if (persist.first.value != 0) {
    const uint64_t base = stored.snapshot.meta.index.value;
    const uint64_t keep = persist.first.value - base - 1;
    if (keep > stored.entries.size()) broken("a write leaves a gap in the log");
    stored.entries.resize(keep);
    for (Entry& entry : persist.entries) stored.entries.push_back(std::move(entry));
  }
  if (persist.hard) stored.hard = *persist.hard;
  writes.pop_front();
}

Group::Group(const std::vector<uint32_t>& nodes, RaftOptions options, uint64_t seed)
    : options_(options), seed_(seed) {
  for (const uint32_t node : nodes) {
    peers_[node].disk.stored = Raft::bootstrap(voters(nodes));
    restart(node);
  }
}

std::vector<uint32_t> Group::nodes() const {
  std::vector<uint32_t> out;
  for (const auto& [node, peer] : peers_) out.push_back(node);
  return out;
}

void Group::add_peer(uint32_t node, uint64_t storage) {
  Peer& peer = peers_[node];
  const uint64_t lives = peer.lives;
  peer = Peer{};
  peer.lives = lives + 1;
  peer.disk.stored.incarnation = Incarnation(peer.lives);
  peer.raft = std::make_unique<Raft>(member_id(node, storage), options_, peer.disk.stored, now_,
                                     Prng(seed_ * 1000 + node * 100 + peer.lives));
}

void Group::crash(uint32_t node) {
  Peer& down = peer(node);
  down.raft.reset();
  down.disk.writes.clear();
}

void Group::restart(uint32_t node) {
  Peer& up = peer(node);
  const MemberId self = up.raft ? up.raft->self() : member_id(node);
  up.disk.writes.clear();
  ++up.lives;
  up.disk.stored.incarnation = Incarnation(up.lives);
  up.state = decode_state(up.disk.stored.snapshot.data);
  up.state_index = up.disk.stored.snapshot.meta.index;
  up.raft = std::make_unique<Raft>(self, options_, up.disk.stored, now_,
                                   Prng(seed_ * 1000 + node * 100 + up.lives));
}

void Group::pump(uint32_t node) {
  Peer& peer_of = peer(node);
  if (!peer_of.raft) return;
  Output output = peer_of.raft->take_output();
  for (Message& message : output.now) messages_.push_back(std::move(message));
  if (output.persist_id != 0) {
    peer_of.disk.writes.push_back(
        {output.persist_id, std::move(output.persist), std::move(output.after_persist)});
  } else if (!output.after_persist.empty()) {
    broken("messages wait for a write that is none");
  }
  apply(peer_of, output);
  check(node);
}

void Group::apply(Peer& peer, Output& output) {
  if (output.restore) {
    peer.state = decode_state(output.restore->data);
    peer.state_index = output.restore->meta.index;
  }
  Index index = output.apply_first;
  for (const Entry& entry : output.apply) {
    if (index != peer.state_index.next()) broken("entries are applied out of order");
    peer.state_index = index;
    const auto [at, fresh] = committed_.try_emplace(index, entry.term, key_of(entry));
    if (fresh)
      for (const auto& [node, other] : peers_)
        if (other.raft && other.raft->role() == Role::leader && other.raft->term() > entry.term &&
            index >= other.raft->first_index() && other.raft->term_at(index) != entry.term)
          broken("leader completeness: index " + index.to_string() + " is not in the log of " +
                 std::to_string(node));
    if (!fresh && at->second != std::pair(entry.term, key_of(entry)))
      broken("state machine safety: two entries at index " + index.to_string());
    if (entry.kind == EntryKind::command) peer.state.push_back(to_string(entry.data.view()));
    index = index.next();
  }
  for (ReadReady& read : output.reads) peer.reads[read.id] = std::move(read);
}

void Group::complete_write(uint32_t node) {
  Peer& peer_of = peer(node);
  if (!peer_of.raft || peer_of.disk.writes.empty()) return;
  const uint64_t id = peer_of.disk.writes.front().id;
  for (Message& message : peer_of.disk.writes.front().after)
    messages_.push_back(std::move(message));
  peer_of.disk.complete_first();
  peer_of.raft->persisted(now_, id);
  pump(node);
}

void Group::complete_writes(uint32_t node) {
  while (peer(node).raft && !peer(node).disk.writes.empty()) complete_write(node);
}

void Group::step(uint32_t node, Message message) {
  peer(node).raft->step(now_, std::move(message));
  pump(node);
}

void Group::tick(uint32_t node) {
  if (!peer(node).raft) return;
  peer(node).raft->tick(now_);
  pump(node);
}

bool Group::is_cut(const Message& message) const {
  return cuts_.contains({message.from.node.value, message.to.node.value});
}

void Group::deliver(size_t index) {
  Message message = std::move(messages_[index]);
  messages_.erase(messages_.begin() + static_cast<ptrdiff_t>(index));
  const uint32_t to = message.to.node.value;
  if (is_cut(message) || !peers_.contains(to) || !peer(to).raft) return;
  step(to, std::move(message));
}

void Group::settle() {
  for (int i = 0; i < 100'000; ++i) {
    bool moved = false;
    for (const uint32_t node : nodes()) {
      if (!peer(node).raft) continue;
      pump(node);
      moved |= !peer(node).disk.writes.empty();
      complete_writes(node);
    }
    if (!messages_.empty()) {
      deliver(0);
      moved = true;
    }
    if (!moved) return;
  }
  broken("the group does not come to rest");
}

void Group::run(Duration by) {
  const MonotonicTime end = now_ + by;
  settle();
  while (now_ < end) {
    MonotonicTime next = end;
    for (const auto& [node, peer] : peers_)
      if (peer.raft) next = std::min(next, peer.raft->deadline());
    now_ = std::max(now_, next);
    for (const uint32_t node : nodes())
      if (peer(node).raft && peer(node).raft->deadline() <= now_) tick(node);
    settle();
  }
}

void Group::elect(uint32_t node) {
  now_ = std::max(now_ + options_.election_timeout_max, (*this)[node].deadline());
  tick(node);
  settle();
}

uint32_t Group::leader() const {
  uint32_t found = 0;
  Term term;
  for (const auto& [node, peer] : peers_)
    if (peer.raft && peer.raft->role() == Role::leader && peer.raft->term() > term) {
      found = node;
      term = peer.raft->term();
    }
  return found;
}

Result<Index> Group::propose(uint32_t node, std::string_view command) {
  auto index = (*this)[node].propose(text(command));
  pump(node);
  return index;
}

void Group::isolate(uint32_t node) {
  for (const uint32_t other : nodes())
    if (other != node) {
      cut(node, other);
      cut(other, node);
    }
}

// Election safety and leader completeness.
void Group::check_leader(uint32_t node, const Raft& raft) {
  const auto [at, fresh] = leaders_.try_emplace(raft.term(), node);
  if (at->second != node) broken("election safety: two leaders of term " + raft.term().to_string());
  for (const auto& [index, entry] : committed_) {
    if (entry.first >= raft.term() || index < raft.first_index()) continue;
    if (raft.term_at(index) != entry.first)
      broken("leader completeness: index " + index.to_string() + " is not in the log of leader " +
             std::to_string(node));
  }
}

void Group::check(uint32_t node) {
  Peer& peer_of = peer(node);
  if (!peer_of.raft) return;
  peer_of.raft->check_invariants();
  if (peer_of.raft->role() == Role::leader) check_leader(node, *peer_of.raft);
  const Index last = peer_of.raft->last_index();
  const std::pair log(last, peer_of.raft->term_at(last));
  if (log == peer_of.compared) return;
  peer_of.compared = log;
  check_log_matching(node);
}

// Where two logs have the same term at an index, they are the same before it.
void Group::check_log_matching(uint32_t node) {
  const Raft& a = *peer(node).raft;
  for (const auto& [other_node, other] : peers_) {
    if (other_node == node || !other.raft) continue;
    const Raft& b = *other.raft;
    bool same = false;
    const Index low = std::max(a.first_index(), b.first_index());
    for (Index i = std::min(a.last_index(), b.last_index()); i >= low && i.value > 0;
         i = Index(i.value - 1)) {
      if (a.term_at(i) == b.term_at(i))
        same = true;
      else if (same)
        broken("log matching: nodes " + std::to_string(node) + " and " +
               std::to_string(other_node) + " differ at index " + i.to_string());
    }
  }
}

uint64_t Group::fingerprint() const {
  uint64_t sum = 0;
  const auto add = [&](uint64_t value) { sum = mix64(sum ^ value) + 1; };
  for (const auto& [node, peer] : peers_) {
    add(peer.raft ? peer.raft->fingerprint() : 0);
    add(peer.lives);
    const StoredState& stored = peer.disk.stored;
    add(stored.hard.term.value);
    add(stored.hard.vote.node.value);
    for (const Entry& entry : stored.entries) add(entry.term.value);
    // What is being written is what the machine says of it, and what waits for it.
    for (const Disk::Write& write : peer.disk.writes) {
      add(write.persist.hard ? write.persist.hard->term.value : 0);
      add(write.persist.hard ? write.persist.hard->vote.node.value : 0);
      add(write.persist.first.value);
      for (const Entry& entry : write.persist.entries) add(entry.term.value);
      for (const Message& message : write.after) add(raft::fingerprint(message));
    }
  }
  // A set: what is on its way has no order.
  uint64_t messages = 0;
  for (const Message& message : messages_) messages += mix64(raft::fingerprint(message));
  add(messages);
  for (const auto& [term, node] : leaders_) add(term.value * 100 + node);
  for (const auto& [index, entry] : committed_) add(index.value * 1000 + entry.first.value);
  return sum;
}

Snapshot Group::make_snapshot(uint32_t node) {
  Peer& of = peer(node);
  Snapshot snapshot;
  snapshot.meta.index = of.state_index;
  snapshot.meta.term = *of.raft->term_at(of.state_index);
  snapshot.meta.configuration = of.raft->configuration_at(of.state_index);
  snapshot.data = encode_state(of.state);
  return snapshot;
}

void Group::compact(uint32_t node) {
  Peer& of = peer(node);
  complete_writes(node);
  const Snapshot snapshot = make_snapshot(node);
  StoredState& stored = of.disk.stored;
  const uint64_t covered = snapshot.meta.index.value - stored.snapshot.meta.index.value;
  stored.entries.erase(stored.entries.begin(),
                       stored.entries.begin() + static_cast<ptrdiff_t>(covered));
  stored.snapshot = snapshot;
  of.raft->compact(snapshot);
  pump(node);
}

}  // namespace bascule::raft
