// The logs of one data directory.
//
//   <directory>/logs               the node-wide file (format.h)
//   <directory>/<s>-<p>-<a>/       a log: stream, partition, assignment
//   <directory>/pool/              segments to be recycled
//   <directory>/quarantine/        what recovery cut or did not know, within bounds
//   <directory>/reserve            room for a start on a full disk
//   <directory>/trash/             deleted logs on their way out
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/env/coroutine.h"
#include "src/log/log_host.h"
#include "src/log/log_store.h"

namespace bascule::log {

class LogStoreImpl final : public LogStore, public LogHost {
 public:
  LogStoreImpl(env::World& world, LogStoreOptions options);
  ~LogStoreImpl() override;
  static Co<void> prepare(LogStoreImpl& store);

  bool writable() const override { return serving_; }
  bool clean_start() const override { return at_start_.clean; }
  bool made_anew() const override { return made_anew_; }
  const std::vector<FoundLog>& found() const override { return found_; }
  void open_log(LogOptions options, env::Done<std::unique_ptr<Log>> done) override;
  void start_serving(env::Done<void> done) override;
  void clear_suspect(PartitionId partition, env::Done<void> done) override;
  bool suspect(PartitionId partition) const override;
  void delete_log(PartitionId partition, AssignmentId assignment, Index applied,
                  env::Done<void> done) override;
  uint64_t disk_bytes() const override { return bytes_; }
  Duration oldest_write() const override {
    return writes_.empty() ? Duration{} : world_.loop.now() - writes_.begin()->second;
  }
  void stop(env::Done<void> done) override;

  env::World& world() override { return world_; }
  const LogStoreOptions& options() const override { return options_; }
  bool serving() const override { return serving_; }
  std::optional<LogsEntry> entry_at_start(PartitionId partition,
                                          AssignmentId assignment) const override;
  bool same_boot() const override { return at_start_.boot_id == world_.disk.boot_id(); }
  Status charge(uint64_t bytes) override;
  void refund(uint64_t bytes) override { bytes_ -= std::min(bytes, bytes_); }
  void count(uint64_t bytes) override { bytes_ += bytes; }
  Co<uint64_t> recycle_into(const std::string& path) override;
  Co<void> dispose(const std::string& path, uint64_t bytes, bool reusable) override;
  Co<void> quarantine(const std::string& path, const std::string& name, uint64_t bytes) override;
  Co<bool> lend_reserve() override;
  uint64_t write_began() override {
    writes_.emplace_hint(writes_.end(), ++last_write_number_, world_.loop.now());
    return last_write_number_;
  }
  void write_ended(uint64_t write) override { writes_.erase(write); }
  void changed() override;
  Co<void> write_logs() override;
  void attach(LogImpl& log) override;
  void detach(LogImpl& log, const LogsEntry& last) override;

 private:
  using Key = std::pair<PartitionId, AssignmentId>;
  struct Pooled {
    std::string name;
    uint64_t bytes;
  };

  std::string path_of(const std::string& name) const { return options_.directory + "/" + name; }
  Co<void> make_directories();
  Co<void> read_logs();
  Co<void> look_around();
  Co<void> tidy_pool();
  Co<void> list_quarantine();
  Co<void> bound_quarantine();
  Co<void> make_reserve();
  void try_to_serve();
  Co<void> empty_directory(const std::string& path);
  Co<void> empty_trash();
  Co<void> start_now();
  Co<void> delete_now(PartitionId partition, AssignmentId assignment, Index applied);
  Co<void> stop_now();
  Co<void> write_loop();
  LogsFile snapshot(bool clean) const;
  bool exists_on_disk(const Key& key) const { return directories_.contains(key); }

  env::World& world_;
  LogStoreOptions options_;
  bool made_anew_ = false;
  LogsFile at_start_;
  std::vector<FoundLog> found_;
  std::map<Key, Index> directories_;  // logs on the disk, with their manifests' metadata index
  std::map<Key, LogsEntry> entries_;  // of logs that are not open
  std::map<Key, LogImpl*> open_;
  std::vector<Pooled> pool_;
  uint64_t pool_bytes_ = 0;
  uint64_t next_name_ = 0;
  struct Kept {
    std::string name;
    uint64_t bytes = 0;
    bool directory = false;
  };
  std::map<uint64_t, Kept> quarantine_;  // by number: the order of their coming
  uint64_t quarantine_bytes_ = 0;
  uint64_t reserved_ = 0;  // bytes of the file `reserve`; 0: there is none
  uint64_t bytes_ = 0;
  std::map<uint64_t, MonotonicTime> writes_;  // under way, in the order of their beginning
  uint64_t last_write_number_ = 0;
  bool serving_ = false;
  bool read_only_ = false;  // start_serving has found no room
  bool stopping_ = false;
  bool dirty_ = false;
  bool writing_ = false;
  bool write_scheduled_ = false;
  MonotonicTime last_write_{INT64_MIN / 2};
  std::vector<env::Done<void>> write_waiters_;
  env::Scope alive_;
  CoScope scope_;
};

}  // namespace bascule::log
