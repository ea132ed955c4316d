#include "capnp/cluster_values.h"

#include "capnp/wire_values.h"

namespace bascule::rpc {
namespace {

using Verb = broker::ClusterChange::Verb;

std::unexpected<Error> later_program() {
  return fail(Errc::unsupported, "the cluster: a word of a later program");
}

wire::MemberRole write_role(broker::MemberRole role) {
  switch (role) {
    case broker::MemberRole::none: return wire::MemberRole::NONE;
    case broker::MemberRole::learner: return wire::MemberRole::LEARNER;
    case broker::MemberRole::voter: return wire::MemberRole::VOTER;
  }
  return wire::MemberRole::NONE;
}

Result<broker::MemberRole> read_role(wire::MemberRole role) {
  switch (role) {
    case wire::MemberRole::NONE: return broker::MemberRole::none;
    case wire::MemberRole::LEARNER: return broker::MemberRole::learner;
    case wire::MemberRole::VOTER: return broker::MemberRole::voter;
  }
  return later_program();
}

wire::BrokerState write_state(broker::BrokerState state) {
  switch (state) {
    case broker::BrokerState::unknown: return wire::BrokerState::UNKNOWN;
    case broker::BrokerState::fenced: return wire::BrokerState::FENCED;
    case broker::BrokerState::up: return wire::BrokerState::UP;
  }
  return wire::BrokerState::UNKNOWN;
}

Result<broker::BrokerState> read_state(wire::BrokerState state) {
  switch (state) {
    case wire::BrokerState::UNKNOWN: return broker::BrokerState::unknown;
    case wire::BrokerState::FENCED: return broker::BrokerState::fenced;
    case wire::BrokerState::UP: return broker::BrokerState::up;
  }
  return later_program();
}

}  // namespace

wire::ClusterVerb write_verb(Verb verb) {
  switch (verb) {
    case Verb::add: return wire::ClusterVerb::ADD;
    case Verb::remove: return wire::ClusterVerb::REMOVE;
    case Verb::transfer: return wire::ClusterVerb::TRANSFER;
  }
  return wire::ClusterVerb::ADD;
}

Result<Verb> read_verb(wire::ClusterVerb verb) {
  switch (verb) {
    case wire::ClusterVerb::ADD: return Verb::add;
    case wire::ClusterVerb::REMOVE: return Verb::remove;
    case wire::ClusterVerb::TRANSFER: return Verb::transfer;
  }
  return later_program();
}

void write_decision(wire::ClusterDecision::Builder out, const broker::ClusterDecision& decision) {
  if (const auto* level = std::get_if<broker::FinalizeFeatureLevel>(&decision)) {
    out.setFinalizeFeatureLevel(level->level);
  } else if (const auto* setting = std::get_if<broker::SetSetting>(&decision)) {
    auto to = out.initSetSetting();
    to.setName(setting->name);
    to.setValue(setting->value);
  } else if (const auto* lost = std::get_if<broker::DeclareStorageLost>(&decision)) {
    auto to = out.initDeclareStorageLost();
    to.setStorageLow(lost->storage.words[0]);
    to.setStorageHigh(lost->storage.words[1]);
  }
}

Result<broker::ClusterDecision> read_decision(wire::ClusterDecision::Reader in) {
  switch (in.which()) {
    case wire::ClusterDecision::FINALIZE_FEATURE_LEVEL:
      return broker::FinalizeFeatureLevel{in.getFinalizeFeatureLevel()};
    case wire::ClusterDecision::SET_SETTING: {
      const auto setting = in.getSetSetting();
      return broker::SetSetting{read_text(setting.getName()), read_text(setting.getValue())};
    }
    case wire::ClusterDecision::DECLARE_STORAGE_LOST: {
      const auto lost = in.getDeclareStorageLost();
      return broker::DeclareStorageLost{Uuid{{lost.getStorageLow(), lost.getStorageHigh()}}};
    }
  }
  return later_program();
}

void write_cluster(wire::ClusterStatus::Builder out, const broker::ClusterStatus& status) {
  out.setClusterLow(status.cluster.words[0]);
  out.setClusterHigh(status.cluster.words[1]);
  out.setAnsweredBy(status.answered_by.value);
  out.setController(status.controller.value);
  out.setTerm(status.term.value);
  out.setFeatureLevel(status.feature_level);
  out.setPartitions(status.partitions);
  out.setPartitionsOffline(status.partitions_offline);
  auto members = out.initMembers(static_cast<kj::uint>(status.members.size()));
  for (kj::uint i = 0; i < members.size(); ++i) {
    const broker::MemberStatus& m = status.members[i];
    auto to = members[i];
    to.setNode(m.node.value);
    to.setStorageLow(m.storage.words[0]);
    to.setStorageHigh(m.storage.words[1]);
    to.setRole(write_role(m.role));
    to.setState(write_state(m.state));
    to.setReachable(m.reachable);
    to.setBehind(m.behind);
    to.setIncarnation(m.incarnation.value);
    to.setHost(m.host);
    to.setPeers(m.peers);
    to.setRpc(m.rpc);
    to.setFeatureLeast(m.feature_least);
    to.setFeatureMost(m.feature_most);
    to.setOldestUnsyncedNs(static_cast<uint64_t>(m.oldest_unsynced.ns));
  }
  auto problems = out.initProblems(static_cast<kj::uint>(status.problems.size()));
  for (kj::uint i = 0; i < problems.size(); ++i) problems.set(i, status.problems[i]);
  auto settings = out.initSettings(static_cast<kj::uint>(status.settings.size()));
  for (kj::uint i = 0; i < settings.size(); ++i) {
    settings[i].setName(status.settings[i].name);
    settings[i].setValue(status.settings[i].value);
    settings[i].setByDefault(status.settings[i].by_default);
  }
  write_as_of(out.initAsOf(), status.as_of);
}

Result<broker::ClusterStatus> read_cluster(wire::ClusterStatus::Reader in) {
  broker::ClusterStatus status;
  status.cluster = Uuid{{in.getClusterLow(), in.getClusterHigh()}};
  status.answered_by = NodeId(in.getAnsweredBy());
  status.controller = NodeId(in.getController());
  status.term = Term(in.getTerm());
  status.feature_level = in.getFeatureLevel();
  status.partitions = in.getPartitions();
  status.partitions_offline = in.getPartitionsOffline();
  for (const auto each : in.getMembers()) {
    broker::MemberStatus m;
    m.node = NodeId(each.getNode());
    m.storage = Uuid{{each.getStorageLow(), each.getStorageHigh()}};
    BASCULE_TRY_ASSIGN(m.role, read_role(each.getRole()));
    BASCULE_TRY_ASSIGN(m.state, read_state(each.getState()));
    m.reachable = each.getReachable();
    m.behind = each.getBehind();
    m.incarnation = Incarnation(each.getIncarnation());
    m.host = read_text(each.getHost());
    m.peers = read_text(each.getPeers());
    m.rpc = read_text(each.getRpc());
    m.feature_least = each.getFeatureLeast();
    m.feature_most = each.getFeatureMost();
    m.oldest_unsynced = nanoseconds(static_cast<int64_t>(each.getOldestUnsyncedNs()));
    status.members.push_back(std::move(m));
  }
  for (const auto problem : in.getProblems()) status.problems.push_back(read_text(problem));
  for (const auto each : in.getSettings())
    status.settings.push_back(
        {read_text(each.getName()), read_text(each.getValue()), each.getByDefault()});
  status.as_of = read_as_of(in.getAsOf());
  return status;
}

}  // namespace bascule::rpc
