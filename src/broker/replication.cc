#include "src/broker/replication.h"

#include <string>
#include <utility>

#include "src/base/assert.h"
#include "src/broker/replicas.h"

namespace bascule::broker {
namespace {

constexpr auto k_channel = peers::Channel::replication;

}  // namespace

Replication::Replication(env::World& world, controller::Controller& controller,
                         controller::ClusterPeers& peers, const partition::ReplicationCodec& codec)
    : world_(world), controller_(controller), peers_(peers), codec_(codec) {}

Replication::~Replication() { stop(); }

void Replication::start(Replicas& replicas, Duration review_interval) {
  replicas_ = &replicas;
  review_interval_ = review_interval;
  peers_.listen_to_channels(this);
  peers_.peers().handle_notices(
      static_cast<uint16_t>(ReplicationKind::fetch),
      scope_.wrap([this](const peers::Identity& from, const peers::Notice& notice) {
        on_fetch(from, notice);
      }));
  peers_.peers().handle_notices(
      static_cast<uint16_t>(ReplicationKind::answer),
      scope_.wrap([this](const peers::Identity& from, const peers::Notice& notice) {
        on_answer(from, notice);
      }));
  review();
}

void Replication::stop() {
  if (replicas_ == nullptr) return;
  replicas_ = nullptr;
  peers_.listen_to_channels(nullptr);
  world_.loop.cancel(timer_);
}

void Replication::review() {
  timer_ = world_.loop.after(review_interval_, scope_.wrap([this] { review(); }));
  std::optional<PartitionId> at;
  while (partition::Partition* p = replicas_->next_open(at)) {
    at = p->id();
    p->review();
  }
}

// --- Sessions -------------------------------------------------------------------------------------

// A channel that is there, or there again: what was on its way is lost, and both sides begin anew. The two
// sides need not see it at the same time, and what was answered on the old one is lost too: so the leader's
// side says that it has the new one.
void Replication::opened(NodeId node, peers::Channel channel) {
  if (channel != k_channel) return;
  send_held(node);  // what is of an earlier session is not heard
  (void)peers_.peers().notify(node, k_channel,
                              {static_cast<uint16_t>(ReplicationKind::answer),
                               Slice::copy_of(codec_.encode(partition::AnswerMessage{})),
                               {}});
  begin_session(node);
}

void Replication::begin_session(NodeId node) {
  Asking& asking = asking_[node];
  ++asking.session;
  asking.message = {};
  asking.blocked = false;
  std::optional<PartitionId> at;
  while (partition::Partition* p = replicas_->next_open(at)) {
    at = p->id();
    p->session_began(node);
  }
}

void Replication::writable(NodeId node, peers::Channel channel) {
  if (channel != k_channel) return;
  if (const auto at = asking_.find(node); at != asking_.end() && at->second.blocked) {
    at->second.blocked = false;
    flush_later(node, at->second);
  }
  send_held(node);
}

void Replication::send_held(NodeId node) {
  const auto held = held_.find(node);
  if (held == held_.end()) return;
  while (!held->second.empty()) {
    if (!send(node, held->second.front().session, held->second.front().answer)) return;
    held->second.pop_front();
  }
  held_.erase(held);
}

// --- As a follower --------------------------------------------------------------------------------

void Replication::fetch(NodeId leader, const partition::FetchFrom& fetch) {
  Asking& asking = asking_[leader];
  asking.message.fetches.push_back(fetch);
  flush_later(leader, asking);
}

void Replication::report(NodeId leader, const partition::ProgressReport& progress) {
  Asking& asking = asking_[leader];
  asking.message.progress.push_back(progress);
  flush_later(leader, asking);
}

void Replication::flush_later(NodeId leader, Asking& asking) {
  if (asking.blocked || std::exchange(asking.flushing, true)) return;
  world_.loop.at_turn_end(scope_.wrap([this, leader] { flush(leader); }));
}

void Replication::flush(NodeId leader) {
  Asking& asking = asking_[leader];
  asking.flushing = false;
  partition::FetchMessage& message = asking.message;
  if (message.fetches.empty() && message.progress.empty()) return;
  message.session = asking.session;
  const Status sent = peers_.peers().notify(
      leader, k_channel,
      {static_cast<uint16_t>(ReplicationKind::fetch), Slice::copy_of(codec_.encode(message)), {}});
  if (!sent && sent.error().code == Errc::overloaded) {
    asking.blocked = true;
    return;
  }
  // Not connected: all is asked again when the session begins.
  message = {};
}

void Replication::on_answer(const peers::Identity& from, const peers::Notice& notice) {
  if (replicas_ == nullptr) return;
  auto message = codec_.decode_answer(notice.body.view(), notice.attachments);
  if (!message) return told(from, message.error());
  if (message->session == partition::k_no_session) return begin_session(from.node);
  const auto asking = asking_.find(from.node);
  if (asking == asking_.end() || asking->second.session != message->session) return;
  for (partition::FetchAnswer& answer : message->answers) {
    if (partition::Partition* p = replicas_->find_open(answer.partition))
      p->answered(from.node, std::move(answer));
  }
}

// --- As a leader ----------------------------------------------------------------------------------

void Replication::on_fetch(const peers::Identity& from, const peers::Notice& notice) {
  if (replicas_ == nullptr) return;
  auto message = codec_.decode_fetch(notice.body.view());
  if (!message) return told(from, message.error());
  const partition::FollowerSession session{{from.node, from.incarnation}, message->session};
  for (const partition::FetchFrom& fetch : message->fetches) {
    if (partition::Partition* p = replicas_->find_open(fetch.partition)) {
      p->fetched(session, fetch);
    } else {
      partition::FetchAnswer later;
      later.partition = fetch.partition;
      later.epoch = fetch.epoch;
      answer(session, std::move(later));
    }
  }
  for (const partition::ProgressReport& report : message->progress) {
    if (partition::Partition* p = replicas_->find_open(report.partition))
      p->progressed(session, report);
  }
}

void Replication::answer(const partition::FollowerSession& to, partition::FetchAnswer answer) {
  const NodeId node = to.follower.node;
  const auto held = held_.find(node);
  if (held == held_.end() && send(node, to.number, answer)) return;
  held_[node].push_back({to.number, std::move(answer)});
}

// False: the channel's queue is full; `writable` follows.
bool Replication::send(NodeId to, uint64_t session, const partition::FetchAnswer& answer) {
  const Status sent = peers_.peers().notify(
      to, k_channel,
      {static_cast<uint16_t>(ReplicationKind::answer),
       Slice::copy_of(codec_.encode(partition::AnswerMessage{session, {answer}})), answer.batches});
  return sent || sent.error().code != Errc::overloaded;
}

void Replication::told(const peers::Identity& from, const Error& why) {
  world_.trace.probe("broker.replication.bad_message");
  world_.trace.message(TraceLevel::error, "replication",
                       "from " + from.to_string() + ": " + why.to_string());
}

// --- To the controller ----------------------------------------------------------------------------

void Replication::propose_isr(PartitionId partition, Version version,
                              std::vector<partition::ReplicaLife> isr) {
  controller::ChangeIsrItem& item = changes_.emplace_back(partition, version);
  for (const partition::ReplicaLife& life : isr) item.isr.push_back({life.node, life.incarnation});
  propose();
}

void Replication::clear_suspects(PartitionId partition, Version version,
                                 std::vector<partition::ReplicaLife> replicas) {
  for (const partition::ReplicaLife& life : replicas)
    clears_.push_back({partition, version, life.node, life.incarnation});
  propose();
}

// One command of each kind at a time: what comes meanwhile gathers. What is lost is proposed again by the
// partitions' reviews.
void Replication::propose() {
  if (std::exchange(proposing_, true)) return;
  world_.loop.post(scope_.wrap([this] {
    const NodeId self = controller_.identity().node;
    const Incarnation life = controller_.incarnation();
    controller::Command command;
    if (!clears_.empty())
      command = controller::ClearSuspect{self, life, std::exchange(clears_, {})};
    else
      command = controller::ChangeIsr{self, life, std::exchange(changes_, {})};
    controller_.propose(std::move(command),
                        scope_.wrap([this](const Result<controller::Outcome>& outcome) {
                          if (!outcome) world_.trace.probe("broker.replication.proposal_failed");
                          proposing_ = false;
                          if (!changes_.empty() || !clears_.empty()) propose();
                        }));
  }));
}

void Replication::report_end(PartitionId partition, Epoch leaderless, Epoch last_epoch,
                             Offset leo) {
  controller_.propose(
      controller::ReportReplica{controller_.identity().node, controller_.incarnation(), partition,
                                leaderless, last_epoch, leo},
      scope_.wrap([](const Result<controller::Outcome>&) {}));
}

}  // namespace bascule::broker
