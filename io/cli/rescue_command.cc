// bascule rescue DIR…: a cluster that has lost a majority of its controllers for good goes on from a survivor.
//
// Offline, on data directories of stopped brokers. docs/rescue.md says when and how.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "capnp/command_codec.h"
#include "io/cli/app.h"
#include "io/cli/await.h"
#include "io/cli/offline_world.h"
#include "io/cli/table.h"
#include "src/broker/rescue.h"

namespace bascule::cli {
namespace {

using Json = nlohmann::ordered_json;
using broker::Survivor;

struct RescueOptions {
  std::vector<std::string> directories;
  std::vector<uint32_t> lost;
  bool rejoin = false;
  bool accept_loss = false;
  bool json = false;
};

struct Found {
  std::string directory;
  Survivor survivor;
};

// One stopped broker's directory, which nobody else has while this lives.
class Locked {
 public:
  static Result<std::unique_ptr<Locked>> open(const std::string& directory) {
    auto out = std::make_unique<Locked>();
    BASCULE_TRY_ASSIGN(out->offline_, OfflineWorld::open(directory));
    auto locked = await<void>(
        out->loop(), [&out](env::Done<void> done) { out->world().disk.lock(std::move(done)); });
    if (!locked)
      return fail(locked.error().code, directory + ": a broker runs on it, stop that first (" +
                                           locked.error().context + ")");
    return out;
  }
  io::AsioLoop& loop() { return offline_->loop(); }
  env::World& world() { return offline_->world(); }

  Result<Survivor> inspect() {
    return await<Survivor>(loop(), [this](auto done) {
      broker::inspect_survivor(world(), {}, codec_, std::move(done));
    });
  }
  Result<Uuid> rescue(const std::vector<NodeId>& lost) {
    return await<Uuid>(loop(), [&](auto done) {
      broker::rescue(world(), {}, codec_, {lost, loop().wall()}, std::move(done));
    });
  }
  Status let_rejoin() {
    return await<void>(loop(),
                       [this](auto done) { broker::let_rejoin(world(), {}, std::move(done)); });
  }

 private:
  std::unique_ptr<OfflineWorld> offline_;
  capnp_codec::MetadataCodec codec_;
};

std::string voters_text(const Survivor& s) {
  std::vector<NodeId> nodes;
  for (const raft::Member& m : s.configuration.voters) nodes.push_back(m.id.node);
  return broker::nodes_text(nodes);
}

auto position(const Found& f) { return std::pair(f.survivor.last_term, f.survivor.last_index); }

Json survivor_json(const Found& f, bool furthest) {
  const Survivor& s = f.survivor;
  Json out;
  out["directory"] = f.directory;
  out["node"] = s.identity.node.value;
  out["storage"] = s.identity.storage.to_string();
  out["cluster"] = s.identity.cluster.to_string();
  out["term"] = s.last_term.value;
  out["index"] = s.last_index.value;
  out["streams"] = s.streams;
  out["partitions"] = s.partitions;
  out["voters"] = Json::array();
  for (const raft::Member& m : s.configuration.voters)
    out["voters"].push_back(Json{{"node", m.id.node.value}, {"address", m.address}});
  out["rescues"] = s.rescues.size();
  out["furthest"] = furthest;
  return out;
}

void print_survivors(const std::vector<Found>& found, bool json) {
  const Found& best = *std::ranges::max_element(found, {}, position);
  Table table({"NODE", "TERM", "INDEX", "STREAMS", "PARTITIONS", "VOTERS IT KNOWS", "DIRECTORY"});
  for (const Found& f : found) {
    const bool furthest = position(f) == position(best);
    if (json) {
      std::printf("%s\n", survivor_json(f, furthest).dump().c_str());
      continue;
    }
    table.add({f.survivor.identity.node.to_string() + (furthest && found.size() > 1 ? " *" : ""),
               f.survivor.last_term.to_string(), f.survivor.last_index.to_string(),
               std::to_string(f.survivor.streams), std::to_string(f.survivor.partitions),
               voters_text(f.survivor), f.directory});
  }
  if (json) return;
  table.print();
  std::printf(
      "\nOf all survivors the one with the greatest term, then index, knows most%s.\n"
      "Nothing was changed. To go on from one of them, for good:\n"
      "  bascule rescue DIRECTORY --lost NODES --accept-loss\n"
      "where NODES are the voters that will never come back, like 2,3. What they had decided "
      "after\n"
      "its position is forgotten. The other survivors: bascule rescue DIRECTORY --rejoin\n"
      "--accept-loss. Read docs/rescue.md first.\n",
      found.size() > 1 ? " (*)" : "");
}

ExitStatus show(const RescueOptions& options) {
  std::vector<Found> found;
  for (const std::string& directory : options.directories) {
    auto locked = Locked::open(directory);
    if (!locked) return report(locked.error());
    auto survivor = (*locked)->inspect();
    if (!survivor)
      return report({survivor.error().code, directory + ": " + survivor.error().context});
    found.push_back({directory, std::move(*survivor)});
  }
  print_survivors(found, options.json);
  return k_exit_done;
}

ExitStatus rescue_one(const RescueOptions& options) {
  if (options.directories.size() != 1)
    return report_usage({Errc::invalid, "one directory: the survivor to go on from"});
  if (!options.accept_loss)
    return report_usage({Errc::invalid,
                         "nothing was done: what the lost voters had decided, and this broker has "
                         "not heard of, will be forgotten. Say --accept-loss to go on"});
  const std::string& directory = options.directories.front();
  auto locked = Locked::open(directory);
  if (!locked) return report(locked.error());
  std::vector<NodeId> lost;
  for (const uint32_t node : options.lost) lost.emplace_back(node);
  const auto cluster = (*locked)->rescue(lost);
  if (!cluster) return report(cluster.error());
  if (options.json) {
    Json out;
    out["cluster"] = cluster->to_string();
    std::printf("%s\n", out.dump().c_str());
  } else {
    std::printf(
        "This broker is now the only voter of cluster %s. Start it, then let others join with\n"
        "--seeds and `bascule cluster add`. The metadata it had is kept beside the new.\n",
        cluster->to_string().c_str());
  }
  return k_exit_done;
}

ExitStatus rejoin(const RescueOptions& options) {
  if (options.directories.size() != 1)
    return report_usage({Errc::invalid, "one directory: the survivor that is to join"});
  if (!options.accept_loss)
    return report_usage({Errc::invalid,
                         "nothing was done: this broker will forget its cluster and keep its "
                         "messages. Say --accept-loss to go on"});
  auto locked = Locked::open(options.directories.front());
  if (!locked) return report(locked.error());
  const Status let = (*locked)->let_rejoin();
  if (!let) return report(let.error());
  if (!options.json)
    std::printf(
        "This broker belongs to no cluster now. Start it with --seeds of the rescued one.\n");
  return k_exit_done;
}

}  // namespace

void register_rescue(CLI::App& app, ExitStatus& status) {
  auto options = std::make_shared<RescueOptions>();
  CLI::App* command = app.add_subcommand(
      "rescue",
      "offline: when a majority of the controllers is lost for good, go on from a survivor");
  command
      ->add_option("DIR", options->directories,
                   "data directories of stopped brokers; alone: shows how far each knows the "
                   "metadata, and changes nothing")
      ->required()
      ->check(CLI::ExistingDirectory);
  CLI::Option* lost =
      command
          ->add_option("--lost", options->lost,
                       "go on from DIR: these voters, like 2,3, will never come back")
          ->delimiter(',');
  command
      ->add_flag("--rejoin", options->rejoin,
                 "DIR is another survivor: it is to join the rescued cluster with its messages")
      ->excludes(lost);
  command->add_flag("--accept-loss", options->accept_loss,
                    "what only the lost voters knew may be lost");
  command->add_flag("--json", options->json, "one JSON object per line");
  command->callback([options, &status] {
    status = options->rejoin         ? rejoin(*options)
             : options->lost.empty() ? show(*options)
                                     : rescue_one(*options);
  });
}

}  // namespace bascule::cli
