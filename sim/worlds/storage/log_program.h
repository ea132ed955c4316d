// A process that opens a log store with its logs and works on them; in the world `storage`, and in the
// sandboxes of oracles. It tells a LogWatcher what happens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sim/world/node.h"
#include "src/env/world.h"
#include "src/log/log_store.h"

namespace bascule::sim {

struct LogSetup {
  log::LogStoreOptions store;
  std::vector<log::LogOptions> logs;
};

class LogWatcher {
 public:
  virtual ~LogWatcher() = default;
  virtual void opening() {}
  // The store is open: its logs follow, one by one.
  virtual void opened(size_t, log::Log&) {}
  virtual void failed_to_open(size_t, const Error&) {}
  virtual void start_begun() {}
  // All logs were opened and may be appended to.
  virtual void serving() {}
  virtual void stop_begun() {}
  virtual void stopped() {}
};

class LogProgram final : public Program {
 public:
  // `serve`: goes on to start_serving once all logs are open.
  LogProgram(Node& node, env::World& world, const LogSetup& setup, LogWatcher& watcher, bool serve);

  env::World& world() { return world_; }
  bool serving() const { return serving_; }
  // Every log was opened, or failed to.
  bool opened_all() const { return opened_all_; }
  size_t log_count() const { return logs_.size(); }
  // Null: it could not be opened.
  log::Log* log(size_t index) { return logs_[index].get(); }
  log::LogStore* store() { return store_.get(); }
  // For completions: nothing is heard of a program that has gone, or of a process that died in the very
  // turn that calls (what it does after fail_stop has no effect).
  template <class F>
  auto heard(F f) const {
    return scope_.wrap([&node = node_, f = std::move(f)](auto&&... args) mutable {
      if (node.alive()) f(std::forward<decltype(args)>(args)...);
    });
  }

  // Stops the logs and the store, then tells the watcher.
  void stop();

 private:
  void open_next();
  void serve();
  void await_room();
  void stop_next(size_t index);

  Node& node_;
  env::World& world_;
  const LogSetup& setup_;
  LogWatcher& watcher_;
  bool wants_to_serve_;
  bool serving_ = false;
  bool stopping_ = false;
  bool opened_all_ = false;
  std::unique_ptr<log::LogStore> store_;
  std::vector<std::unique_ptr<log::Log>> logs_;
  env::Scope scope_;
};

}  // namespace bascule::sim
