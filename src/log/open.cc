// Opening a log: make it, or recover it. See recover_tail.cc for what becomes of the tail.
//
// Recovery reads the manifest, then every batch from the segment of the recovery point on, judges them
// (verdict.h), and ends in one of three ways:
//  - clean stop, and the log is exactly what `logs` says: appends go on in the last segment;
//  - any other stop, and the valid end is the bound: nothing is written now; the first append seals the
//    old segments, which a dead life's writes may still reach, and begins a new one;
//  - something above the bound is to be kept, or new damage is to be remembered: the tail is copied into
//    a new segment and one manifest change makes it the log.
#include <algorithm>

#include "src/log/log_impl.h"

namespace bascule::log {

LogImpl::LogImpl(LogHost& host, LogOptions options, std::string directory)
    : host_(host),
      host_alive_(host.alive()),
      options_(std::move(options)),
      directory_(std::move(directory)),
      seed_(model::batch_crc_seed(options_.log_id)),
      mode_(options_.durability),
      structure_(host.world().loop),
      scope_(host.world().loop) {}

LogImpl::~LogImpl() {
  if (*host_alive_) host_.detach(*this, logs_entry());
}

Co<std::unique_ptr<Log>> LogImpl::open(LogHost& host, LogOptions options, std::string directory,
                                       bool exists, bool promised) {
  Promise promise;
  if (auto entry = host.entry_at_start(options.partition, options.assignment); entry && promised) {
    promise.exists = true;
    promise.entry = *entry;
  }
  std::unique_ptr<LogImpl> impl(new LogImpl(host, std::move(options), std::move(directory)));
  host.attach(*impl);
  Status status;
  if (exists) {
    status = co_await impl->recover(promise);
  } else {
    status = co_await impl->create(promise);
  }
  if (!status) co_return fail(std::move(status.error()));
  co_return std::unique_ptr<Log>(std::move(impl));
}

// An empty log: one segment, listed by the first manifest.
Co<void> LogImpl::create(const Promise& promise) {
  auto made = co_await call<void>(
      [this](env::Done<void> done) { disk().make_dir(directory_, std::move(done)); });
  if (!made) co_return made;
  made = co_await call<void>([this](env::Done<void> done) {
    disk().sync_dir(host_.options().directory, std::move(done));
  });
  if (!made) {
    loop().fail_stop(made.error());
    co_return made;
  }
  auto first = co_await new_segment(host_.options().extent_bytes_first, false, 1);
  if (!first) co_return fail(std::move(first.error()));
  const SegmentRef segment = *first;
  Manifest m = manifest_;
  m.partition = options_.partition;
  m.assignment = options_.assignment;
  m.log_id = options_.log_id;
  m.metadata_index = options_.metadata_index;
  // What an entry said of a log that is gone is not said of this one.
  m.generation = promise.entry.generation + 1;
  m.lost = promise.exists;
  SegmentEntry e = segment->entry();
  e.based = true;
  m.segments = {e};
  m.recovery_segment = 1;
  m.next_segment_id = 2;
  auto changed = co_await change_manifest(m);
  if (!changed) {
    (void)co_await host_.dispose(segment->path, segment->reserved, false);
    co_return changed;
  }
  segments_ = {segment};
  active_ = segment;
  recovery_.created = !promise.exists;
  recovery_.lost = promise.exists;
  suspect_ = promise.exists && promise.entry.suspect;
  recovery_.condition = promise.exists ? Condition::damaged : Condition::clean;
  // Other lives find the log in `logs` before anybody hears of its first offset.
  opened_ = true;
  host_.changed();
  if (host_.serving()) co_return co_await host_.write_logs();
  co_return Status();
}

Co<Manifest> LogImpl::read_manifest() {
  auto bytes = co_await call<Slice>([this](env::Done<Slice> done) {
    env::read_file(disk(), path_of("manifest"), k_manifest_bytes_max, std::move(done));
  });
  if (!bytes) co_return fail(std::move(bytes.error()));
  auto manifest = decode_manifest(*bytes);
  if (!manifest) {
    if (manifest.error().code == Errc::unsupported) co_return fail(std::move(manifest.error()));
    co_return fail(Errc::io_error, directory_ + ": " + manifest.error().context);
  }
  if (manifest->partition != options_.partition || manifest->assignment != options_.assignment ||
      manifest->log_id != options_.log_id)
    co_return fail(Errc::io_error, directory_ + ": the manifest is another log's");
  co_return std::move(manifest);
}

Co<void> LogImpl::recover(const Promise& left) {
  Promise promise = left;
  // What a dead life renamed or removed is visible, and perhaps not durable.
  auto status = co_await call<void>(
      [this](env::Done<void> done) { disk().sync_dir(directory_, std::move(done)); });
  if (!status) {
    // Not damage of this log: what any directory holds is uncertain now.
    loop().fail_stop(status.error());
    co_return status;
  }
  auto manifest = co_await read_manifest();
  if (!manifest) {
    if (manifest.error().code != Errc::not_found) co_return fail(std::move(manifest.error()));
    // The directory of a creation that did not get as far as its manifest, or of a lost log.
    status = co_await quarantine_directory();
    if (!status) co_return status;
    co_return co_await create(promise);
  }
  manifest_ = std::move(*manifest);
  promise.counts = promise.exists && promise.entry.generation == manifest_.generation;
  promise.clean = promise.counts && promise.entry.clean && host_.clean_start();
  status = co_await open_segments();
  if (!status) co_return status;
  auto judged = co_await read_tail(promise);
  if (!judged) co_return fail(std::move(judged.error()));
  const Verdict verdict = std::move(*judged);
  const bool more_damage = note_damage(verdict.damaged);
  adopt(verdict);
  if (verdict.cut) {
    recovery_.cut_at = verdict.leo;
    host_.world().trace.probe("log.recovery.cut");
  }
  if (verdict.copy_from < verdict.leo || more_damage) {
    // A file that a dead life made and never listed may have the next segment's name, and that life's
    // writes may still land in it: it goes out of the way first.
    status = co_await tidy_directory();
    if (!status) co_return status;
    status = co_await begin_after_copy(verdict, promise.clean);
  } else if (promise.clean && !promise.entry.is_end) {
    status = co_await continue_last_segment();
  } else {
    sealed_lazily_ = true;
  }
  if (!status) co_return status;
  status = co_await tidy_directory();
  if (!status) co_return status;
  finish_open(promise);
  co_return Status();
}

// Segment objects of all that the manifest lists. What is sealed is opened when it is first read.
Co<void> LogImpl::open_segments() {
  auto entries =
      co_await call<std::vector<env::DirEntry>>([this](env::Done<std::vector<env::DirEntry>> done) {
        disk().list(directory_, std::move(done));
      });
  if (!entries) co_return fail(std::move(entries.error()));
  first_scanned_ = manifest_.segments.size();
  damaged_ = manifest_.damaged;
  for (size_t i = 0; i < manifest_.segments.size(); ++i) {
    const SegmentEntry& e = manifest_.segments[i];
    auto segment = std::make_shared<Segment>();
    segment->id = e.id;
    segment->nonce = e.nonce;
    segment->path = path_of(segment_file_name(e.id));
    segment->never_write = e.never_write;
    segment->sealed = e.sealed;
    segment->first = e.first;
    segment->end = e.end;
    segment->write_position = e.end_position;
    segment->summary = e.summary;
    segment->index = SegmentIndex(host_.options().index_interval_bytes);
    const auto at = std::find_if(entries->begin(), entries->end(), [&](const env::DirEntry& d) {
      return d.name == segment_file_name(e.id);
    });
    segment->lost = at == entries->end() || (e.sealed && at->size < e.end_position);
    if (at != entries->end()) {
      segment->reserved = at->size;
      host_.count(at->size);
    }
    // A listed file that is not there is damage, never an empty one.
    if (segment->lost && e.sealed && e.end > manifest_.log_start)
      note_damage({{std::max(e.first, manifest_.log_start), e.end}});
    segments_.push_back(std::move(segment));
    if (e.id == manifest_.recovery_segment) first_scanned_ = i;
  }
  if (first_scanned_ == manifest_.segments.size())
    co_return fail(Errc::io_error, directory_ + ": the manifest lists no segment to recover from");
  co_return Status();
}

Co<bool> LogImpl::open_file(const SegmentRef& segment) {
  if (segment->file) co_return true;
  auto file =
      co_await call<std::unique_ptr<env::File>>([&](env::Done<std::unique_ptr<env::File>> done) {
        disk().open(segment->path,
                    segment->sealed ? env::OpenMode::read_only : env::OpenMode::read_write,
                    std::move(done));
      });
  if (!file) co_return fail(std::move(file.error()));
  // Two readers may have opened it at once: the first handle may be in use, and closing it would drop
  // the completion of its read.
  if (!segment->file) segment->file = std::move(*file);
  co_return true;
}

// Reads every segment from the recovery point's on, and judges what is there.
Co<Verdict> LogImpl::read_tail(const Promise& promise) {
  VerdictInput in;
  const SegmentEntry& first = manifest_.segments[first_scanned_];
  in.start = first.based ? first.first : manifest_.recovery_offset;
  // The log's start was moved over durable records only.
  in.bound = std::max(manifest_.recovery_offset, manifest_.log_start);
  if (promise.counts) {
    in.bound = std::max(in.bound, promise.entry.leo);
    if (promise.clean || promise.entry.is_end) in.end = promise.entry.leo;
  }
  for (size_t i = 0; i < first_scanned_; ++i)
    if (const auto& s = segments_[i]->summary; !s.epochs.empty()) {
      in.last_epoch = s.epochs.back().epoch;
      in.last_append_time = s.last_time;
    }
  std::optional<Offset> expected = in.start;
  bool more = false;
  bool missing = false;
  for (size_t i = first_scanned_; i < segments_.size(); ++i) {
    const SegmentRef segment = segments_[i];
    in.segments.push_back(manifest_.segments[i]);
    in.scans.emplace_back();
    auto opened = co_await open_file(segment);
    if (!opened && opened.error().code == Errc::overloaded) co_return fail(opened.error());
    if (!opened) {
      missing = true;
      segment->lost = true;
      expected = {};
      continue;
    }
    ScanOptions options{segment->nonce, seed_, expected, in.end};
    auto scan = co_await scan_segment(*segment->file, segment->reserved, options);
    if (!scan) co_return fail(std::move(scan.error()));
    more = more || scan->more;
    if (!scan->groups.empty()) {
      expected = {};
      if (scan->groups.back().whole) expected = scan->groups.back().batches.back().next;
    }
    in.scans.back() = std::move(*scan);
    if (in.end && expected && *expected >= *in.end && !in.scans.back().groups.empty()) {
      // What the log has ends here; the segments behind are empty, or dead.
      for (size_t j = i + 1; j < segments_.size(); ++j) {
        in.segments.push_back(manifest_.segments[j]);
        in.scans.emplace_back();
        auto behind = co_await open_file(segments_[j]);
        if (!behind && behind.error().code == Errc::overloaded) co_return fail(behind.error());
      }
      break;
    }
  }
  const bool clean = promise.clean && !promise.entry.is_end;
  Verdict verdict = judge(std::move(in));
  // More than a clean stop left, or a listed file that is gone, though no offset is known to be missing.
  if ((clean && more) || (missing && verdict.damaged.empty()))
    verdict.damaged.push_back({verdict.leo, verdict.leo});
  co_return std::move(verdict);
}

// Adds ranges to what is known to be damaged; true where that is news.
bool LogImpl::note_damage(const std::vector<OffsetRange>& found) {
  std::vector<OffsetRange> all = damaged_;
  for (const OffsetRange& range : found)
    // Nobody misses what lies below the start. (An empty range: damage without a known offset.)
    if (range.next > manifest_.log_start || range.first == range.next) all.push_back(range);
  std::sort(all.begin(), all.end(), [](const OffsetRange& a, const OffsetRange& b) {
    return a.first != b.first ? a.first < b.first : a.next < b.next;
  });
  std::vector<OffsetRange> merged;
  for (const OffsetRange& range : all) {
    if (!merged.empty() && range.first <= merged.back().next) {
      merged.back().next = std::max(merged.back().next, range.next);
    } else {
      merged.push_back(range);
    }
  }
  damaged_ = std::move(merged);
  return damaged_ != manifest_.damaged;
}

// Takes over what counts into the segments, up to where the tail is to be copied.
void LogImpl::adopt(const Verdict& verdict) {
  Offset at = manifest_.segments[first_scanned_].based ? manifest_.segments[first_scanned_].first
                                                       : manifest_.recovery_offset;
  for (size_t i = first_scanned_; i < segments_.size(); ++i) {
    Segment& segment = *segments_[i];
    segment.summary = {};
    segment.index = SegmentIndex(host_.options().index_interval_bytes);
    segment.index_ready = true;
    segment.write_position = 0;
    segment.write_number = 0;
    bool any = false;
    for (const KeptGroup& kept : verdict.kept) {
      if (kept.segment + first_scanned_ != i) continue;
      for (const BatchPlace& batch : kept.group.batches) {
        if (batch.base >= verdict.copy_from && verdict.copy_from < verdict.leo) continue;
        if (!any) segment.first = batch.base;
        any = true;
        segment.add(batch);
        segment.write_position = kept.group.position + kept.group.extent;
      }
      ++segment.write_number;
    }
    if (any) {
      at = segment.end;
    } else {
      segment.first = at;
      segment.end = at;
    }
  }
  leo_ = verdict.leo;
}

// After a clean stop: appends go on where they ended.
Co<void> LogImpl::continue_last_segment() {
  for (const SegmentRef& s : segments_) {
    if (s->sealed) continue;
    // The last one with batches, and one behind it that was made ready.
    if (!active_ || !s->empty()) {
      active_ = s;
      next_ = nullptr;
    } else if (!next_) {
      next_ = s;
    }
  }
  if (!active_ || active_->never_write) {
    active_ = nullptr;
    next_ = nullptr;
    sealed_lazily_ = true;
    co_return Status();
  }
  if (active_->empty()) active_->first = active_->end = leo_;
  for (const SegmentRef& s : {active_, next_}) {
    // A reservation is not durable by itself.
    if (!s || s->reserved == 0) continue;
    auto reserved = co_await call<void>(
        [&](env::Done<void> done) { s->file->reserve(s->reserved, std::move(done)); });
    if (!reserved) s->reserved = s->write_position;
  }
  co_return Status();
}

void LogImpl::finish_open(const Promise& promise) {
  // In memory mode as well: an equal boot id proves that a kill lost nothing, but the life may have
  // ended by a failed sync, which may have dropped pages from the cache.
  suspect_ = (promise.exists && promise.entry.suspect) || !promise.clean;
  recovery_.page_cache_lost = !promise.clean && !host_.same_boot();
  written_leo_ = leo_;
  durable_leo_ = leo_;
  for (const SegmentRef& s : segments_)
    for (const EpochStart& e : s->summary.epochs) {
      if (epochs_.empty() || epochs_.back().epoch != e.epoch) epochs_.push_back(e);
    }
  for (const SegmentRef& s : segments_) {
    if (s->empty()) continue;
    last_append_time_ = std::max(last_append_time_, s->summary.last_time);
    stats_.bytes += s->summary.batch_bytes;
  }
  if (!epochs_.empty()) last_epoch_ = epochs_.back().epoch;
  if (promise.counts) hw_ = std::min(promise.entry.hw, leo_);
  hw_ = std::max(hw_, manifest_.log_start);
  recovered_hw_ = hw_;
  recovery_.damaged = manifest_.damaged;
  recovery_.lost = manifest_.lost;
  recovery_.condition = !recovery_.damaged.empty() || recovery_.lost ? Condition::damaged
                        : suspect_                                   ? Condition::suspect
                                                                     : Condition::clean;
  damaged_.clear();
  opened_ = true;
  host_.changed();
}

// Files of this directory that the manifest does not know: kept, but out of the way.
Co<void> LogImpl::tidy_directory() {
  auto entries =
      co_await call<std::vector<env::DirEntry>>([this](env::Done<std::vector<env::DirEntry>> done) {
        disk().list(directory_, std::move(done));
      });
  if (!entries) co_return fail(std::move(entries.error()));
  const std::vector<env::DirEntry> found = std::move(*entries);
  const auto listed = [this](uint64_t id) {
    return std::any_of(segments_.begin(), segments_.end(),
                       [id](const SegmentRef& s) { return s->id == id; });
  };
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string name = found[i].name;
    if (name == "manifest" || name == "manifest.new") continue;
    const std::string path = path_of(name);
    if (const auto index = parse_segment_file_name(name, ".index")) {
      if (!listed(*index)) {
        (void)co_await call<void>(
            [&](env::Done<void> done) { disk().remove(path, std::move(done)); });
      }
      continue;
    }
    const auto id = parse_segment_file_name(name, ".log");
    if (id && listed(*id)) continue;
    const bool retired = id && std::find(manifest_.retired.begin(), manifest_.retired.end(), *id) !=
                                   manifest_.retired.end();
    if (retired) {
      (void)co_await call<void>(
          [&](env::Done<void> done) { disk().remove(path, std::move(done)); });
      continue;
    }
    const std::string kept_as = quarantine_name(name);
    auto moved = co_await host_.quarantine(path, kept_as, found[i].size);
    if (!moved) co_return moved;
    recovery_.quarantined_bytes += found[i].size;
  }
  co_return Status();
}

Co<void> LogImpl::quarantine_directory() {
  auto entries =
      co_await call<std::vector<env::DirEntry>>([this](env::Done<std::vector<env::DirEntry>> done) {
        disk().list(directory_, std::move(done));
      });
  if (!entries) co_return fail(std::move(entries.error()));
  const std::vector<env::DirEntry> found = std::move(*entries);
  for (size_t i = 0; i < found.size(); ++i) {
    const std::string path = path_of(found[i].name);
    const std::string kept_as = quarantine_name(found[i].name);
    auto moved = co_await host_.quarantine(path, kept_as, found[i].size);
    if (!moved) co_return moved;
    recovery_.quarantined_bytes += found[i].size;
  }
  co_return Status();
}

}  // namespace bascule::log
