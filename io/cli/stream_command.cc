// bascule stream create|ls|info|rm
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "io/cli/app.h"
#include "io/cli/client_session.h"
#include "io/cli/system.h"
#include "io/cli/table.h"
#include "src/model/units.h"

namespace bascule::cli {
namespace {

using Json = nlohmann::ordered_json;

struct CreateOptions {
  ConnectOptions connect;
  model::StreamConfig config;
  uint32_t min_isr = 0;  // 0: the default
  std::string durability = "fsync";
  std::string answers = "auto";
  std::string retain_age = "0";
  std::string retain_bytes = "0";
  std::string segment_bytes = "0";
  std::string message_bytes_max = "0";
};

struct InfoOptions {
  ReadOptions read;
  std::string name;
};

struct NameOptions {
  ConnectOptions connect;
  std::string name;
  bool force = false;
  bool dry_run = false;
};

std::string state_name(broker::PartitionState state) {
  switch (state) {
    case broker::PartitionState::offline: return "offline";
    case broker::PartitionState::starting: return "starting";
    case broker::PartitionState::online: return "online";
    case broker::PartitionState::damaged: return "damaged";
    case broker::PartitionState::deleting: return "deleting";
  }
  return "?";
}

Json numbers(const std::vector<NodeId>& nodes) {
  Json out = Json::array();
  for (const NodeId node : nodes) out.push_back(node.value);
  return out;
}

Json partition_json(const broker::PartitionStatus& p) {
  Json out;
  out["id"] = p.index.value;
  out["leader"] = p.leader.value;
  out["epoch"] = p.epoch.value;
  out["isr"] = numbers(p.isr);
  out["elr"] = numbers(p.elr);
  if (p.leo) out["leo"] = p.leo->value;
  if (p.hw) out["hw"] = p.hw->value;
  if (p.log_start) out["log_start"] = p.log_start->value;
  out["bytes"] = p.bytes;
  out["state"] = state_name(p.state);
  return out;
}

Json stream_json(const broker::StreamStatus& s) {
  Json out;
  out["name"] = s.config.name;
  out["id"] = s.id.value;
  out["subjects"] = s.config.subjects;
  out["created"] = model::format_time(s.created);
  out["replicas"] = s.config.replicas;
  out["min_isr"] = s.config.min_isr;
  out["durability"] = s.config.durability == model::DurabilityMode::fsync ? "fsync" : "memory";
  out["answers"] = model::answers_publishers(s.config);
  out["retain_age"] = model::format_duration(s.config.retain_age);
  out["retain_bytes"] = s.config.retain_bytes;
  out["retain_messages"] = s.config.retain_messages;
  out["partitions"] = Json::array();
  for (const broker::PartitionStatus& p : s.partitions)
    out["partitions"].push_back(partition_json(p));
  if (!s.warnings.empty()) out["warnings"] = s.warnings;
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ",") + word;
  return out;
}

std::string number_or_dash(const std::optional<Offset>& offset) {
  return offset ? offset->to_string() : "-";
}

void print_stream(const broker::StreamStatus& s, bool json) {
  if (json) {
    std::printf("%s\n", stream_json(s).dump().c_str());
    return;
  }
  std::printf("%s (id %s) on %s, %zu partition(s), %s, created %s\n", s.config.name.c_str(),
              s.id.to_string().c_str(), joined(s.config.subjects).c_str(), s.partitions.size(),
              s.config.durability == model::DurabilityMode::fsync ? "fsync" : "memory",
              model::format_time(s.created).c_str());
  Table table({"PARTITION", "LEADER", "EPOCH", "START", "HW", "LEO", "BYTES", "STATE"});
  for (const broker::PartitionStatus& p : s.partitions) {
    table.add({p.index.to_string(), p.leader.to_string(), p.epoch.to_string(),
               number_or_dash(p.log_start), number_or_dash(p.hw), number_or_dash(p.leo),
               std::to_string(p.bytes), state_name(p.state)});
  }
  table.print();
}

void print_streams(std::vector<broker::StreamStatus> streams, bool json) {
  std::ranges::sort(streams, {}, [](const auto& s) { return s.config.name; });
  if (json) {
    for (const auto& s : streams) std::printf("%s\n", stream_json(s).dump().c_str());
    return;
  }
  Table table({"NAME", "ID", "SUBJECTS", "PARTITIONS", "MESSAGES", "BYTES"});
  for (const auto& s : streams) {
    uint64_t messages = 0;
    uint64_t bytes = 0;
    for (const broker::PartitionStatus& p : s.partitions) {
      if (p.hw && p.log_start) messages += *p.hw - *p.log_start;
      bytes += p.bytes;
    }
    table.add({s.config.name, s.id.to_string(), joined(s.config.subjects),
               std::to_string(s.partitions.size()), std::to_string(messages),
               std::to_string(bytes)});
  }
  table.print();
}

// The configuration that the options say; `invalid` names the option.
Result<model::StreamConfig> stream_config(const CreateOptions& options) {
  model::StreamConfig config = options.config;
  config.min_isr = options.min_isr == 0 ? model::default_min_isr(config.replicas) : options.min_isr;
  config.durability =
      options.durability == "memory" ? model::DurabilityMode::memory : model::DurabilityMode::fsync;
  config.answers = options.answers == "on"    ? model::AnswerMode::on
                   : options.answers == "off" ? model::AnswerMode::off
                                              : model::AnswerMode::automatic;
  BASCULE_TRY_ASSIGN(config.retain_age, model::parse_duration(options.retain_age));
  BASCULE_TRY_ASSIGN(config.retain_bytes, model::parse_size(options.retain_bytes));
  BASCULE_TRY_ASSIGN(config.segment_bytes, model::parse_size(options.segment_bytes));
  BASCULE_TRY_ASSIGN(const uint64_t message_bytes, model::parse_size(options.message_bytes_max));
  config.message_bytes_max = static_cast<uint32_t>(std::min<uint64_t>(message_bytes, UINT32_MAX));
  return config;
}

ExitStatus create(const CreateOptions& options) {
  auto config = stream_config(options);
  if (!config) return report_usage(config.error());
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  auto created = (*session)->await<broker::StreamStatus>(
      [&](auto done) { (*session)->client().create_stream(*config, std::move(done)); });
  if (!created) return report(created.error());
  print_stream(*created, options.connect.json);
  for (const std::string& warning : created->warnings)
    std::fprintf(stderr, "bascule: warning: %s\n", warning.c_str());
  return k_exit_done;
}

// Beside an answer that may be old.
void say_age(Duration asked, const broker::AsOf& as_of) {
  if (asked.ns == 0) return;
  const std::string age =
      as_of.age ? "at most " + model::format_duration(*as_of.age) + " old" : "of unknown age";
  std::fprintf(stderr, "bascule: as of entry %s of the metadata, %s\n",
               as_of.index.to_string().c_str(), age.c_str());
}

ExitStatus list(const ReadOptions& options) {
  auto max_age = parse_max_age(options.max_age);
  if (!max_age) return report_usage(max_age.error());
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  auto streams = (*session)->await<broker::StreamList>(
      [&](auto done) { (*session)->client().list_streams(*max_age, std::move(done)); });
  if (!streams) return report(streams.error());
  say_age(*max_age, streams->as_of);
  print_streams(std::move(streams->streams), options.connect.json);
  return k_exit_done;
}

ExitStatus info(const InfoOptions& options) {
  auto max_age = parse_max_age(options.read.max_age);
  if (!max_age) return report_usage(max_age.error());
  auto session = ClientSession::open(options.read.connect);
  if (!session) return report_usage(session.error());
  auto found = (*session)->await<broker::DescribedStream>([&](auto done) {
    (*session)->client().describe_stream(options.name, *max_age, std::move(done));
  });
  if (!found) return report(found.error());
  say_age(*max_age, found->as_of);
  print_stream(found->stream, options.read.connect.json);
  return k_exit_done;
}

ExitStatus remove(const NameOptions& options) {
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  auto stream = (*session)->await<broker::DescribedStream>(
      [&](auto done) { (*session)->client().describe_stream(options.name, std::move(done)); });
  if (!stream) return report(stream.error());
  if (options.dry_run) {
    print_streams({stream->stream}, options.connect.json);
    return k_exit_done;
  }
  if (!options.force && !confirmed("Delete stream " + options.name + " and all its messages?")) {
    return report_usage(
        {Errc::invalid,
         "not deleted: confirm on a terminal, or give --force (see also --dry-run)"});
  }
  auto removed = (*session)->await<void>(
      [&](auto done) { (*session)->client().delete_stream(options.name, std::move(done)); });
  if (!removed) return report(removed.error());
  return k_exit_done;
}

void register_create(CLI::App& stream, ExitStatus& status) {
  auto options = std::make_shared<CreateOptions>();
  CLI::App* command = stream.add_subcommand("create", "make a stream; an equal one is success");
  command->add_option("NAME", options->config.name, "its name")->required();
  command
      ->add_option("--subject", options->config.subjects,
                   "NATS subject that it records, wildcards allowed; may be repeated")
      ->required();
  command->add_option("--partitions", options->config.partitions, "number of partitions")
      ->capture_default_str();
  command->add_option("--replicas", options->config.replicas, "copies of each partition")
      ->capture_default_str();
  command->add_option("--min-isr", options->min_isr, "replicas in sync that an ack needs");
  command->add_option("--durability", options->durability, "fsync or memory")
      ->check(CLI::IsMember({"fsync", "memory"}))
      ->capture_default_str();
  command->add_option("--answers", options->answers, "acknowledge NATS publishers: auto, on or off")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  command->add_option("--retain-age", options->retain_age, "drop what is older, like 7d; 0: never");
  command->add_option("--retain-bytes", options->retain_bytes, "per partition, like 10GiB");
  command->add_option("--retain-messages", options->config.retain_messages, "per partition");
  command->add_option("--segment-bytes", options->segment_bytes,
                      "size at which a segment is rolled");
  command->add_option("--message-bytes-max", options->message_bytes_max, "greatest message");
  add_connect_options(*command, options->connect);
  command->callback([options, &status] { status = create(*options); });
}

CLI::App* add_named(CLI::App& stream, const char* name, const char* help, NameOptions& options) {
  CLI::App* command = stream.add_subcommand(name, help);
  command->add_option("NAME", options.name, "the stream's name")->required();
  add_connect_options(*command, options.connect);
  return command;
}

}  // namespace

void register_stream(CLI::App& app, ExitStatus& status) {
  CLI::App* stream = app.add_subcommand("stream", "streams: create, ls, info, rm");
  stream->require_subcommand(1);
  register_create(*stream, status);

  auto list_options = std::make_shared<ReadOptions>();
  CLI::App* list_command = stream->add_subcommand("ls", "list streams");
  add_read_options(*list_command, *list_options);
  list_command->callback([list_options, &status] { status = list(*list_options); });

  auto info_options = std::make_shared<InfoOptions>();
  CLI::App* info_command = stream->add_subcommand("info", "one stream with its partitions");
  info_command->add_option("NAME", info_options->name, "the stream's name")->required();
  add_read_options(*info_command, info_options->read);
  info_command->callback([info_options, &status] { status = info(*info_options); });

  auto remove_options = std::make_shared<NameOptions>();
  CLI::App* remove_command =
      add_named(*stream, "rm", "delete a stream and its messages", *remove_options);
  remove_command->add_flag("--force", remove_options->force, "do not ask");
  remove_command->add_flag("--dry-run", remove_options->dry_run, "only show what would go");
  remove_command->callback([remove_options, &status] { status = remove(*remove_options); });
}

}  // namespace bascule::cli
