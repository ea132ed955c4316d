// bascule log verify|dump DIR: an offline, read-only look at the logs of a stopped broker.
//
// DIR is the folder `logs` of a data directory, or one log's directory in it.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/cli/app.h"
#include "io/cli/await.h"
#include "io/cli/message_format.h"
#include "io/cli/offline_world.h"
#include "src/log/inspect.h"
#include "src/model/record.h"
#include "src/model/units.h"

namespace bascule::cli {
namespace {

using Json = nlohmann::ordered_json;

struct LogOptions {
  std::string directory;
  bool json = false;
};

Json range_json(const log::OffsetRange& range) {
  return Json::array({range.first.value, range.next.value});
}

Json log_json(const log::InspectedLog& found) {
  Json out;
  out["directory"] = found.directory;
  out["partition"] = found.manifest.partition.to_string();
  out["log_id"] = found.manifest.log_id.to_string();
  out["generation"] = found.manifest.generation;
  out["log_start"] = found.log_start.value;
  out["bound"] = found.bound.value;
  out["end"] = found.end.value;
  out["damaged"] = Json::array();
  for (const log::OffsetRange& range : found.damaged) out["damaged"].push_back(range_json(range));
  out["segments"] = Json::array();
  for (const log::InspectedSegment& s : found.segments) {
    Json segment;
    segment["file"] = log::segment_file_name(s.listed.id);
    segment["present"] = s.present;
    segment["sealed"] = s.listed.sealed;
    segment["never_write"] = s.listed.never_write;
    segment["file_bytes"] = s.file_bytes;
    segment["first"] = s.first.value;
    segment["next"] = s.next.value;
    segment["groups"] = s.groups;
    segment["groups_unframed"] = s.groups_unframed;
    segment["groups_broken"] = s.groups_broken;
    segment["batches"] = s.batches;
    segment["batch_bytes"] = s.batch_bytes;
    out["segments"].push_back(std::move(segment));
  }
  out["unknown_files"] = found.unknown_files;
  return out;
}

void print_log(const log::InspectedLog& found, bool json) {
  if (json) {
    std::printf("%s\n", log_json(found).dump().c_str());
    return;
  }
  std::printf("%s: partition %s, offsets [%s, %s), %zu segment(s)%s\n", found.directory.c_str(),
              found.manifest.partition.to_string().c_str(), found.log_start.to_string().c_str(),
              found.end.to_string().c_str(), found.segments.size(),
              found.damaged.empty() ? ", good" : "");
  for (const log::OffsetRange& range : found.damaged) {
    std::printf("  DAMAGED: offsets [%s, %s)\n", range.first.to_string().c_str(),
                range.next.to_string().c_str());
  }
  for (const std::string& file : found.unknown_files)
    std::printf("  not listed by the manifest: %s\n", file.c_str());
}

// One line for the batch and one for each of its records.
void print_batch(const model::BatchHeader& header, ByteView batch, uint64_t segment,
                 uint64_t position, bool json) {
  if (!json) {
    std::printf("batch @%s..%s epoch %s append %s in %s at %llu, %u bytes\n",
                header.base_offset.to_string().c_str(), header.next_offset().to_string().c_str(),
                header.epoch.to_string().c_str(), model::format_time(header.append_time).c_str(),
                log::segment_file_name(segment).c_str(), static_cast<unsigned long long>(position),
                header.total_bytes);
  }
  Bytes scratch;
  const auto body = model::batch_body(header, batch, scratch);
  if (!body) {
    std::printf("  %s\n", body.error().to_string().c_str());
    return;
  }
  model::RecordReader reader(*body, header.base_timestamp);
  model::RecordView record;
  while (reader.next(record)) {
    const PlacedRecord placed{
        "",           PartitionIndex{},   header.base_offset + record.offset_delta,
        header.epoch, header.append_time, record};
    std::printf("%s%s\n", json ? "" : "  ", json_line(placed).c_str());
  }
}

// The root for a disk and the store's path below it: nothing is made inside that.
std::pair<std::string, std::string> divided(std::string directory) {
  while (directory.size() > 1 && directory.back() == '/') directory.pop_back();
  const size_t slash = directory.rfind('/');
  if (slash == std::string::npos) return {".", directory};
  return {slash == 0 ? "/" : directory.substr(0, slash), directory.substr(slash + 1)};
}

ExitStatus inspect(const LogOptions& options, bool dump) {
  const auto [root, store] = divided(options.directory);
  auto offline = OfflineWorld::open(root);
  if (!offline) return report(offline.error());
  io::AsioLoop& loop = (*offline)->loop();
  env::World& world = (*offline)->world();
  auto found = await<log::InspectedStore>(
      loop, [&](auto done) { log::inspect_store(world, store, std::move(done)); });
  if (!found) return report(found.error());
  bool good = found->logs_readable;
  if (!good) std::fprintf(stderr, "bascule: the file `logs` cannot be read\n");
  for (const log::LogsEntry& entry : found->logs.entries) {
    const bool there = std::ranges::any_of(found->directories, [&](const log::LogDirectory& d) {
      return d.partition == entry.partition && d.assignment == entry.assignment;
    });
    if (there || dump) continue;
    good = false;
    std::fprintf(stderr, "bascule: the log of partition %s is gone: its directory is missing\n",
                 entry.partition.to_string().c_str());
  }
  for (const log::LogDirectory& directory : found->directories) {
    log::BatchVisitor visit;
    if (dump) {
      visit = [&options](const model::BatchHeader& header, ByteView batch, uint64_t segment,
                         uint64_t position) {
        print_batch(header, batch, segment, position, options.json);
      };
    }
    auto log = await<log::InspectedLog>(loop, [&](auto done) {
      log::inspect_log(world, store, directory, visit, std::move(done));
    });
    if (!log) {
      good = false;
      (void)report(log.error());
      continue;
    }
    good = good && log->damaged.empty();
    if (!dump) print_log(*log, options.json);
  }
  if (!dump && !options.json) {
    std::printf("%zu log(s), last stop %s, %zu file(s) in quarantine: %s\n",
                found->directories.size(), found->logs.clean ? "clean" : "not clean",
                found->quarantine.size(), good ? "good" : "DAMAGED");
  }
  return good ? k_exit_done : k_exit_failed;
}

}  // namespace

void register_log(CLI::App& app, ExitStatus& status) {
  CLI::App* group = app.add_subcommand("log", "offline, read-only: verify, dump");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* help, bool dump) {
    auto options = std::make_shared<LogOptions>();
    CLI::App* command = group->add_subcommand(name, help);
    command->add_option("DIR", options->directory, "the folder `logs` of a data directory")
        ->required()
        ->check(CLI::ExistingDirectory);
    command->add_flag("--json", options->json, "one JSON object per line");
    command->callback([options, dump, &status] { status = inspect(*options, dump); });
  };
  add("verify", "read every byte, and say what is damaged; exit status 1 if anything is", false);
  add("dump", "print every batch and its records", true);
}

}  // namespace bascule::cli
