// The connections to the other brokers, as the controller uses them: requests of its own kinds, Raft's
// messages, and what peers tell of each other's lives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/controller/peer_messages.h"
#include "src/controller/raft_metadata_log.h"
#include "src/env/world.h"
#include "src/peers/peers.h"

namespace bascule::controller {

// What the composition root hands in for clusters.
struct ClusterParts {
  const peers::PeerCodec& peer_codec;
  const PeerMessageCodec& message_codec;
  peers::Authenticator& authenticator;
};

// Told in turns of the loop.
class ClusterListener {
 public:
  virtual ~ClusterListener() = default;
  virtual void raft_message(raft::Message message) = 0;
  virtual void process_gone(NodeId node, Incarnation incarnation) = 0;
  // This process must end: another one has its identity.
  virtual void displaced(const Error& why) = 0;
};

// Told of channels to other brokers, in turns of the loop.
class ChannelListener {
 public:
  virtual ~ChannelListener() = default;
  // It is there, or there again: what was on its way is lost.
  virtual void opened(NodeId node, peers::Channel channel) = 0;
  // After `overloaded`.
  virtual void writable(NodeId node, peers::Channel channel) = 0;
};

class ClusterPeers final : public MemberLink, private peers::PeersObserver {
 public:
  ClusterPeers(env::World& world, const peers::PeersOptions& options, peers::Self self,
               const ClusterParts& parts);
  ~ClusterPeers() override;

  void listen_to(ClusterListener* listener) { listener_ = listener; }
  void listen_to_channels(ChannelListener* listener) { channels_ = listener; }

  // Asks `node` over the control channel; errors as Peers::request.
  template <class Answer>
  void ask(NodeId node, RequestKind kind, const PeerMessage& question, Duration timeout,
           env::Done<Answer> done) {
    ask_bytes(node, kind, Slice::copy_of(codec_.encode(question)), timeout,
              [this, done = std::move(done)](Result<peers::Reply> reply) mutable {
                if (!reply) return done(fail(std::move(reply.error())));
                done(decode_as<Answer>(codec_, reply->body));
              });
  }
  // Answers such questions. Before start.
  template <class Question>
  void answer(RequestKind kind,
              std::move_only_function<void(const peers::Identity& from, Question question,
                                           env::Done<PeerMessage> answer)>
                  handler) {
    peers_.handle_requests(
        static_cast<uint16_t>(kind),
        [this, handler = std::move(handler)](const peers::Identity& from, peers::Request request,
                                             env::Done<peers::Reply> done) mutable {
          auto question = decode_as<Question>(codec_, request.body);
          if (!question) return done(fail(std::move(question.error())));
          handler(from, std::move(*question),
                  [this, done = std::move(done)](Result<PeerMessage> message) mutable {
                    if (!message) return done(fail(std::move(message.error())));
                    done(peers::Reply{Slice::copy_of(codec_.encode(*message)), {}});
                  });
        });
  }
  // Entries that others forward. Before start.
  void answer_appends(std::move_only_function<void(Slice entry, env::Done<void> done)> handler);

  // MemberLink
  void send(raft::Message message) override;
  void forward(NodeId leader, Slice entry, env::Done<void> done) override;

  peers::Peers& peers() { return peers_; }
  const peers::Peers& peers() const { return peers_; }

 private:
  void ask_bytes(NodeId node, RequestKind kind, Slice body, Duration timeout,
                 env::Done<peers::Reply> done);

  // peers::PeersObserver
  void opened(const peers::Identity& peer, peers::Channel channel) override;
  void lost(const peers::Identity&, peers::Channel, const Error&) override {}
  void process_gone(NodeId node, Incarnation incarnation) override;
  void writable(NodeId node, peers::Channel channel) override;
  void raft_message(raft::Message message) override;
  void refused(const peers::Refusal& refusal) override;
  void refusing(const peers::Identity& other, const peers::Refusal& refusal) override;
  void cluster_learned(const Uuid& cluster) override;

  env::World& world_;
  const PeerMessageCodec& codec_;
  ClusterListener* listener_ = nullptr;
  ChannelListener* channels_ = nullptr;
  MonotonicTime copy_seen_ =
      MonotonicTime::never();  // a peer speaks with another life of this broker
  std::map<std::pair<NodeId, peers::RefusalReason>, MonotonicTime>
      told_;  // refusals, not to repeat
  peers::Peers peers_;
};

}  // namespace bascule::controller
