// Random calls and random ends of lives against the model: what a start finds is what some number of the first
// calls made, all that were completed among them.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <utility>
#include <vector>

#include "tests/raft/store_harness.h"

namespace bascule::raft {
namespace {

using Act = std::pair<uint8_t, uint16_t>;  // which, and a number that it draws from

// A member whose calls are those that a machine could make: committed entries are never cut.
class Member {
 public:
  explicit Member(StoreMachine& m) : m_(m) {}

  void act(const Act& act) {
    const uint64_t n = act.second;
    const uint64_t term = std::max<uint64_t>(m_.latest.hard.term.value, 1);
    const Index last = m_.latest.last();
    switch (act.first) {
      case 0:
      case 1: return m_.append(term, {n % 90, n % 7000});
      case 2: return m_.append(term, std::vector<size_t>(n % 40, n % 50));
      case 3:  // a new leader's entries in the place of others
        m_.vote(term + 1, 0);
        return m_.replace(Index(commit() + 1 + n % (last.value - commit() + 1)), term + 1,
                          std::vector<size_t>(1 + n % 3, n % 500));
      case 4: return m_.vote(term + 1, n % 4);
      case 5:
        committed_ = Index(last.value + 1 + n % 20);
        return n % 2 == 0 ? m_.install(committed_, Term(term))
                          : m_.install(committed_, Term(term), committed_.next(), {n % 90});
      case 6: {
        if (last.value <= std::max(commit(), m_.latest.base.value)) return;
        committed_ = Index(commit() + 1 + n % (last.value - commit()));
        const Term there = *m_.latest.term_at(committed_);
        return m_.install(committed_, n % 3 == 0 ? Term(there.value + 1) : there);
      }
      case 7:
        committed_ = Index(commit() + n % (last.value - commit() + 1));
        if (committed_ > std::max(m_.latest.base, m_.own_snapshot)) m_.snapshot(committed_, n % 5);
        return;
      default:
        m_.sim.run_until(m_.sim.now() + microseconds(static_cast<int64_t>(n % 3000)));
        return;
    }
  }

 private:
  // What a crash has taken was not committed.
  uint64_t commit() {
    committed_ = std::max(std::min(committed_, m_.latest.last()), m_.latest.base);
    committed_ = std::max(committed_, std::min(m_.own_snapshot, m_.latest.last()));
    return committed_.value;
  }

  StoreMachine& m_;
  Index committed_;
};

RC_GTEST_PROP(RaftStoreProperty, a_start_finds_what_some_number_of_the_first_calls_made,
              (uint64_t seed)) {
  const auto lives =
      *rc::gen::container<std::vector<std::vector<Act>>>(rc::gen::container<std::vector<Act>>(
          rc::gen::pair(rc::gen::inRange<uint8_t>(0, 11), rc::gen::arbitrary<uint16_t>())));
  StoreMachine m(seed);
  m.options.segment_bytes_max = 64 << 10;
  m.start_and_wait();
  Member member(m);
  for (size_t life = 0; life < lives.size(); ++life) {
    for (const Act& act : lives[life]) {
      member.act(act);
      RC_ASSERT(m.node->alive());
    }
    switch ((seed + life) % 3) {
      case 0: m.node->crash_process(); break;
      case 1: m.node->crash_machine(); break;
      default: m.stop(); break;
    }
    m.start_and_wait();
    RC_ASSERT(!testing::Test::HasFatalFailure());
  }
}

}  // namespace
}  // namespace bascule::raft
