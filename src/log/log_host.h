// What a log needs of the store that holds it: the services that logs of one node share.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "src/env/coroutine.h"
#include "src/env/world.h"
#include "src/log/format.h"
#include "src/log/log_store.h"

namespace bascule::log {

using env::call;
using env::Co;
using env::CoMutex;
using env::CoScope;

class LogImpl;

// A change of files that failed so has changed nothing, and may succeed later.
inline bool refused(const Error& error) {
  return error.code == Errc::no_space || error.code == Errc::overloaded;
}

class LogHost {
 public:
  virtual ~LogHost() { *alive_ = false; }

  virtual env::World& world() = 0;
  virtual const LogStoreOptions& options() const = 0;
  virtual bool clean_start() const = 0;
  virtual bool serving() const = 0;
  // The entry that the last life left for the log, if any; and its boot id.
  virtual std::optional<LogsEntry> entry_at_start(PartitionId partition,
                                                  AssignmentId assignment) const = 0;
  virtual bool same_boot() const = 0;

  // Counts bytes against the limit on disk use; `no_space` beyond it.
  virtual Status charge(uint64_t bytes) = 0;
  virtual void refund(uint64_t bytes) = 0;
  // Counts what is already on the disk, whatever the limit.
  virtual void count(uint64_t bytes) = 0;

  // Makes the file `path` from a pooled one where there is any; gives its size, 0 where there is none.
  // The name is durable after the caller's sync_dir.
  virtual Co<uint64_t> recycle_into(const std::string& path) = 0;
  // Takes a file that no manifest lists any more, and that no write and no reader is on; `reusable`
  // says that no dead life's write may land in it. Refunds its bytes where it is removed.
  virtual Co<void> dispose(const std::string& path, uint64_t bytes, bool reusable) = 0;
  // Moves a file of `bytes` out of the way. It stays until newer ones need its place.
  virtual Co<void> quarantine(const std::string& path, const std::string& name, uint64_t bytes) = 0;
  // At a start that has found no room: gives the disk what is kept for that. False: nothing is.
  virtual Co<bool> lend_reserve() = 0;

  // A group's write is under way, until its end: for whoever asks how old the oldest one is.
  virtual uint64_t write_began() = 0;
  virtual void write_ended(uint64_t write) = 0;

  // The log's numbers have moved: `logs` is written within a second.
  virtual void changed() = 0;
  // `logs` as of now, or later, is durable.
  virtual Co<void> write_logs() = 0;

  virtual void attach(LogImpl& log) = 0;
  // Keeps `last` as the entry of the log that is going.
  virtual void detach(LogImpl& log, const LogsEntry& last) = 0;

  // False once the store is gone: a log that a dropped completion still holds may go after it.
  std::shared_ptr<const bool> alive() const { return alive_; }

 private:
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace bascule::log
