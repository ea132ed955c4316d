// Some machines, the disks under them and the messages between them, in a test's hands: nothing is delivered,
// made durable or lost but by a call. Checks the paper's fig. 3 after each step.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "src/raft/raft.h"

namespace bascule::raft {

MemberId member_id(uint32_t node, uint64_t storage = 0);
Member member(uint32_t node, uint64_t storage = 0);
std::vector<Member> members(const std::vector<uint32_t>& nodes);
Configuration voters(const std::vector<uint32_t>& nodes);
Slice text(std::string_view data);

// What a store would hold, and what is on its way to it.
struct Disk {
  struct Write {
    uint64_t id = 0;
    Persist persist;
    std::vector<Message> after;
  };
  StoredState stored;
  std::deque<Write> writes;  // oldest first

  void complete_first();  // the oldest write is durable
};

struct Peer {
  Peer() = default;
  Peer(const Peer& other);
  Peer& operator=(Peer&&) = default;

  Disk disk;
  std::unique_ptr<Raft> raft;      // none: down
  std::vector<std::string> state;  // of commands applied, in order: the state machine
  std::map<uint64_t, ReadReady> reads;
  Index state_index;  // applied
  uint64_t lives = 0;
  // Of the log when it was last compared with others.
  std::pair<Index, std::optional<Term>> compared;
};

class Group {
 public:
  explicit Group(const std::vector<uint32_t>& voters, RaftOptions options = {}, uint64_t seed = 1);

  Raft& operator[](uint32_t node) { return *peer(node).raft; }
  Peer& peer(uint32_t node) { return peers_.at(node); }
  const std::map<uint32_t, Peer>& peers() const { return peers_; }
  MonotonicTime now() const { return now_; }
  std::vector<uint32_t> nodes() const;

  // A member with an empty store, in no configuration.
  void add_peer(uint32_t node, uint64_t storage = 0);
  // Loses what is not durable.
  void crash(uint32_t node);
  void restart(uint32_t node);

  // Performs what the machine has put out: writes begin, `now` messages leave, entries are applied.
  void pump(uint32_t node);
  void complete_write(uint32_t node);  // the oldest; its messages leave
  void complete_writes(uint32_t node);
  void deliver(size_t index);  // of messages()
  void step(uint32_t node, Message message);
  void tick(uint32_t node);
  void advance(Duration by) { now_ = now_ + by; }

  // Delivers and completes until nothing moves; messages over cut links are lost. Time stands still.
  void settle();
  // Time goes on, with ticks when they are due and everything delivered at once.
  void run(Duration by);
  // `node` times out, and all that follows happens.
  void elect(uint32_t node);
  uint32_t leader() const;  // the one of the greatest term; 0: none
  Result<Index> propose(uint32_t node, std::string_view command);

  void cut(uint32_t from, uint32_t to) { cuts_.insert({from, to}); }
  void isolate(uint32_t node);
  void heal() { cuts_.clear(); }
  bool is_cut(const Message& message) const;

  // Where everything is, but for the time: equal where the same may follow.
  uint64_t fingerprint() const;

  std::vector<Message>& messages() { return messages_; }
  const std::vector<Message>& messages() const { return messages_; }
  // Those from `from` to `to` that are on their way.
  template <class T>
  std::vector<T> sent(uint32_t from, uint32_t to) const {
    std::vector<T> found;
    for (const Message& message : messages_)
      if (message.from.node.value == from && message.to.node.value == to)
        if (const T* body = std::get_if<T>(&message.body)) found.push_back(*body);
    return found;
  }

  // Fig. 3, as far as a step of `node` may have broken it. Throws std::logic_error with what is wrong.
  void check(uint32_t node);
  // The highest index that any machine has applied.
  Index committed() const { return committed_.empty() ? Index{} : committed_.rbegin()->first; }
  // The state machine's snapshot as of what is applied.
  Snapshot make_snapshot(uint32_t node);
  void compact(uint32_t node);

 private:
  void apply(Peer& peer, Output& output);
  void check_leader(uint32_t node, const Raft& raft);
  void check_log_matching(uint32_t node);

  RaftOptions options_;
  uint64_t seed_;
  MonotonicTime now_{1'000'000'000};
  std::map<uint32_t, Peer> peers_;
  std::vector<Message> messages_;
  std::set<std::pair<uint32_t, uint32_t>> cuts_;
  std::map<Term, uint32_t> leaders_;                         // election safety
  std::map<Index, std::pair<Term, std::string>> committed_;  // state machine safety
};

}  // namespace bascule::raft
