#include "src/log/inspect.h"

#include <algorithm>

#include "src/env/coroutine.h"
#include "src/log/scan.h"
#include "src/log/verdict.h"

namespace bascule::log {
namespace {

// Keeps itself alive until the one coroutine that it runs has told its result.
template <class T>
void run_alone(env::World& world, Co<T> co, env::Done<T> done) {
  auto scope = std::make_shared<env::CoScope>(world.loop);
  env::CoScope& s = *scope;
  s.spawn<T>(std::move(co), [scope, &world, done = std::move(done)](Result<T> result) mutable {
    // The scope may not end inside its own coroutine's last step.
    world.loop.post([scope, done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  });
}

Co<InspectedStore> look_at_store(env::World& world, std::string directory) {
  InspectedStore out;
  auto bytes = co_await call<Slice>([&](env::Done<Slice> done) {
    env::read_file(world.disk, directory + "/logs", k_logs_bytes_max, std::move(done));
  });
  if (bytes) {
    if (auto logs = decode_logs(*bytes)) {
      out.logs_readable = true;
      out.logs = std::move(*logs);
    }
  }
  auto entries =
      co_await call<std::vector<env::DirEntry>>([&](env::Done<std::vector<env::DirEntry>> done) {
        world.disk.list(directory, std::move(done));
      });
  if (!entries) co_return fail(std::move(entries.error()));
  for (const env::DirEntry& e : *entries)
    if (const auto log = parse_log_directory_name(e.name); log && e.is_directory)
      out.directories.push_back(*log);
  auto kept =
      co_await call<std::vector<env::DirEntry>>([&](env::Done<std::vector<env::DirEntry>> done) {
        world.disk.list(directory + "/quarantine", std::move(done));
      });
  if (kept) out.quarantine = std::move(*kept);
  co_return std::move(out);
}

class Inspector {
 public:
  Inspector(env::World& world, std::string directory, LogDirectory log, BatchVisitor visit)
      : world_(world),
        directory_(directory + "/" + log_directory_name(log.partition, log.assignment)),
        visit_(std::move(visit)) {}

  Co<InspectedLog> run() {
    out_.directory = directory_;
    auto bytes = co_await call<Slice>([&](env::Done<Slice> done) {
      env::read_file(world_.disk, directory_ + "/manifest", k_manifest_bytes_max, std::move(done));
    });
    if (!bytes) co_return fail(std::move(bytes.error()));
    auto manifest = decode_manifest(*bytes);
    if (!manifest) co_return fail(Errc::io_error, manifest.error().context);
    out_.manifest = std::move(*manifest);
    out_.log_start = out_.manifest.log_start;
    out_.damaged = out_.manifest.damaged;
    seed_ = model::batch_crc_seed(out_.manifest.log_id);
    auto status = co_await list_unknown();
    if (!status) co_return fail(std::move(status.error()));
    VerdictInput in;
    in.bound = std::max(out_.manifest.recovery_offset, out_.log_start);
    for (size_t i = 0; i < out_.manifest.segments.size(); ++i) {
      const SegmentEntry entry = out_.manifest.segments[i];
      if (i == 0) in.start = entry.based ? entry.first : out_.manifest.recovery_offset;
      in.segments.push_back(entry);
      auto scan = co_await scan_one(entry);
      in.scans.push_back(scan ? std::move(*scan) : SegmentScan());
    }
    const Verdict verdict = judge(std::move(in));
    out_.bound = verdict.bound;
    out_.end = verdict.leo;
    for (const OffsetRange& range : verdict.damaged)
      if (range.next > out_.log_start &&
          std::find(out_.damaged.begin(), out_.damaged.end(), range) == out_.damaged.end())
        out_.damaged.push_back(range);
    status = co_await show_batches(verdict);
    if (!status) co_return fail(std::move(status.error()));
    co_return std::move(out_);
  }

 private:
  Co<void> list_unknown() {
    auto entries =
        co_await call<std::vector<env::DirEntry>>([&](env::Done<std::vector<env::DirEntry>> done) {
          world_.disk.list(directory_, std::move(done));
        });
    if (!entries) co_return fail(std::move(entries.error()));
    for (const env::DirEntry& e : *entries) {
      if (e.name == "manifest" || e.name == "manifest.new") continue;
      auto id = parse_segment_file_name(e.name, ".log");
      if (!id) id = parse_segment_file_name(e.name, ".index");
      const auto& segments = out_.manifest.segments;
      if (!id || std::none_of(segments.begin(), segments.end(),
                              [&](const SegmentEntry& s) { return s.id == *id; }))
        out_.unknown_files.push_back(e.name);
    }
    co_return Status();
  }

  Co<std::unique_ptr<env::File>> open(uint64_t id) {
    co_return co_await call<std::unique_ptr<env::File>>(
        [&](env::Done<std::unique_ptr<env::File>> done) {
          world_.disk.open(directory_ + "/" + segment_file_name(id), env::OpenMode::read_only,
                           std::move(done));
        });
  }

  Co<SegmentScan> scan_one(const SegmentEntry& entry) {
    out_.segments.emplace_back();
    out_.segments.back().listed = entry;
    auto opened = co_await open(entry.id);
    if (!opened) co_return fail(std::move(opened.error()));
    const std::unique_ptr<env::File> file = std::move(*opened);
    auto size =
        co_await call<uint64_t>([&](env::Done<uint64_t> done) { file->size(std::move(done)); });
    if (!size) co_return fail(std::move(size.error()));
    ScanOptions options;
    options.nonce = entry.nonce;
    options.seed = seed_;
    if (entry.based) options.first = entry.first;
    if (entry.sealed) options.stop = entry.end;
    auto scan = co_await scan_segment(*file, *size, options);
    if (!scan) co_return fail(std::move(scan.error()));
    InspectedSegment& shown = out_.segments.back();
    shown.present = true;
    shown.file_bytes = *size;
    shown.durable_mark = scan->mark;
    for (const ScannedGroup& group : scan->groups) {
      ++(group.whole ? shown.groups : group.framed ? shown.groups_broken : shown.groups_unframed);
      for (const BatchPlace& b : group.batches) {
        if (shown.batches++ == 0) shown.first = b.base;
        shown.batch_bytes += b.bytes;
        shown.next = std::max(shown.next, b.next);
      }
    }
    co_return std::move(*scan);
  }

  Co<void> show_batches(const Verdict& verdict) {
    if (!visit_) co_return Status();
    std::unique_ptr<env::File> file;
    size_t opened = SIZE_MAX;
    for (size_t g = 0; g < verdict.kept.size(); ++g) {
      const KeptGroup& kept = verdict.kept[g];
      const uint64_t id = out_.manifest.segments[kept.segment].id;
      if (opened != kept.segment) {
        auto next = co_await open(id);
        if (!next) co_return fail(std::move(next.error()));
        file = std::move(*next);
        opened = kept.segment;
      }
      for (size_t i = 0; i < kept.group.batches.size(); ++i) {
        const BatchPlace batch = kept.group.batches[i];
        auto bytes = co_await call<Slice>([&](env::Done<Slice> done) {
          file->read_at(batch.position, batch.bytes, std::move(done));
        });
        if (!bytes) co_return fail(std::move(bytes.error()));
        const auto header = model::verify_batch(*bytes, seed_);
        if (header) visit_(*header, *bytes, id, batch.position);
      }
    }
    co_return Status();
  }

  env::World& world_;
  std::string directory_;
  BatchVisitor visit_;
  uint32_t seed_ = 0;
  InspectedLog out_;
};

Co<InspectedLog> look_at_log(env::World& world, std::string directory, LogDirectory log,
                             BatchVisitor visit) {
  Inspector inspector(world, std::move(directory), log, std::move(visit));
  auto result = co_await inspector.run();
  co_return std::move(result);
}

}  // namespace

void inspect_store(env::World& world, std::string directory, env::Done<InspectedStore> done) {
  run_alone<InspectedStore>(world, look_at_store(world, std::move(directory)), std::move(done));
}

void inspect_log(env::World& world, std::string directory, LogDirectory log, BatchVisitor visit,
                 env::Done<InspectedLog> done) {
  run_alone<InspectedLog>(world, look_at_log(world, std::move(directory), log, std::move(visit)),
                          std::move(done));
}

}  // namespace bascule::log
