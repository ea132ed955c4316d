#include "sim/worlds/storage/log_program.h"

namespace bascule::sim {
namespace {

constexpr Duration k_retry_after = milliseconds(5);

}  // namespace

LogProgram::LogProgram(Node& node, env::World& world, const LogSetup& setup, LogWatcher& watcher,
                       bool serve)
    : node_(node), world_(world), setup_(setup), watcher_(watcher), wants_to_serve_(serve) {
  watcher_.opening();
  world_.disk.lock(heard([this](Status s) {
    if (!s) return world_.loop.fail_stop(s.error());
    log::open_log_store(world_, setup_.store,
                        heard([this](Result<std::unique_ptr<log::LogStore>> store) {
                          if (!store) return world_.loop.fail_stop(store.error());
                          store_ = std::move(*store);
                          open_next();
                        }));
  }));
}

void LogProgram::open_next() {
  const size_t index = logs_.size();
  if (index < setup_.logs.size()) {
    store_->open_log(setup_.logs[index],
                     heard([this, index](Result<std::unique_ptr<log::Log>> log) {
                       if (log) {
                         logs_.push_back(std::move(*log));
                         watcher_.opened(index, *logs_.back());
                       } else {
                         logs_.push_back(nullptr);
                         watcher_.failed_to_open(index, log.error());
                       }
                       open_next();
                     }));
    return;
  }
  opened_all_ = true;
  if (wants_to_serve_) serve();
}

void LogProgram::serve() {
  watcher_.start_begun();
  store_->start_serving(heard([this](Status s) {
    if (!s && s.error().code == Errc::no_space) {
      // There may be room again later.
      world_.loop.after(k_retry_after, heard([this] { serve(); }));
      return;
    }
    if (!s) return world_.loop.fail_stop(s.error());
    await_room();
  }));
}

// Without room for `logs` the store only reads, and a stop then leaves on the disk what an earlier life has
// said: this life has not begun before there is room.
void LogProgram::await_room() {
  if (!store_->writable()) {
    world_.loop.after(k_retry_after, heard([this] { await_room(); }));
    return;
  }
  serving_ = true;
  watcher_.serving();
}

void LogProgram::stop() {
  if (!serving_ || stopping_) return;
  stopping_ = true;
  serving_ = false;
  watcher_.stop_begun();
  stop_next(0);
}

void LogProgram::stop_next(size_t index) {
  while (index < logs_.size() && !logs_[index]) ++index;
  if (index < logs_.size()) {
    logs_[index]->stop(heard([this, index](Status s) {
      if (!s) return world_.loop.fail_stop(s.error());
      stop_next(index + 1);
    }));
    return;
  }
  store_->stop(heard([this](Status s) {
    if (!s) return world_.loop.fail_stop(s.error());
    watcher_.stopped();
  }));
}

}  // namespace bascule::sim
