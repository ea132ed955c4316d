// The paper's fig. 3 under everything that a network and a process may do: Group::check runs after each step.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "tests/raft/raft_group.h"

namespace bascule::raft {
namespace {

// One thing that happens: what, and two choices that it makes of what there is.
struct Happening {
  uint8_t what = 0;
  uint16_t a = 0;
  uint16_t b = 0;
};

std::ostream& operator<<(std::ostream& out, const Happening& h) {
  return out << int{h.what} << ':' << h.a << ':' << h.b;
}

rc::Gen<std::vector<Happening>> history(double length) {
  const auto one = rc::gen::apply(
      [](uint8_t what, uint16_t a, uint16_t b) { return Happening{what, a, b}; },
      rc::gen::inRange<uint8_t>(0, 100), rc::gen::resize(100, rc::gen::arbitrary<uint16_t>()),
      rc::gen::resize(100, rc::gen::arbitrary<uint16_t>()));
  // Not shrunk: that takes long, and the seed replays it.
  return rc::gen::noShrink(rc::gen::scale(length, rc::gen::container<std::vector<Happening>>(one)));
}

RaftOptions small_bounds() {
  RaftOptions options;
  options.append_bytes_max = 100;
  options.in_flight_messages_max = 3;
  options.in_flight_bytes_max = 300;
  options.snapshot_chunk_bytes = 10;
  options.uncommitted_bytes_max = 1000;
  options.keep_entries = 2;
  options.reads_max = 4;
  return options;
}

class History {
 public:
  History(uint32_t voters_count, uint32_t spares) : group_(first(voters_count), small_bounds()) {
    for (uint32_t i = 0; i < spares; ++i) group_.add_peer(voters_count + i + 1);
    all_ = group_.nodes();
  }

  void happen(const Happening& h) {
    const uint32_t node = all_[h.a % all_.size()];
    Peer& peer = group_.peer(node);
    if (h.what < 50) {
      deliver(h, h.what < 48, h.what >= 45);
    } else if (h.what < 65) {
      group_.complete_write(node);
    } else if (h.what < 77) {
      group_.advance(milliseconds(h.b % 16));
      for (const uint32_t each : all_) group_.tick(each);
    } else if (h.what < 78) {
      group_.advance(milliseconds(150));
      group_.tick(node);
    } else if (h.what < 79) {
      if (peer.raft) group_.crash(node);
    } else if (h.what < 83) {
      for (const uint32_t each : all_)
        if (!group_.peer(each).raft) group_.restart(each);
    } else if (peer.raft) {
      act(h, node, *peer.raft);
    }
    check_reads();
  }

  // All up, nothing lost: within a few timeouts one leads, and takes and commits a command.
  void must_recover() {
    group_.heal();
    for (const uint32_t node : all_) {
      if (!group_.peer(node).raft) group_.restart(node);
      group_[node].set_can_persist(group_.now(), true);
    }
    group_.run(milliseconds(1500));
    const uint32_t leader = group_.leader();
    RC_ASSERT(leader != 0u);
    RC_ASSERT(group_.propose(leader, "last").has_value());
    group_.run(milliseconds(200));
    const auto& state = group_[leader].configuration();
    RC_ASSERT(!state.joint());
    for (const Member& voter : state.voters)
      RC_ASSERT(group_.peer(voter.id.node.value).state == group_.peer(leader).state);
    RC_ASSERT(group_.peer(leader).state.back() == "last");
  }

  Group& group() { return group_; }

 private:
  static std::vector<uint32_t> first(uint32_t count) {
    std::vector<uint32_t> nodes;
    for (uint32_t i = 1; i <= count; ++i) nodes.push_back(i);
    return nodes;
  }

  void deliver(const Happening& h, bool arrives, bool stays) {
    auto& messages = group_.messages();
    for (int i = 0; i < 1 + h.b % 6 && !messages.empty(); ++i) deliver_one(h, arrives, stays);
  }

  void deliver_one(const Happening& h, bool arrives, bool stays) {
    auto& messages = group_.messages();
    // Mostly the oldest ones: else nothing that takes more than one round trip happens.
    const size_t reach = h.b % 4 == 0 ? messages.size() : std::min<size_t>(messages.size(), 3);
    const size_t at = h.a % reach;
    if (stays && messages.size() < 200) messages.push_back(messages[at]);
    if (arrives)
      group_.deliver(at);
    else if (!stays)
      messages.erase(messages.begin() + static_cast<ptrdiff_t>(at));
  }

  void act(const Happening& h, uint32_t node, Raft& raft) {
    const uint32_t other = all_[h.b % all_.size()];
    if (h.what < 90) {
      const uint32_t leader = group_.leader();
      (void)group_.propose(leader != 0 && h.b % 8 != 0 ? leader : node,
                           "c" + std::to_string(++commands_));
    } else if (h.what < 92) {
      const uint32_t leader = group_.leader();
      if (leader != 0) change(h, leader, group_[leader]);
    } else if (h.what < 94) {
      (void)raft.transfer(group_.now(), member_id(other));
    } else if (h.what < 95) {
      raft.set_can_persist(group_.now(), h.b % 2 == 0);
    } else if (h.what < 96) {
      raft.leader_is_gone(group_.now(), raft.leader());
    } else if (h.what < 98) {
      if (group_.peer(node).state_index.value > 0 &&
          group_.peer(node).state_index == raft.applied() && raft.first_index() <= raft.applied())
        group_.compact(node);
    } else if (raft.read(group_.now(), ++reads_)) {
      expected_[reads_] = group_.committed();
      askers_[reads_] = node;
    }
    group_.pump(node);
  }

  // Any set of voters; the others listen.
  void change(const Happening& h, uint32_t node, Raft& raft) {
    std::vector<Member> voters;
    std::vector<Member> learners;
    for (size_t i = 0; i < all_.size(); ++i)
      ((h.b >> i & 1) != 0 ? voters : learners).push_back(member(all_[i]));
    const auto began = raft.change_membership(voters, learners);
    if (!began && began.error().code == Errc::not_yet) {
      // Who shall vote listens first.
      const Configuration now = raft.configuration();
      std::erase_if(voters, [&](const Member& m) { return !now.is_voter(m.id); });
      std::vector<Member> rest;
      for (const uint32_t each : all_)
        if (!now.is_voter(member_id(each))) rest.push_back(member(each));
      (void)raft.change_membership(now.voters, rest);
    }
    group_.pump(node);
  }

  // A read sees all that was committed when it was asked for (thesis §6.4).
  void check_reads() {
    for (auto at = expected_.begin(); at != expected_.end();) {
      const auto& reads = group_.peer(askers_[at->first]).reads;
      const auto ready = reads.find(at->first);
      if (ready == reads.end()) {
        ++at;
        continue;
      }
      if (ready->second.index) {
        RC_ASSERT(*ready->second.index >= at->second);
        ++answered_;
      }
      at = expected_.erase(at);
    }
  }

  Group group_;
  std::vector<uint32_t> all_;
  uint64_t commands_ = 0;
  uint64_t reads_ = 0;
  uint64_t answered_ = 0;
  std::map<uint64_t, Index> expected_;
  std::map<uint64_t, uint32_t> askers_;
};

void run(uint32_t voters_count, uint32_t spares, const std::vector<Happening>& happenings) {
  History history(voters_count, spares);
  history.group().elect(1);
  for (const Happening& h : happenings) history.happen(h);
  history.must_recover();
}

RC_GTEST_PROP(raft_safety, three_voters_agree_whatever_happens, ()) { run(3, 0, *history(10)); }

RC_GTEST_PROP(raft_safety, five_voters_agree_whatever_happens, ()) { run(5, 0, *history(10)); }

RC_GTEST_PROP(raft_safety, members_may_come_and_go_meanwhile, ()) { run(3, 2, *history(12)); }

}  // namespace
}  // namespace bascule::raft
