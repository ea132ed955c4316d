// The metadata log cut at every event of a run: by a kill of the process and by a power loss, in
// formatting, in groups, in snapshots, and again inside the recovery that follows.
#include <gtest/gtest.h>

#include "tests/controller/metadata_log_harness.h"

namespace bascule::controller {
namespace {

enum class Crash : uint8_t { process, machine };

void crash(LogMachine& m, Crash how) {
  if (how == Crash::process) {
    m.node->crash_process();
  } else {
    m.node->crash_machine();
  }
}

// A small life: formatting, groups of several sizes, two snapshots.
class Story {
 public:
  explicit Story(LogMachine& m) : m_(m) { m_.start(); }

  // Runs until `events` events have passed, or the story ends. False: it ended.
  bool run(uint64_t events) {
    for (uint64_t i = 0; i < events; ++i) {
      act();
      if (step_ > 24 && m_.answers.size() == m_.sent.size()) return false;
      if (!m_.sim.step()) return false;
    }
    return true;
  }

 private:
  void act() {
    if (step_ > 24 || !m_.opened() || m_.answers.size() < m_.sent.size()) return;
    if (step_ == 4 || step_ == 8 || step_ == 18) {
      if (m_.snapshots.size() == snapshots_) {
        m_.snapshot();
        ++snapshots_;
      }
      ++step_;
      m_.propose();
      return;
    }
    if (step_ == 6) m_.propose(6000);
    ++step_;
    m_.propose(step_ % 3 == 0 ? 200 : 20);
    m_.propose(30);
  }

  LogMachine& m_;
  int step_ = 0;
  size_t snapshots_ = 0;
};

sim::DiskOptions fixed() {
  sim::DiskOptions d;
  d.fixed_latency = true;
  return d;
}

uint64_t story_length() {
  LogMachine m(3, fixed());
  Story story(m);
  uint64_t events = 0;
  while (story.run(1)) ++events;
  return events;
}

class MetadataLogCrash : public testing::TestWithParam<Crash> {};

TEST_P(MetadataLogCrash, at_every_event_nothing_acknowledged_is_lost_and_nothing_refused_appears) {
  const uint64_t length = story_length();
  ASSERT_GT(length, 200u);
  for (uint64_t cut = 1; cut <= length; ++cut) {
    for (uint64_t choice = 0; choice < 4; ++choice) {
      sim::WorstChooser worst;
      LogMachine m(3 + (choice == 0 ? 0 : choice), fixed(), choice == 0 ? &worst : nullptr);
      Story(m).run(cut);
      crash(m, GetParam());
      m.start_and_wait();
      if (HasFatalFailure()) FAIL() << "cut at event " << cut << ", choice " << choice;
      // What was seen once stays: a second loss of power takes nothing of it.
      m.propose();
      ASSERT_TRUE(m.wait_answers());
      m.node->crash_machine();
      m.start_and_wait();
      if (HasFatalFailure()) FAIL() << "second crash, cut at event " << cut << ", " << choice;
    }
  }
}

TEST_P(MetadataLogCrash, inside_the_recovery_too) {
  const uint64_t length = story_length();
  uint64_t runs = 0;
  for (uint64_t cut = 5; cut <= length; cut += 5) {
    for (uint64_t second = 1;; ++second) {
      LogMachine m(3 + cut + second, fixed());
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

TEST_P(MetadataLogCrash, with_rot_in_one_copy_nothing_acknowledged_is_lost) {
  const uint64_t length = story_length();
  for (uint64_t cut = 3; cut <= length; cut += 2) {
    LogMachine m(cut, fixed());
    Story(m).run(cut);
    crash(m, GetParam());
    // Some durable byte of one place.
    const int place = static_cast<int>(cut % 2);
    const std::string prefix = place == 0 ? "metadata/a/" : "metadata/b/";
    sim::Storage& storage = m.node->device().storage();
    std::vector<std::string> files;
    for (const std::string& f : storage.files()) {
      if (f.starts_with(prefix)) files.push_back(f);
    }
    if (!files.empty()) {
      const std::string& file = files[cut / 2 % files.size()];
      const sim::InodeId inode = *storage.find(file);
      const uint64_t size = storage.size(inode);
      if (size > 0) storage.flip(inode, mix64(cut) % std::min<uint64_t>(size, 9000), 1);
    }
    m.start_and_wait();
    if (HasFatalFailure()) FAIL() << "cut at event " << cut;
  }
}

INSTANTIATE_TEST_SUITE_P(Both, MetadataLogCrash, testing::Values(Crash::process, Crash::machine),
                         [](const auto& chosen) {
                           return chosen.param == Crash::process ? "process" : "machine";
                         });

}  // namespace
}  // namespace bascule::controller
