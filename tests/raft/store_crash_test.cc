// The store cut at every event of a run: by a kill of the process and by a power loss, in formatting, in
// groups, in cuts, in snapshots of both kinds, and again inside the recovery that follows.
#include <gtest/gtest.h>

#include "tests/raft/store_harness.h"

namespace bascule::raft {
namespace {

enum class Crash : uint8_t { process, machine };

void crash(StoreMachine& m, Crash how) {
  if (how == Crash::process) {
    m.node->crash_process();
  } else {
    m.node->crash_machine();
  }
}

// A small life with everything that a member does. Each step is given when the one before is done.
class Story {
 public:
  explicit Story(StoreMachine& m) : m_(m) { m_.start(); }

  // Runs until `events` events have passed, or the story ends. False: it ended.
  bool run(uint64_t events) {
    for (uint64_t i = 0; i < events; ++i) {
      if (m_.opened() && m_.quiet()) {
        if (step_ == k_steps) return false;
        act(step_++);
      }
      if (!m_.sim.step()) return false;
    }
    return true;
  }

 private:
  static constexpr int k_steps = 13;

  void act(int step) {
    switch (step) {
      case 0: return m_.vote(1, 1);
      case 1: return m_.append(1, {20, 30});
      case 2:  // several calls of one turn, a cut among them
        m_.append(1, {40});
        m_.vote(2, 0);
        m_.replace(Index(3), 2, {20, 5000, 20});
        return m_.append(2, {10});
      case 3: return m_.vote(3, 2);
      case 4: return m_.replace(Index(4), 3, {100});  // shorter than before
      case 5: m_.snapshot(Index(3)); return m_.append(3, {50});
      case 6:
        return m_.install(Index(40), Term(3), Index(41), {60, 70});  // far ahead, with entries
      case 7: return m_.append(3, {20, 20, 20});
      case 8: return m_.install(Index(43), Term(3));  // inside the log: what follows stays
      case 9: m_.vote(4, 1); return m_.append(4, {30});
      case 10: return m_.install(Index(45), Term(4), Index(46));  // another entry there
      case 11:
        m_.append(4, {6000});
        return m_.snapshot(Index(46), 1);  // before its entry is durable
      default: return m_.vote(5, 2);
    }
  }

  StoreMachine& m_;
  int step_ = 0;
};

sim::DiskOptions fixed() {
  sim::DiskOptions d;
  d.fixed_latency = true;
  return d;
}

uint64_t story_length() {
  StoreMachine m(3, fixed());
  Story story(m);
  uint64_t events = 0;
  while (story.run(1)) ++events;
  EXPECT_EQ(m.latest.last(), Index(46));
  EXPECT_EQ(m.latest.hard.term, Term(5));
  return events;
}

class StoreCrash : public testing::TestWithParam<Crash> {};

TEST_P(StoreCrash, at_every_event_leaves_what_some_number_of_the_first_calls_made) {
  const uint64_t length = story_length();
  ASSERT_GT(length, 200u);
  for (uint64_t cut = 1; cut <= length; ++cut) {
    for (uint64_t choice = 0; choice < 4; ++choice) {
      sim::WorstChooser worst;
      StoreMachine m(3 + choice, fixed(), choice == 0 ? &worst : nullptr);
      Story(m).run(cut);
      crash(m, GetParam());
      m.start_and_wait();
      if (HasFatalFailure()) FAIL() << "cut at event " << cut << ", choice " << choice;
      // What was seen once stays: a second loss of power takes nothing of it.
      m.append(9, {20});
      ASSERT_TRUE(m.wait_quiet());
      m.node->crash_machine();
      m.start_and_wait();
      if (HasFatalFailure()) FAIL() << "second crash, cut at event " << cut << ", " << choice;
    }
  }
}

TEST_P(StoreCrash, inside_the_recovery_too) {
  const uint64_t length = story_length();
  uint64_t runs = 0;
  for (uint64_t cut = 5; cut <= length; cut += 9) {
    for (uint64_t second = 1;; ++second) {
      StoreMachine m(3 + cut + second, fixed());
      Story(m).run(cut);
      crash(m, GetParam());
      m.start();
      bool open = false;
      for (uint64_t i = 0; i < second && !open; ++i) {
        ASSERT_TRUE(m.sim.step());
        open = m.opened();
      }
      if (open) break;
      crash(m, second % 2 == 0 ? Crash::process : Crash::machine);
      m.start_and_wait();
      if (HasFatalFailure()) FAIL() << "cut at " << cut << " and " << second << " after";
      ++runs;
    }
  }
  EXPECT_GT(runs, 1000u);
}

TEST_P(StoreCrash, with_rot_in_one_copy_loses_nothing) {
  const uint64_t length = story_length();
  for (uint64_t cut = 3; cut <= length; ++cut) {
    StoreMachine m(cut, fixed());
    Story(m).run(cut);
    crash(m, GetParam());
    const std::string prefix = cut % 2 == 0 ? "metadata/a/" : "metadata/b/";
    sim::Storage& storage = m.node->device().storage();
    std::vector<std::string> files;
    for (const std::string& f : storage.files())
      if (f.starts_with(prefix)) files.push_back(f);
    if (!files.empty()) {
      const sim::InodeId inode = *storage.find(files[cut / 2 % files.size()]);
      const uint64_t size = storage.size(inode);
      if (size > 0) storage.flip(inode, mix64(cut) % std::min<uint64_t>(size, 9000), 1);
    }
    m.start_and_wait();
    if (HasFatalFailure()) FAIL() << "cut at event " << cut;
  }
}

INSTANTIATE_TEST_SUITE_P(Both, StoreCrash, testing::Values(Crash::process, Crash::machine),
                         [](const auto& chosen) {
                           return chosen.param == Crash::process ? "process" : "machine";
                         });

}  // namespace
}  // namespace bascule::raft
