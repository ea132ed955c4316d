#include "src/partition/following.h"

#include <algorithm>
#include <utility>

#include "src/model/batch.h"

namespace bascule::partition {
namespace {

constexpr Duration k_ask_again = milliseconds(50);
constexpr Duration k_space_again = seconds(1);
constexpr uint64_t k_unsynced_bytes_max = 16 << 20;

}  // namespace

Following::Following(env::Loop& loop, Tracer& trace, log::Log& log, ReplicationLink& link,
                     FollowingHost& host, PartitionId partition, NodeId leader, Epoch epoch)
    : loop_(loop),
      trace_(trace),
      log_(log),
      link_(link),
      host_(host),
      partition_(partition),
      leader_(leader),
      epoch_(epoch),
      seed_(model::batch_crc_seed(log.id())) {
  ask();
}

Following::~Following() { loop_.cancel(timer_); }

// --- Asking ---------------------------------------------------------------------------------------

void Following::session_began() {
  asking_ = false;
  told_ = {};
  if (!answer_ && !changing_) ask();
}

void Following::ask() {
  if (asking_ || refused_ || changing_ || answer_) return;
  if (unsynced_bytes_ >= k_unsynced_bytes_max) {
    held_ = true;
    return;
  }
  held_ = false;
  asking_ = true;
  told_ = {log_.written_leo(), log_.durable_leo()};
  const bool empty = log_.leo() == log_.log_start();
  link_.fetch(leader_, {.partition = partition_,
                        .epoch = epoch_,
                        .from = log_.leo(),
                        .last_epoch = empty ? Epoch{} : log_.last_epoch(),
                        .hw = host_.hw(),
                        .progress = told_});
}

void Following::ask_later() {
  loop_.cancel(timer_);
  timer_ = loop_.after(k_ask_again, scope_.wrap([this] { ask(); }));
}

void Following::log_progressed() {
  while (!unsynced_.empty() && unsynced_.front().next <= log_.durable_leo()) {
    unsynced_bytes_ -= unsynced_.front().bytes;
    unsynced_.pop_front();
  }
  const ReplicaProgress now{log_.written_leo(), log_.durable_leo()};
  if (now != told_ && !changing_ && !refused_) {
    told_ = now;
    link_.report(leader_, {partition_, epoch_, now});
  }
  move_start();
  if (held_) ask();
}

// --- Answers --------------------------------------------------------------------------------------

void Following::answered(FetchAnswer answer) {
  if (answer.epoch != epoch_ || !asking_ || refused_) return;
  asking_ = false;
  const FollowerLog log{log_.log_start(), log_.leo(), log_.last_epoch(), host_.hw(), log_.epochs()};
  const FollowerStep step = follow(answer, log, host_.standing());
  switch (step.verb) {
    case FollowerVerb::append:
      answer_ = std::move(answer);
      at_slice_ = at_byte_ = 0;
      return append_more();
    case FollowerVerb::cut:
      // All below the leader's start is committed, and is here.
      if (answer.outcome == FetchOutcome::below_start) host_.hw_told(step.at);
      return change(step.verb, step.at);
    case FollowerVerb::begin_anew: return change(step.verb, step.at);
    case FollowerVerb::wait: return ask_later();
    case FollowerVerb::refuse:
      refused_ = true;
      trace_.probe("partition.follow.refused");
      trace_.message(TraceLevel::error, "partition",
                     "partition " + partition_.to_string() + ": the leader, node " +
                         leader_.to_string() + ", lacks what is committed here: told to cut to " +
                         step.at.to_string() + ", below the high watermark " +
                         host_.hw().to_string() + "; nothing was cut");
      return;
  }
}

void Following::change(FollowerVerb verb, Offset at) {
  if (moving_start_) return ask_later();
  changing_ = true;
  auto done = scope_.wrap([this](Status changed) {
    changing_ = false;
    unsynced_.clear();
    unsynced_bytes_ = 0;
    if (!changed) return ask_later();
    ask();
  });
  trace_.probe(verb == FollowerVerb::cut ? "partition.follow.cut" : "partition.follow.anew");
  if (verb == FollowerVerb::cut)
    host_.cut(at, std::move(done));
  else
    host_.begin_anew(at, std::move(done));
}

void Following::append_more() {
  while (answer_ && at_slice_ < answer_->batches.size()) {
    const ByteView rest = answer_->batches[at_slice_].view().subspan(at_byte_);
    if (rest.empty()) {
      ++at_slice_;
      at_byte_ = 0;
      continue;
    }
    const auto header = model::decode_batch_header(rest, seed_);
    if (!header) return append_failed(header.error());
    if (header->total_bytes > rest.size())
      return append_failed({Errc::corrupt, "a batch is cut off"});
    if (header->epoch > epoch_)
      return append_failed({Errc::corrupt, "a batch of a later epoch than the leader's"});
    if (!log_.has_space(header->total_bytes)) {
      if (waits_for_space_) return;
      waits_for_space_ = true;
      log_.make_space(header->total_bytes, scope_.wrap([this](Status space) {
        waits_for_space_ = false;
        if (!space) return append_failed(space.error());
        append_more();
      }));
      return;
    }
    const auto appended = log_.append_sealed(rest.first(header->total_bytes));
    if (!appended) return append_failed(appended.error());
    unsynced_.push_back({appended->next_offset, header->total_bytes});
    unsynced_bytes_ += header->total_bytes;
    at_byte_ += header->total_bytes;
  }
  if (answer_) appended_all();
}

void Following::appended_all() {
  const FetchAnswer answer = *std::exchange(answer_, std::nullopt);
  host_.hw_told(std::min(answer.hw, log_.leo()));
  start_told_ = std::max(start_told_, answer.log_start);
  move_start();
  ask();
}

// As far as this disk can vouch for; the rest follows with its progress.
void Following::move_start() {
  const Offset to = std::min(start_told_, log_.durable_leo());
  if (to <= log_.log_start() || moving_start_ || changing_) return;
  moving_start_ = true;
  log_.set_log_start(to, scope_.wrap([this](const Status& moved) {
    moving_start_ = false;
    if (moved) move_start();
  }));
}

// The leader's bytes were whole on the way, so it is its log, or ours; or our disk is full. What was appended
// of the answer stays.
void Following::append_failed(const Error& why) {
  answer_.reset();
  trace_.probe("partition.follow.append_failed");
  trace_.message(TraceLevel::warning, "partition",
                 "partition " + partition_.to_string() + ": following node " + leader_.to_string() +
                     ": " + why.to_string());
  loop_.cancel(timer_);
  timer_ = loop_.after(k_space_again, scope_.wrap([this] { ask(); }));
}

}  // namespace bascule::partition
