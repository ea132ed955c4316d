#include "src/controller/cluster_peers.h"

namespace bascule::controller {
namespace {

constexpr Duration k_append_timeout = seconds(10);
constexpr Duration k_copy_patience = seconds(5);  // an earlier life's connections end by then
constexpr Duration k_tell_again = seconds(10);

}  // namespace

ClusterPeers::ClusterPeers(env::World& world, const peers::PeersOptions& options, peers::Self self,
                           const ClusterParts& parts)
    : world_(world),
      codec_(parts.message_codec),
      peers_(world, options, std::move(self), parts.peer_codec, parts.authenticator, *this) {}

ClusterPeers::~ClusterPeers() = default;

void ClusterPeers::ask_bytes(NodeId node, RequestKind kind, Slice body, Duration timeout,
                             env::Done<peers::Reply> done) {
  peers_.request(node, peers::Channel::control,
                 peers::Request{static_cast<uint16_t>(kind), std::move(body), {}}, timeout,
                 std::move(done));
}

void ClusterPeers::answer_appends(
    std::move_only_function<void(Slice entry, env::Done<void> done)> handler) {
  peers_.handle_requests(
      static_cast<uint16_t>(RequestKind::append),
      [handler = std::move(handler)](const peers::Identity&, peers::Request request,
                                     env::Done<peers::Reply> done) mutable {
        handler(std::move(request.body), [done = std::move(done)](Status appended) mutable {
          if (!appended) return done(fail(std::move(appended.error())));
          done(peers::Reply{});
        });
      });
}

// --- MemberLink ------------------------------------------------------------------------------------

// Raft sends again what matters.
void ClusterPeers::send(raft::Message message) { (void)peers_.send(message); }

void ClusterPeers::forward(NodeId leader, Slice entry, env::Done<void> done) {
  ask_bytes(leader, RequestKind::append, std::move(entry), k_append_timeout,
            [done = std::move(done)](Result<peers::Reply> reply) mutable {
              if (!reply) return done(fail(std::move(reply.error())));
              done({});
            });
}

// --- What peers tell -------------------------------------------------------------------------------

void ClusterPeers::opened(const peers::Identity& peer, peers::Channel channel) {
  copy_seen_ = MonotonicTime::never();
  if (channels_ != nullptr) channels_->opened(peer.node, channel);
}

void ClusterPeers::writable(NodeId node, peers::Channel channel) {
  if (channels_ != nullptr) channels_->writable(node, channel);
}

void ClusterPeers::process_gone(NodeId node, Incarnation incarnation) {
  if (listener_ != nullptr) listener_->process_gone(node, incarnation);
}

void ClusterPeers::raft_message(raft::Message message) {
  if (listener_ != nullptr) listener_->raft_message(std::move(message));
}

void ClusterPeers::refused(const peers::Refusal& refusal) {
  const MonotonicTime now = world_.loop.now();
  MonotonicTime& told =
      told_.try_emplace({refusal.by, refusal.reason}, now - k_tell_again).first->second;
  if (now - told >= k_tell_again) {
    told = now;
    world_.trace.message(
        TraceLevel::error, "peers",
        "node " + refusal.by.to_string() + " refuses this broker: " + refusal.text);
  }
  bool ends = refusal.reason == peers::RefusalReason::clone ||
              refusal.reason == peers::RefusalReason::dead_life;
  if (refusal.reason == peers::RefusalReason::earlier_life_connected) {
    // A copy of a living broker's directory looks like its restart, until the old connections should
    // have ended.
    if (copy_seen_ == MonotonicTime::never()) copy_seen_ = now;
    ends = now - copy_seen_ >= k_copy_patience;
  }
  if (ends && listener_ != nullptr) listener_->displaced({Errc::fenced, refusal.text});
}

void ClusterPeers::refusing(const peers::Identity& other, const peers::Refusal& refusal) {
  if (!other.node) return;  // nobody yet
  const MonotonicTime now = world_.loop.now();
  MonotonicTime& told =
      told_.try_emplace({other.node, refusal.reason}, now - k_tell_again).first->second;
  if (now - told < k_tell_again) return;
  told = now;
  world_.trace.message(TraceLevel::warning, "peers",
                       "refusing " + other.to_string() + ": " + refusal.text);
}

void ClusterPeers::cluster_learned(const Uuid& cluster) {
  world_.trace.message(TraceLevel::info, "peers", "the cluster is " + cluster.to_string());
}

}  // namespace bascule::controller
