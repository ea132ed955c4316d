// Replication between this broker and all others: one session for each pair of brokers and direction, over
// the peers' replication channel, which carries all partitions. What partitions say in one turn leaves as one
// message; what they want of the controller as one command.
//
//   Partition ── ReplicationLink ──▶ Replication ──▶ Peers (notices)     ──▶ the other broker's Replication
//                                        └────────▶ Controller (commands)
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "src/controller/cluster_peers.h"
#include "src/controller/controller.h"
#include "src/env/world.h"
#include "src/partition/replication_codec.h"

namespace bascule::broker {

class Replicas;

// Kinds of notices between brokers. Numbers travel and are never reused; 100 to 199 are replication's.
enum class ReplicationKind : uint16_t { fetch = 100, answer = 101 };

class Replication final : public partition::ReplicationLink, private controller::ChannelListener {
 public:
  // All outlive it.
  Replication(env::World& world, controller::Controller& controller,
              controller::ClusterPeers& peers, const partition::ReplicationCodec& codec);
  ~Replication() override;

  // What comes from now on goes to these; the registration has been applied.
  void start(Replicas& replicas, Duration review_interval);
  void stop();

  // ReplicationLink
  void fetch(NodeId leader, const partition::FetchFrom& fetch) override;
  void report(NodeId leader, const partition::ProgressReport& progress) override;
  void answer(const partition::FollowerSession& to, partition::FetchAnswer answer) override;
  void propose_isr(PartitionId partition, Version version,
                   std::vector<partition::ReplicaLife> isr) override;
  void clear_suspects(PartitionId partition, Version version,
                      std::vector<partition::ReplicaLife> replicas) override;
  void report_end(PartitionId partition, Epoch leaderless, Epoch last_epoch, Offset leo) override;

 private:
  // As a follower of one broker.
  struct Asking {
    uint64_t session = partition::k_no_session + 1;
    partition::FetchMessage message;  // of this turn
    bool flushing = false;
    bool blocked = false;  // the channel's queue is full
  };
  // As a leader: answers that wait for the channel's queue.
  struct Held {
    uint64_t session = 0;
    partition::FetchAnswer answer;
  };

  // controller::ChannelListener
  void opened(NodeId node, peers::Channel channel) override;
  void writable(NodeId node, peers::Channel channel) override;

  void begin_session(NodeId node);
  void send_held(NodeId node);
  void flush_later(NodeId leader, Asking& asking);
  void flush(NodeId leader);
  bool send(NodeId to, uint64_t session, const partition::FetchAnswer& answer);
  void on_fetch(const peers::Identity& from, const peers::Notice& notice);
  void on_answer(const peers::Identity& from, const peers::Notice& notice);
  void review();
  void propose();
  void told(const peers::Identity& from, const Error& why);

  env::World& world_;
  controller::Controller& controller_;
  controller::ClusterPeers& peers_;
  const partition::ReplicationCodec& codec_;
  Replicas* replicas_ = nullptr;  // while started
  Duration review_interval_;
  std::map<NodeId, Asking> asking_;
  std::map<NodeId, std::deque<Held>> held_;
  std::vector<controller::ChangeIsrItem> changes_;  // to be proposed
  std::vector<controller::ClearSuspectItem> clears_;
  bool proposing_ = false;  // a proposal is due, or under way
  env::TimerId timer_;
  env::Scope scope_;
};

}  // namespace bascule::broker
