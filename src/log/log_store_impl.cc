#include "src/log/log_store_impl.h"

#include <algorithm>

#include "src/log/log_impl.h"

namespace bascule::log {

LogStoreImpl::LogStoreImpl(env::World& world, LogStoreOptions options)
    : world_(world), options_(std::move(options)), scope_(world.loop) {}

LogStoreImpl::~LogStoreImpl() = default;

void open_log_store(env::World& world, LogStoreOptions options,
                    env::Done<std::unique_ptr<LogStore>> done) {
  // The scope outlives the opening: it belongs to the completion.
  struct Opening {
    explicit Opening(env::Loop& loop) : scope(loop) {}
    std::unique_ptr<LogStoreImpl> store;
    CoScope scope;
  };
  auto opening = std::make_shared<Opening>(world.loop);
  opening->store = std::make_unique<LogStoreImpl>(world, std::move(options));
  LogStoreImpl& store = *opening->store;
  opening->scope.spawn<void>(
      LogStoreImpl::prepare(store),
      [opening, &world, done = std::move(done)](Status status) mutable {
        Result<std::unique_ptr<LogStore>> result = fail(Errc::internal);
        if (status) {
          result = std::unique_ptr<LogStore>(std::move(opening->store));
        } else {
          result = fail(std::move(status.error()));
        }
        world.loop.post([done = std::move(done), result = std::move(result)]() mutable {
          done(std::move(result));
        });
      });
}

Co<void> LogStoreImpl::prepare(LogStoreImpl& store) {
  auto status = co_await store.make_directories();
  if (status) status = co_await store.read_logs();
  if (status) status = co_await store.list_quarantine();
  if (status) status = co_await store.look_around();
  if (status) status = co_await store.tidy_pool();
  co_return status;
}

Co<void> LogStoreImpl::make_directories() {
  const std::vector<std::string> names = {"pool", "quarantine", "trash"};
  for (size_t i = 0; i < names.size(); ++i) {
    auto made = co_await call<void>(
        [&](env::Done<void> done) { world_.disk.make_dir(path_of(names[i]), std::move(done)); });
    if (!made) co_return made;
  }
  // What a dead life renamed or removed is visible, and perhaps not durable.
  const std::vector<std::string> paths = {"", options_.directory, path_of("pool"),
                                          path_of("quarantine"), path_of("trash")};
  for (size_t i = 0; i < paths.size(); ++i) {
    auto synced = co_await call<void>(
        [&](env::Done<void> done) { world_.disk.sync_dir(paths[i], std::move(done)); });
    if (!synced) co_return synced;
  }
  co_return Status();
}

// A file that cannot be read promises nothing: every log is then as after an unclean stop.
Co<void> LogStoreImpl::read_logs() {
  auto bytes = co_await call<Slice>([this](env::Done<Slice> done) {
    env::read_file(world_.disk, path_of("logs"), k_logs_bytes_max, std::move(done));
  });
  made_anew_ = !bytes && bytes.error().code == Errc::not_found;
  if (bytes) {
    auto logs = decode_logs(*bytes);
    if (logs) {
      at_start_ = std::move(*logs);
    } else if (logs.error().code == Errc::unsupported) {
      co_return fail(std::move(logs.error()));
    } else {
      world_.trace.message(TraceLevel::error, "log", "the file `logs` is damaged");
      world_.trace.probe("log.logs_file.damaged");
    }
  }
  // Only for want of a descriptor: what it says is not known, which is not "nothing".
  if (!bytes && bytes.error().code == Errc::overloaded) co_return fail(std::move(bytes.error()));
  for (const LogsEntry& e : at_start_.entries) {
    LogsEntry kept = e;
    // Until it is opened, what is said of it is as old as the last life.
    kept.clean = e.clean && at_start_.clean;
    entries_[{e.partition, e.assignment}] = kept;
  }
  co_return Status();
}

Co<void> LogStoreImpl::look_around() {
  auto listed =
      co_await call<std::vector<env::DirEntry>>([this](env::Done<std::vector<env::DirEntry>> done) {
        world_.disk.list(options_.directory, std::move(done));
      });
  if (!listed) co_return fail(std::move(listed.error()));
  const std::vector<env::DirEntry> entries = std::move(*listed);
  for (size_t i = 0; i < entries.size(); ++i) {
    const env::DirEntry& entry = entries[i];
    if (entry.name == "pool" || entry.name == "quarantine" || entry.name == "trash" ||
        entry.name == "logs" || entry.name == "logs.new")
      continue;
    if (entry.name == "reserve") {
      reserved_ = entry.size;
      bytes_ += entry.size;
      continue;
    }
    const auto directory = parse_log_directory_name(entry.name);
    if (!directory || !entry.is_directory) {
      const std::string path = path_of(entry.name);
      auto moved = co_await quarantine(path, entry.name, entry.size);
      if (!moved) co_return moved;
      continue;
    }
    auto bytes = co_await call<Slice>([&](env::Done<Slice> done) {
      env::read_file(world_.disk, path_of(entry.name) + "/manifest", k_manifest_bytes_max,
                     std::move(done));
    });
    if (!bytes && bytes.error().code == Errc::overloaded) co_return fail(std::move(bytes.error()));
    // One that cannot be read is never proven to be deleted.
    Index index(UINT64_MAX);
    const bool absent = !bytes && bytes.error().code == Errc::not_found;
    if (bytes) {
      if (auto manifest = decode_manifest(*bytes)) index = manifest->metadata_index;
    }
    directories_[{directory->partition, directory->assignment}] = absent ? Index() : index;
    if (!absent) found_.push_back({directory->partition, directory->assignment, index});
  }
  co_return Status();
}

Co<void> LogStoreImpl::tidy_pool() {
  auto listed =
      co_await call<std::vector<env::DirEntry>>([this](env::Done<std::vector<env::DirEntry>> done) {
        world_.disk.list(path_of("pool"), std::move(done));
      });
  if (!listed) co_return fail(std::move(listed.error()));
  const std::vector<env::DirEntry> entries = std::move(*listed);
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string path = path_of("pool/" + entries[i].name);
    if (at_start_.clean) {
      if (const auto number = parse_segment_file_name(entries[i].name, ".log"))
        next_name_ = std::max(next_name_, *number + 1);
      pool_.push_back({entries[i].name, entries[i].size});
      pool_bytes_ += entries[i].size;
      bytes_ += entries[i].size;
      continue;
    }
    // Writes of the dead life may still land in it.
    auto removed = co_await call<void>(
        [&](env::Done<void> done) { world_.disk.remove(path, std::move(done)); });
    if (!removed) co_return removed;
  }
  co_return Status();
}

std::optional<LogsEntry> LogStoreImpl::entry_at_start(PartitionId partition,
                                                      AssignmentId assignment) const {
  const auto at = entries_.find({partition, assignment});
  if (at == entries_.end()) return {};
  return at->second;
}

void LogStoreImpl::open_log(LogOptions options, env::Done<std::unique_ptr<Log>> done) {
  const Key key{options.partition, options.assignment};
  REQUIRE(!open_.contains(key) && !stopping_);
  const bool exists = exists_on_disk(key);
  const bool promised = entries_.contains(key);
  directories_[key] = options.metadata_index;
  scope_.spawn<std::unique_ptr<Log>>(
      LogImpl::open(*this, options, path_of(log_directory_name(key.first, key.second)), exists,
                    promised),
      std::move(done));
}

void LogStoreImpl::attach(LogImpl& log) { open_[{log.partition(), log.assignment()}] = &log; }

void LogStoreImpl::detach(LogImpl& log, const LogsEntry& last) {
  const Key key{log.partition(), log.assignment()};
  open_.erase(key);
  // A log that could not be opened keeps what was said of it.
  if (directories_.contains(key) && last.generation >= 1 && log.opened()) entries_[key] = last;
}

LogsFile LogStoreImpl::snapshot(bool clean) const {
  LogsFile out;
  out.clean = clean;
  out.boot_id = world_.disk.boot_id();
  std::map<Key, LogsEntry> all = entries_;
  for (const auto& [key, log] : open_)
    if (log->opened()) all[key] = log->logs_entry();
  out.entries.reserve(all.size());
  for (const auto& [key, entry] : all) out.entries.push_back(entry);
  return out;
}

void LogStoreImpl::start_serving(env::Done<void> done) {
  REQUIRE(!serving_);
  scope_.spawn<void>(start_now(), std::move(done));
}

Co<void> LogStoreImpl::start_now() {
  auto status = co_await write_logs();
  if (!status && refused(status.error())) {
    auto lent = co_await lend_reserve();
    if (lent && *lent) status = co_await write_logs();
  }
  if (status) {
    serving_ = true;
    // At once, and not with the next write of `logs`: the next start may be near.
    scope_.spawn<void>(make_reserve(), [](Status) {});
  } else if (refused(status.error())) {
    world_.trace.message(TraceLevel::warning, "log",
                         "no room for the file `logs`: reading only, until there is");
    world_.trace.probe("log.start.read_only");
    read_only_ = true;
    try_to_serve();
    status = Status();
  }
  scope_.spawn<void>(empty_trash(), [](Status) {});
  co_return status;
}

// Until `logs` says that this life is not clean, nothing may be appended.
void LogStoreImpl::try_to_serve() {
  world_.loop.schedule(world_.loop.now() + seconds(1), alive_.wrap([this] {
    if (stopping_) return;
    scope_.spawn<void>(write_logs(), [this](Status status) {
      if (stopping_) return;
      if (!status) return try_to_serve();
      serving_ = true;
      read_only_ = false;
      world_.trace.message(TraceLevel::info, "log", "there is room again: logs are written");
      world_.trace.probe("log.start.room_again");
      scope_.spawn<void>(make_reserve(), [](Status) {});
    });
  }));
}

void LogStoreImpl::changed() {
  dirty_ = true;
  if (write_scheduled_ || !serving_ || stopping_) return;
  write_scheduled_ = true;
  const MonotonicTime at = std::max(world_.loop.now(), last_write_ + seconds(1));
  world_.loop.schedule(at, alive_.wrap([this] {
    write_scheduled_ = false;
    if (!dirty_ || writing_ || stopping_) return;
    scope_.spawn<void>(write_logs(), [this](Status s) {
      if (!s) changed();  // no room now: again later
    });
  }));
}

Co<void> LogStoreImpl::write_logs() {
  co_return co_await call<void>([this](env::Done<void> done) {
    write_waiters_.push_back(std::move(done));
    if (writing_) return;
    writing_ = true;
    scope_.spawn<void>(write_loop(), [this](Status) { writing_ = false; });
  });
}

// Who asks while a write is under way waits for the next one.
Co<void> LogStoreImpl::write_loop() {
  while (!write_waiters_.empty()) {
    std::vector<env::Done<void>> waiters = std::exchange(write_waiters_, {});
    dirty_ = false;
    last_write_ = world_.loop.now();
    Slice bytes = Slice::copy_of(encode_logs(snapshot(stopping_)));
    auto status = co_await call<void>([&](env::Done<void> done) {
      env::replace_file(world_.disk, options_.directory, "logs", bytes, std::move(done));
    });
    if (!status && !refused(status.error())) {
      world_.loop.fail_stop(status.error());
      co_return status;
    }
    for (auto& waiter : waiters)
      world_.loop.post([waiter = std::move(waiter), status]() mutable { waiter(status); });
    // What was lent is taken back when there is room again.
    if (status && serving_ && !stopping_ && reserved_ == 0)
      scope_.spawn<void>(make_reserve(), [](Status) {});
  }
  writing_ = false;
  co_return Status();
}

void LogStoreImpl::stop(env::Done<void> done) {
  for (const auto& [key, log] : open_) REQUIRE(log->stopped(), key.first);
  scope_.spawn<void>(stop_now(), std::move(done));
}

Co<void> LogStoreImpl::stop_now() {
  stopping_ = true;
  if (!serving_) co_return Status();  // nothing was begun, and the file says what it said
  auto status = co_await write_logs();
  if (!status && refused(status.error())) {
    auto lent = co_await lend_reserve();
    if (lent && *lent) status = co_await write_logs();
  }
  co_return status;
}

bool LogStoreImpl::suspect(PartitionId partition) const {
  for (const LogsEntry& e : snapshot(false).entries)
    if (e.partition == partition && e.suspect) return true;
  return false;
}

void LogStoreImpl::clear_suspect(PartitionId partition, env::Done<void> done) {
  for (auto& [key, entry] : entries_)
    if (key.first == partition) entry.suspect = false;
  for (auto& [key, log] : open_)
    if (key.first == partition) log->set_suspect(false);
  scope_.spawn<void>(write_logs(), std::move(done));
}

}  // namespace bascule::log
