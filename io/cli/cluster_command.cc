// bascule cluster status|members|add|remove|transfer|finalize|settings|set|declare-lost
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
using Verb = broker::ClusterChange::Verb;

struct StatusOptions {
  ReadOptions read;
  std::string wait = "0";
};

struct ChangeOptions {
  ConnectOptions connect;
  uint32_t node = 0;
  uint32_t replaces = 0;
  bool force = false;
  bool dry_run = false;
};

std::string role_name(broker::MemberRole role) {
  switch (role) {
    case broker::MemberRole::none: return "none";
    case broker::MemberRole::learner: return "learner";
    case broker::MemberRole::voter: return "voter";
  }
  return "?";
}

std::string state_name(broker::BrokerState state) {
  switch (state) {
    case broker::BrokerState::unknown: return "unknown";
    case broker::BrokerState::fenced: return "fenced";
    case broker::BrokerState::up: return "up";
  }
  return "?";
}

Json member_json(const broker::MemberStatus& m) {
  Json out;
  out["node"] = m.node.value;
  out["host"] = m.host;
  out["state"] = state_name(m.state);
  out["incarnation"] = m.incarnation.value;
  out["role"] = role_name(m.role);
  out["reachable"] = m.reachable;
  out["behind"] = m.behind;
  out["storage"] = m.storage.to_string();
  out["peers"] = m.peers;
  out["rpc"] = m.rpc;
  out["feature_levels"] = Json::array({m.feature_least, m.feature_most});
  out["oldest_unsynced_ms"] = m.oldest_unsynced.ns / 1'000'000;
  return out;
}

Json status_json(const broker::ClusterStatus& s) {
  Json out;
  out["healthy"] = s.problems.empty();
  out["cluster"] = s.cluster.to_string();
  out["controller"] = s.controller.value;
  out["term"] = s.term.value;
  out["feature_level"] = s.feature_level;
  out["partitions"] = s.partitions;
  out["partitions_offline"] = s.partitions_offline;
  out["problems"] = s.problems;
  out["as_of"] = s.as_of.index.value;
  if (s.as_of.age) out["age_ms"] = s.as_of.age->ns / 1'000'000;
  out["members"] = Json::array();
  for (const broker::MemberStatus& m : s.members) out["members"].push_back(member_json(m));
  return out;
}

void print_members(const broker::ClusterStatus& s) {
  Table table(
      {"NODE", "ROLE", "STATE", "REACHABLE", "BEHIND", "INCARNATION", "PEERS", "RPC", "HOST"});
  for (const broker::MemberStatus& m : s.members) {
    table.add({m.node.to_string() + (m.node == s.controller ? " *" : ""), role_name(m.role),
               state_name(m.state), m.reachable ? "yes" : "no", std::to_string(m.behind),
               m.incarnation.to_string(), m.peers, m.rpc, m.host});
  }
  table.print();
}

void print_status(const broker::ClusterStatus& s) {
  std::printf("cluster %s: %s\n", s.cluster.to_string().c_str(),
              s.problems.empty() ? "healthy" : "unhealthy");
  for (const std::string& problem : s.problems) std::printf("  %s\n", problem.c_str());
  print_members(s);
}

Result<broker::ClusterStatus> ask_status(ClientSession& session, Duration max_age = {}) {
  return session.await<broker::ClusterStatus>(
      [&](auto done) { session.client().cluster_status(max_age, std::move(done)); });
}

ExitStatus status_of(const StatusOptions& options) {
  auto wait = model::parse_duration(options.wait);
  if (!wait) return report_usage(wait.error());
  auto max_age = parse_max_age(options.read.max_age);
  if (!max_age) return report_usage(max_age.error());
  auto session = ClientSession::open(options.read.connect);
  if (!session) return report_usage(session.error());
  const MonotonicTime until = (*session)->now() + *wait;
  for (;;) {
    auto status = ask_status(**session, *max_age);
    const bool over = (*session)->now() >= until;
    if (!status && over) return report(status.error());
    if (status && (status->problems.empty() || over)) {
      if (options.read.connect.json) {
        std::printf("%s\n", status_json(*status).dump().c_str());
      } else {
        print_status(*status);
      }
      return status->problems.empty() ? k_exit_done : k_exit_unhealthy;
    }
    (*session)->pause(milliseconds(100));
  }
}

ExitStatus members(const ConnectOptions& options) {
  auto session = ClientSession::open(options);
  if (!session) return report_usage(session.error());
  auto status = ask_status(**session);
  if (!status) return report(status.error());
  if (options.json) {
    for (const broker::MemberStatus& m : status->members)
      std::printf("%s\n", member_json(m).dump().c_str());
  } else {
    print_members(*status);
  }
  return k_exit_done;
}

ExitStatus change(Verb verb, const ChangeOptions& options) {
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  if (options.dry_run) {
    auto status = ask_status(**session);
    if (!status) return report(status.error());
    for (const broker::MemberStatus& m : status->members)
      if (m.node == NodeId(options.node)) std::printf("%s\n", member_json(m).dump().c_str());
    return k_exit_done;
  }
  if (verb == Verb::remove && !options.force &&
      !confirmed("Remove node " + std::to_string(options.node) + " from the cluster for good?")) {
    return report_usage(
        {Errc::invalid,
         "not removed: confirm on a terminal, or give --force (see also --dry-run)"});
  }
  const auto changed = (*session)->await<void>([&](auto done) {
    (*session)->client().change_cluster({verb, NodeId(options.node), NodeId(options.replaces)},
                                        std::move(done));
  });
  if (!changed) return report(changed.error());
  return k_exit_done;
}

ExitStatus decide(const ConnectOptions& options, const broker::ClusterDecision& decision) {
  auto session = ClientSession::open(options);
  if (!session) return report_usage(session.error());
  const auto decided = (*session)->await<void>(
      [&](auto done) { (*session)->client().decide_cluster(decision, std::move(done)); });
  return decided ? k_exit_done : report(decided.error());
}

ExitStatus settings(const ReadOptions& options) {
  auto max_age = parse_max_age(options.max_age);
  if (!max_age) return report_usage(max_age.error());
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  auto status = ask_status(**session, *max_age);
  if (!status) return report(status.error());
  Table table({"SETTING", "VALUE", ""});
  for (const broker::SettingStatus& s : status->settings) {
    if (options.connect.json) {
      const Json line = {{"name", s.name}, {"value", s.value}, {"default", s.by_default}};
      std::printf("%s\n", line.dump().c_str());
    } else {
      table.add({s.name, s.value, s.by_default ? "default" : ""});
    }
  }
  if (!options.connect.json) table.print();
  return k_exit_done;
}

// By the node whose storage it is: who types it knows that one.
ExitStatus declare_lost(const ChangeOptions& options) {
  auto session = ClientSession::open(options.connect);
  if (!session) return report_usage(session.error());
  auto status = ask_status(**session);
  if (!status) return report(status.error());
  const auto member =
      std::ranges::find(status->members, NodeId(options.node), &broker::MemberStatus::node);
  if (member == status->members.end() || !member->incarnation)
    return report({Errc::not_found, "node " + std::to_string(options.node) + " never registered"});
  if (options.dry_run) {
    std::printf("%s\n", member_json(*member).dump().c_str());
    return k_exit_done;
  }
  if (member->state == broker::BrokerState::up)
    return report({Errc::busy, "node " + std::to_string(options.node) +
                                   " is up: stop it first, and wait until it is fenced"});
  const std::string storage = member->storage.to_string();
  if (!options.force &&
      !confirmed("Storage " + storage + " of node " + std::to_string(options.node) +
                 " will be refused for good, and what only it held is lost. Go on?"))
    return report_usage({Errc::invalid,
                         "nothing was done: confirm on a terminal, or give --force (see also "
                         "--dry-run)"});
  return decide(options.connect, broker::DeclareStorageLost{member->storage});
}

CLI::App* add_change(CLI::App& cluster, const char* name, const char* help, Verb verb,
                     const std::shared_ptr<ChangeOptions>& options, ExitStatus& status) {
  CLI::App* command = cluster.add_subcommand(name, help);
  command->add_option("NODE", options->node, "the broker's id")->required();
  add_connect_options(*command, options->connect);
  command->callback([options, verb, &status] { status = change(verb, *options); });
  return command;
}

void register_decisions(CLI::App& cluster, ExitStatus& status) {
  struct FinalizeOptions {
    ConnectOptions connect;
    uint32_t level = 0;
  };
  auto finalize_options = std::make_shared<FinalizeOptions>();
  CLI::App* finalize_command = cluster.add_subcommand(
      "finalize", "use what a feature level brings from now on; older programs stop");
  finalize_command->add_option("LEVEL", finalize_options->level,
                               "none: the highest that every registered broker can work at");
  add_connect_options(*finalize_command, finalize_options->connect);
  finalize_command->callback([finalize_options, &status] {
    status =
        decide(finalize_options->connect, broker::FinalizeFeatureLevel{finalize_options->level});
  });

  auto settings_options = std::make_shared<ReadOptions>();
  CLI::App* settings_command = cluster.add_subcommand("settings", "every setting and its value");
  add_read_options(*settings_command, *settings_options);
  settings_command->callback([settings_options, &status] { status = settings(*settings_options); });

  struct SetOptions {
    ConnectOptions connect;
    broker::SetSetting setting;
  };
  auto set_options = std::make_shared<SetOptions>();
  CLI::App* set_command = cluster.add_subcommand("set", "change a setting");
  set_command->add_option("NAME", set_options->setting.name, "see settings")->required();
  set_command->add_option("VALUE", set_options->setting.value, "none: the default again");
  add_connect_options(*set_command, set_options->connect);
  set_command->callback(
      [set_options, &status] { status = decide(set_options->connect, set_options->setting); });

  auto lost_options = std::make_shared<ChangeOptions>();
  CLI::App* lost_command = cluster.add_subcommand(
      "declare-lost", "a broker's storage will never come back: do not wait for it");
  lost_command->add_option("NODE", lost_options->node, "the broker's id")->required();
  lost_command->add_flag("--force", lost_options->force, "do not ask");
  lost_command->add_flag("--dry-run", lost_options->dry_run, "only show whose it is");
  add_connect_options(*lost_command, lost_options->connect);
  lost_command->callback([lost_options, &status] { status = declare_lost(*lost_options); });
}

}  // namespace

void register_cluster(CLI::App& app, ExitStatus& status) {
  CLI::App* cluster = app.add_subcommand(
      "cluster",
      "the cluster: status, members, add, remove, transfer, settings, set, finalize, declare-lost");
  cluster->require_subcommand(1);

  auto status_options = std::make_shared<StatusOptions>();
  CLI::App* status_command =
      cluster->add_subcommand("status", "health; exit status 10 while unhealthy");
  status_command->add_option("--wait", status_options->wait,
                             "wait this long for the cluster to be healthy");
  add_read_options(*status_command, status_options->read);
  status_command->callback([status_options, &status] { status = status_of(*status_options); });

  auto members_options = std::make_shared<ConnectOptions>();
  CLI::App* members_command =
      cluster->add_subcommand("members", "who is in it; * leads the metadata");
  add_connect_options(*members_command, *members_options);
  members_command->callback([members_options, &status] { status = members(*members_options); });

  auto add_options = std::make_shared<ChangeOptions>();
  add_change(*cluster, "add", "let a broker that has joined decide about the metadata", Verb::add,
             add_options, status)
      ->add_option("--replace", add_options->replaces, "a voter that goes in the same change");

  auto remove_options = std::make_shared<ChangeOptions>();
  CLI::App* remove_command = add_change(*cluster, "remove", "take a broker out for good",
                                        Verb::remove, remove_options, status);
  remove_command->add_flag("--force", remove_options->force, "do not ask");
  remove_command->add_flag("--dry-run", remove_options->dry_run, "only show who would go");

  add_change(*cluster, "transfer", "let this voter lead the metadata", Verb::transfer,
             std::make_shared<ChangeOptions>(), status);

  register_decisions(*cluster, status);
}

}  // namespace bascule::cli
