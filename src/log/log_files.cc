// What the store does with files that belong to no open log: the pool, quarantine, trash.
#include <algorithm>

#include "src/log/log_impl.h"
#include "src/log/log_store_impl.h"

namespace bascule::log {

Status LogStoreImpl::charge(uint64_t bytes) {
  if (options_.disk_bytes_max != 0 && bytes_ + bytes > options_.disk_bytes_max)
    return fail(Errc::no_space, "the limit of the disk's use is reached");
  bytes_ += bytes;
  return {};
}

Co<uint64_t> LogStoreImpl::recycle_into(const std::string& path) {
  if (pool_.empty()) co_return uint64_t{0};
  const Pooled taken = pool_.back();
  pool_.pop_back();
  pool_bytes_ -= taken.bytes;
  auto moved = co_await call<void>([&](env::Done<void> done) {
    world_.disk.rename(path_of("pool/" + taken.name), path, std::move(done));
  });
  if (!moved) co_return fail(std::move(moved.error()));
  world_.trace.probe("log.segment.recycled");
  co_return taken.bytes;
}

Co<void> LogStoreImpl::dispose(const std::string& path, uint64_t bytes, bool reusable) {
  if (reusable && bytes > 0 && pool_bytes_ + bytes <= options_.pool_bytes_max) {
    const std::string name = segment_file_name(next_name_++);
    const std::string to = path_of("pool/" + name);
    auto moved = co_await call<void>(
        [&](env::Done<void> done) { world_.disk.rename(path, to, std::move(done)); });
    if (moved) {
      pool_.push_back({name, bytes});
      pool_bytes_ += bytes;
      co_return Status();
    }
  }
  auto removed =
      co_await call<void>([&](env::Done<void> done) { world_.disk.remove(path, std::move(done)); });
  refund(bytes);
  co_return removed;
}

// --- Quarantine -------------------------------------------------------------------------------------

// Names begin with a number that rises: "0000000000000012-7-1-3-0000000000000004.log". What has none is
// of an earlier version, and counts as oldest.
Co<void> LogStoreImpl::list_quarantine() {
  auto listed =
      co_await call<std::vector<env::DirEntry>>([this](env::Done<std::vector<env::DirEntry>> done) {
        world_.disk.list(path_of("quarantine"), std::move(done));
      });
  if (!listed) co_return fail(std::move(listed.error()));
  std::vector<Kept> unnumbered;
  for (const env::DirEntry& entry : *listed) {
    const Kept kept{entry.name, entry.size, entry.is_directory};
    quarantine_bytes_ += entry.size;
    const auto number = parse_quarantine_number(entry.name);
    if (!number || !quarantine_.emplace(*number, kept).second) unnumbered.push_back(kept);
  }
  if (!unnumbered.empty()) {
    std::map<uint64_t, Kept> all;
    uint64_t number = 0;
    for (const Kept& kept : unnumbered) all.emplace(number++, kept);
    for (auto& [own, kept] : quarantine_) {
      number = std::max(number, own);
      all.emplace(number++, std::move(kept));
    }
    quarantine_ = std::move(all);
  }
  co_return co_await bound_quarantine();
}

Co<void> LogStoreImpl::bound_quarantine() {
  while (quarantine_.size() > 1 && (quarantine_.size() > options_.quarantine_files_max ||
                                    quarantine_bytes_ > options_.quarantine_bytes_max)) {
    const Kept oldest = std::move(quarantine_.begin()->second);
    quarantine_.erase(quarantine_.begin());
    quarantine_bytes_ -= oldest.bytes;
    const std::string path = path_of("quarantine/" + oldest.name);
    if (oldest.directory) {
      auto emptied = co_await empty_directory(path);
      if (!emptied) co_return emptied;
    }
    auto removed = co_await call<void>(
        [&](env::Done<void> done) { world_.disk.remove(path, std::move(done)); });
    if (!removed) co_return removed;
    world_.trace.message(TraceLevel::warning, "log",
                         "quarantine is full: " + oldest.name + " (" +
                             std::to_string(oldest.bytes) + " bytes) is deleted");
    world_.trace.probe("log.quarantine.dropped");
  }
  co_return Status();
}

Co<void> LogStoreImpl::quarantine(const std::string& path, const std::string& name,
                                  uint64_t bytes) {
  const uint64_t number = quarantine_.empty() ? 1 : quarantine_.rbegin()->first + 1;
  const std::string kept_as = quarantine_name(number, name);
  auto moved = co_await call<void>([&](env::Done<void> done) {
    world_.disk.rename(path, path_of("quarantine/" + kept_as), std::move(done));
  });
  if (!moved) co_return moved;
  quarantine_.emplace(number, Kept{kept_as, bytes, false});
  quarantine_bytes_ += bytes;
  world_.trace.probe("log.quarantined");
  co_return co_await bound_quarantine();
}

// --- The reserve ------------------------------------------------------------------------------------

Co<void> LogStoreImpl::make_reserve() {
  if (options_.reserve_bytes == 0 || reserved_ != 0) co_return Status();
  if (auto s = charge(options_.reserve_bytes); !s) co_return s;
  reserved_ = options_.reserve_bytes;  // one at a time
  const std::string path = path_of("reserve");
  auto file =
      co_await call<std::unique_ptr<env::File>>([&](env::Done<std::unique_ptr<env::File>> done) {
        world_.disk.open(path, env::OpenMode::create_or_open, std::move(done));
      });
  Status status;
  if (file) {
    const std::unique_ptr<env::File> open = std::move(*file);
    status = co_await call<void>(
        [&](env::Done<void> done) { open->reserve(options_.reserve_bytes, std::move(done)); });
    if (!status) {
      (void)co_await call<void>(
          [&](env::Done<void> done) { world_.disk.remove(path, std::move(done)); });
    }
  } else {
    status = fail(std::move(file.error()));
  }
  if (!status) {
    refund(options_.reserve_bytes);
    reserved_ = 0;
  }
  co_return status;
}

Co<bool> LogStoreImpl::lend_reserve() {
  if (reserved_ == 0) co_return false;
  refund(std::exchange(reserved_, 0));
  const std::string path = path_of("reserve");
  auto removed =
      co_await call<void>([&](env::Done<void> done) { world_.disk.remove(path, std::move(done)); });
  world_.trace.probe("log.reserve.lent");
  co_return removed.has_value();
}

// --- Trash ------------------------------------------------------------------------------------------

void LogStoreImpl::delete_log(PartitionId partition, AssignmentId assignment, Index applied,
                              env::Done<void> done) {
  scope_.spawn<void>(delete_now(partition, assignment, applied), std::move(done));
}

Co<void> LogStoreImpl::delete_now(PartitionId partition, AssignmentId assignment, Index applied) {
  const Key key{partition, assignment};
  const auto directory = directories_.find(key);
  if (directory == directories_.end()) co_return fail(Errc::not_found, "no such log");
  if (applied <= directory->second)
    co_return fail(Errc::invalid, "the metadata that was applied does not show the deletion");
  const auto open = open_.find(key);
  if (open != open_.end()) {
    if (!open->second->stopped()) co_return fail(Errc::invalid, "the log has not been stopped");
    open->second->mark_deleted();
  }
  const std::string name = log_directory_name(partition, assignment);
  const std::string to = path_of("trash/" + name + "-" + std::to_string(world_.random.next()));
  auto moved = co_await call<void>(
      [&](env::Done<void> done) { world_.disk.rename(path_of(name), to, std::move(done)); });
  if (!moved) co_return moved;
  const std::vector<std::string> paths = {path_of("trash"), options_.directory};
  for (size_t i = 0; i < paths.size(); ++i) {
    auto synced = co_await call<void>(
        [&](env::Done<void> done) { world_.disk.sync_dir(paths[i], std::move(done)); });
    if (!synced) co_return synced;
  }
  directories_.erase(key);
  entries_.erase(key);
  std::erase_if(found_, [&](const FoundLog& f) {
    return f.partition == partition && f.assignment == assignment;
  });
  changed();
  scope_.spawn<void>(empty_trash(), [](Status) {});
  co_return Status();
}

Co<void> LogStoreImpl::empty_directory(const std::string& path) {
  auto listed = co_await call<std::vector<env::DirEntry>>(
      [&](env::Done<std::vector<env::DirEntry>> done) { world_.disk.list(path, std::move(done)); });
  if (!listed) co_return fail(std::move(listed.error()));
  const std::vector<env::DirEntry> entries = std::move(*listed);
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string inner = path + "/" + entries[i].name;
    if (entries[i].is_directory) {
      auto emptied = co_await empty_directory(inner);
      if (!emptied) co_return emptied;
    }
    auto removed = co_await call<void>(
        [&](env::Done<void> done) { world_.disk.remove(inner, std::move(done)); });
    if (!removed) co_return removed;
    if (!entries[i].is_directory) refund(entries[i].size);
  }
  co_return Status();
}

Co<void> LogStoreImpl::empty_trash() {
  const std::string trash = path_of("trash");
  co_return co_await empty_directory(trash);
}

}  // namespace bascule::log
