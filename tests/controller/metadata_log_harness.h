// One simulated machine with a metadata log on it, and what was promised to whoever proposed.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/world/node.h"
#include "src/controller/local_metadata_log.h"

namespace bascule::controller {

inline Uuid log_storage() { return Uuid{{0xabc, 0xdef}}; }

// The state machine: the list of all commands. Its snapshot is their count and texts.
class Recorder final : public CommittedEntries {
 public:
  Status restore(Index index, ByteView snapshot) override {
    std::string_view text = as_text(snapshot);
    while (!text.empty()) {
      const size_t end = text.find('\n');
      if (end == std::string_view::npos) return fail(Errc::corrupt, "snapshot");
      commands.emplace_back(text.substr(0, end));
      text.remove_prefix(end + 1);
    }
    return commands.size() == index.value ? Status() : fail(Errc::corrupt, "snapshot's index");
  }
  Status apply(Index index, Term, ByteView command) override {
    if (index.value != commands.size() + 1) return fail(Errc::corrupt, "index");
    commands.push_back(to_string(command));
    return {};
  }
  Slice snapshot() const {
    std::string text;
    for (const std::string& c : commands) text += c + "\n";
    return Slice::copy_of(as_bytes(text));
  }
  std::vector<std::string> commands;
};

struct LogProgram final : sim::Program {
  explicit LogProgram(env::World& w) : world(w) {}
  env::World& world;
  Recorder recorder;
  std::optional<Error> open_error;
  std::unique_ptr<MetadataLog> log;
};

// What a machine's log has promised over all its lives.
class LogMachine {
 public:
  explicit LogMachine(uint64_t seed, sim::DiskOptions disk = {}, sim::Chooser* chooser = nullptr)
      : sim(seed, chooser) {
    sim::NodeOptions options;
    options.disk = disk;
    node = &sim.add_node(options);
    log_options.extent_bytes = 16 << 10;
    log_options.reserve_bytes = 64 << 10;
  }

  // Begins a life: opens the log, or formats it where there is none.
  void start() {
    node->start([this](env::World& w) {
      auto p = std::make_unique<LogProgram>(w);
      open(*p, true);
      return p;
    });
  }

  LogProgram* program() { return static_cast<LogProgram*>(node->program()); }
  bool opened() { return program() != nullptr && program()->log != nullptr; }
  std::optional<Error> open_error() {
    return program() == nullptr ? std::nullopt : program()->open_error;
  }
  // Runs until the log is open or refused. True: open.
  bool wait_open() {
    sim.run_until_true(sim.now() + seconds(60),
                       [&] { return !node->alive() || opened() || open_error().has_value(); });
    return opened();
  }
  void start_and_wait() {
    start();
    ASSERT_TRUE(wait_open()) << (open_error() ? open_error()->to_string() : "the process died");
    check();
  }

  // Proposes the next command; what is said of it is kept.
  void propose(size_t bytes = 20, Urgency urgency = Urgency::normal) {
    std::string command = std::to_string(++proposed_) + "-";
    command.resize(std::max(bytes, command.size()), 'x');
    sent.push_back(command);
    const size_t number = sent.size() - 1;
    program()->log->propose(Slice::copy_of(as_bytes(command)), urgency,
                            [this, number](Result<Index> r) {
                              answers[number] = r ? std::nullopt : std::optional(r.error().code);
                            });
  }
  bool wait_answers() {
    return sim.run_until_true(sim.now() + seconds(60), [&] {
      return answers.size() == sent.size() || !node->alive();
    }) && node->alive();
  }
  void snapshot() {
    program()->log->save_snapshot(program()->log->last_committed(), program()->recorder.snapshot(),
                                  [this](Status s) { snapshots.push_back(std::move(s)); });
  }
  void stop() {
    bool stopped = false;
    program()->log->stop([&](Status s) {
      EXPECT_TRUE(s.has_value());
      stopped = true;
    });
    ASSERT_TRUE(sim.run_until_true(sim.now() + seconds(60), [&] { return stopped; }));
    program()->log.reset();
    node->exit();
  }

  // What is recovered is what was proposed, in order, with all that was acknowledged and nothing that was
  // refused; what had no answer may be there or not.
  void check() {
    const std::vector<std::string>& have = program()->recorder.commands;
    size_t at = 0;
    for (size_t i = 0; i < sent.size(); ++i) {
      const bool there = at < have.size() && have[at] == sent[i];
      const auto answer = answers.find(i);
      if (answer != answers.end() && !answer->second) {
        ASSERT_TRUE(there) << "lost: " << sent[i];
      }
      if (answer != answers.end() && answer->second) {
        ASSERT_FALSE(there) << "refused and there: " << sent[i];
      }
      if (there) {
        ++at;
        // It was seen: from now on it stays.
        answers[i] = std::nullopt;
      } else if (answer == answers.end()) {
        answers[i] = Errc::outcome_unknown;  // it was not seen: it never appears
      }
    }
    ASSERT_EQ(at, have.size()) << "something that was never proposed, or out of order";
  }

  std::string path(int place, const std::string& suffix) {
    const std::string prefix = std::string("metadata/") + (place == 0 ? "a/" : "b/");
    std::string last;
    for (const std::string& f : node->device().storage().files()) {
      if (f.starts_with(prefix) && f.ends_with(suffix)) last = f;
    }
    return last;
  }
  void flip(int place, const std::string& suffix, uint64_t position) {
    sim::Storage& storage = node->device().storage();
    storage.flip(*storage.find(path(place, suffix)), position, 0x40);
  }

  sim::Simulation sim;
  sim::Node* node;
  LocalMetadataLogOptions log_options;
  std::vector<std::string> sent;
  std::map<size_t, std::optional<Errc>> answers;  // nothing: acknowledged
  std::vector<Status> snapshots;

 private:
  void open(LogProgram& p, bool may_format) {
    open_local_metadata_log(p.world, log_options, log_storage(), p.recorder,
                            [this, &p, may_format](Result<std::unique_ptr<MetadataLog>> r) {
                              if (r) {
                                p.log = std::move(*r);
                              } else if (r.error().code == Errc::not_found && may_format) {
                                format_local_metadata_log(p.world, log_options, log_storage(),
                                                          [this, &p](Status s) {
                                                            if (!s) {
                                                              p.open_error = s.error();
                                                            } else {
                                                              open(p, false);
                                                            }
                                                          });
                              } else {
                                p.open_error = r.error();
                              }
                            });
  }

  uint64_t proposed_ = 0;
};

}  // namespace bascule::controller
