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
  }
  auto problems = out.initProblems(static_cast<kj::uint>(status.problems.size()));
  for (kj::uint i = 0; i < problems.size(); ++i) problems.set(i, status.problems[i]);
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
    status.members.push_back(std::move(m));
  }
  for (const auto problem : in.getProblems()) status.problems.push_back(read_text(problem));
  return status;
}

}  // namespace bascule::rpc
