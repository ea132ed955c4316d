#include "src/controller/founding.h"

#include <algorithm>
#include <string>

#include "src/base/codec.h"
#include "src/base/prng.h"

namespace bascule::controller {
namespace {

using env::call;
using env::Co;

constexpr Duration k_ask_again = milliseconds(50);
constexpr Duration k_ask_timeout = seconds(1);
constexpr Duration k_tell_again = seconds(5);

bool final_answer(Errc code) { return code == Errc::invalid || code == Errc::fenced; }

}  // namespace

Uuid derive_cluster(const raft::Configuration& configuration) {
  uint64_t a = 0x626173636c757374;
  uint64_t b = 0x666f756e64656421;
  for (const uint8_t byte : raft::encode_configuration(configuration)) {
    a = mix64(a ^ byte);
    b = mix64(b + byte);
  }
  return Uuid{{a, b | 1}};
}

raft::Configuration founding_configuration(const std::vector<raft::Member>& founders) {
  raft::Configuration out;
  out.voters = founders;
  std::ranges::sort(out.voters, {}, &raft::Member::id);
  return out;
}

std::vector<NodeId> nodes_of(const std::vector<Founder>& founders) {
  std::vector<NodeId> out;
  for (const Founder& f : founders) out.push_back(f.node);
  std::ranges::sort(out);
  return out;
}

Founding::Founding(env::World& world, ClusterPeers& peers, const Identity& self,
                   env::Address address, std::vector<Founder> founders)
    : world_(world),
      peers_(peers),
      self_(self),
      address_(std::move(address)),
      founders_(std::move(founders)),
      told_(world.loop.now()) {}

raft::Member Founding::self_member() const {
  return {{self_.node, self_.storage}, address_.to_string()};
}

Co<void> Founding::pause() {
  co_return co_await call<void>([this](env::Done<void> done) {
    world_.loop.after(k_ask_again, [done = std::move(done)]() mutable { done({}); });
  });
}

void Founding::tell_missing() {
  if (world_.loop.now() - told_ < k_tell_again) return;
  told_ = world_.loop.now();
  std::string missing;
  for (const Founder& f : founders_)
    if (f.node != self_.node && !heard_.contains(f.node))
      missing +=
          (missing.empty() ? "" : ", ") + f.node.to_string() + " at " + f.address.to_string();
  world_.trace.message(TraceLevel::info, "controller",
                       founders_.empty() ? "waiting for a broker of the cluster to let this one in"
                                         : "waiting for the other founders: " + missing);
}

Status Founding::take(NodeId node, Result<FoundingAnswer> answer) {
  if (!answer) {
    if (!final_answer(answer.error().code)) return {};
    return fail(answer.error().code, "node " + node.to_string() + ": " + answer.error().context);
  }
  heard_[node] = std::move(*answer);
  return {};
}

Co<Founded> Founding::found() {
  const FoundingQuery query{nodes_of(founders_)};
  for (;;) {
    for (size_t i = 0; i < founders_.size(); ++i) {
      const NodeId node = founders_[i].node;
      if (node == self_.node || !peers_.peers().connected(node, peers::Channel::control)) continue;
      auto answer = co_await call<FoundingAnswer>([this, node, &query](auto done) {
        peers_.ask<FoundingAnswer>(node, RequestKind::founding, query, k_ask_timeout,
                                   std::move(done));
      });
      auto taken = take(node, std::move(answer));
      if (!taken) co_return fail(std::move(taken.error()));
      const auto at = heard_.find(node);
      if (at == heard_.end() || !at->second.cluster) continue;
      // It was founded before we came: with us, or we are a stranger under a founder's number.
      const raft::Configuration known = founding_configuration(at->second.configuration.voters);
      if (known.voters.empty())
        continue;  // it is opening its store: what all say of their storages serves
      const bool ours = known.is_voter(self_member().id);
      if (ours && derive_cluster(known) == at->second.cluster)
        co_return Founded{at->second.cluster, raft::Raft::bootstrap(known)};
      if (!ours)
        co_return fail(Errc::fenced,
                       "cluster " + at->second.cluster.to_string() +
                           " was founded with another storage of node " + self_.node.to_string() +
                           ": start this broker with seeds, then `bascule cluster add`");
    }
    std::vector<raft::Member> members;
    for (const Founder& f : founders_) {
      if (f.node == self_.node) {
        members.push_back({self_member().id, f.address.to_string()});
      } else if (const auto at = heard_.find(f.node); at != heard_.end()) {
        members.push_back({{f.node, at->second.storage}, f.address.to_string()});
      }
    }
    if (members.size() == founders_.size()) {
      const raft::Configuration all = founding_configuration(members);
      const Uuid cluster = derive_cluster(all);
      // Some may have founded it already, and changed who votes since.
      const bool agreed = std::ranges::all_of(heard_, [&](const auto& heard) {
        return !heard.second.cluster || heard.second.cluster == cluster;
      });
      if (agreed) co_return Founded{cluster, raft::Raft::bootstrap(all)};
    }
    tell_missing();
    (void)co_await pause();
  }
}

Co<Founded> Founding::join() {
  const JoinRequest request{self_member()};
  for (;;) {
    const std::vector<peers::PeerStatus> known = peers_.peers().status();
    for (size_t i = 0; i < known.size(); ++i) {
      const NodeId node = known[i].node;
      if (!peers_.peers().connected(node, peers::Channel::control)) continue;
      auto answer = co_await call<JoinAnswer>([this, node, &request](auto done) {
        peers_.ask<JoinAnswer>(node, RequestKind::join, request, k_ask_timeout * 5,
                               std::move(done));
      });
      if (answer && answer->cluster) co_return Founded{answer->cluster, {}};
      if (!answer && final_answer(answer.error().code)) co_return fail(std::move(answer.error()));
    }
    tell_missing();
    (void)co_await pause();
  }
}

}  // namespace bascule::controller
