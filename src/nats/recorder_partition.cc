#include "src/nats/recorder_partition.h"

#include "src/nats/answers.h"

namespace bascule::nats {
namespace {
// What a record costs beside its bytes while it waits, and an answer likewise.
constexpr size_t k_answer_overhead_bytes = 64;
}  // namespace

RecorderPartition::RecorderPartition(env::World world, broker::Api& api,
                                     const RecorderOptions& options, StreamId stream,
                                     std::string stream_name, PartitionIndex index,
                                     RecorderShared& shared, PartitionSink& sink)
    : world_(world),
      api_(api),
      options_(options),
      stream_(stream),
      stream_name_(std::move(stream_name)),
      index_(index),
      shared_(shared),
      sink_(sink) {}

RecorderPartition::~RecorderPartition() {
  world_.loop.cancel(resume_timer_);
  world_.loop.cancel(retry_timer_);
}

void RecorderPartition::abandon() {
  if (!gathering_.empty()) seal();
  const Result<broker::PublishAck> gone = fail(Errc::outcome_unknown, "the stream was removed");
  while (!batches_.empty()) {
    shared_.stats.unknown += batches_.front().count;
    answer_all(batches_.front(), gone);
    drop_front();
  }
  let_go();
}

bool RecorderPartition::over(size_t times) const {
  return held_bytes_ >= options_.partition_bytes_max * times ||
         shared_.bytes >= options_.total_bytes_max * times;
}

RecorderPartition::Admission RecorderPartition::admit(ConnectionId publisher, size_t bytes) {
  if (!over(1)) {
    full_ = false;
    return Admission::taken;
  }
  const MonotonicTime now = world_.loop.now();
  if (!full_) {
    full_ = true;
    full_since_ = now;
    resume_timer_ = world_.loop.schedule(now + options_.pause_max, scope_.wrap([this] {
      resume_timer_ = {};
      let_go();
    }));
  }
  if (!publisher || now - full_since_ >= options_.pause_max ||
      held_bytes_ + bytes > options_.partition_bytes_max * 2 ||
      shared_.bytes + bytes > options_.total_bytes_max * 2)
    return Admission::dropped;
  ++shared_.stats.pauses;
  paused_.push_back(publisher);
  return Admission::taken_pause;
}

RecorderPartition::Admission RecorderPartition::add(const model::RecordView& record,
                                                    std::string_view answer_to,
                                                    ConnectionId publisher) {
  const size_t record_bytes = model::record_bytes(record, record.timestamp);
  const size_t bytes =
      record_bytes + (answer_to.empty() ? 0 : k_answer_overhead_bytes + answer_to.size());
  if (!gathering_.empty() && gathering_.bytes() + record_bytes > options_.batch_bytes_max) seal();
  if (!model::check_record(record)) {
    ++shared_.stats.refused;
    return Admission::too_large;
  }
  const Admission admission = admit(publisher, bytes);
  if (admission == Admission::dropped) {
    ++shared_.stats.dropped;
    return admission;
  }
  if (!gathering_.add(record)) {
    seal();  // the batch has as many records as one may have
    const Status added = gathering_.add(record);
    ASSERT(added.has_value(), record_bytes);
  }
  if (!answer_to.empty())
    gathering_answers_.push_back({gathering_.record_count() - 1, std::string(answer_to)});
  gathering_bytes_ += bytes;
  held_bytes_ += bytes;
  shared_.bytes += bytes;
  if (!in_flight_ && !std::exchange(announced_, true)) sink_.recorder_has_work(*this);
  return admission;
}

void RecorderPartition::seal() {
  Batch batch;
  batch.count = gathering_.record_count();
  batch.bytes = gathering_.finish();
  batch.answers = std::exchange(gathering_answers_, {});
  batch.held_bytes = std::exchange(gathering_bytes_, 0);
  batches_.push_back(std::move(batch));
}

void RecorderPartition::flush() {
  announced_ = false;
  if (in_flight_ || idle()) return;
  if (batches_.empty()) seal();
  batches_.front().retry_until = world_.loop.now() + options_.retry_for;
  send();
}

void RecorderPartition::send() {
  in_flight_ = true;
  broker::Publish request;
  request.stream = stream_;
  request.partition = index_;
  request.acks = model::Acks::all;
  request.deadline = world_.loop.now() + options_.publish_timeout;
  request.batch = batches_.front().bytes.view();
  api_.publish({}, request, scope_.wrap([this](Result<broker::PublishAck> result) {
    finished(std::move(result));
  }));
}

void RecorderPartition::finished(Result<broker::PublishAck> result) {
  Batch& batch = batches_.front();
  if (result) {
    shared_.stats.recorded += batch.count;
  } else {
    const Retry retry = errc_retry(result.error().code);
    const bool definite = retry != Retry::idempotent;
    // Nobody has it: sending it again cannot record it twice.
    if ((retry == Retry::later || retry == Retry::elsewhere) && api_.accepting() &&
        world_.loop.now() < batch.retry_until) {
      world_.trace.probe("nats.recorder.batch_sent_again");
      retry_timer_ = world_.loop.after(options_.retry_pause, scope_.wrap([this] {
        retry_timer_ = {};
        send();
      }));
      return;
    }
    (definite ? shared_.stats.refused : shared_.stats.unknown) += batch.count;
    if (world_.trace.wants(TraceLevel::warning))
      world_.trace.message(TraceLevel::warning, "nats",
                           "stream " + stream_name_ + ", partition " + index_.to_string() + ": " +
                               std::to_string(batch.count) + " messages " +
                               (definite ? "not recorded: " : "perhaps not recorded: ") +
                               result.error().to_string());
  }
  answer_all(batch, result);
  drop_front();
  in_flight_ = false;
  if (full_ && !over(1)) {
    world_.loop.cancel(std::exchange(resume_timer_, {}));
    full_ = false;
    let_go();
  }
  flush();
  if (idle()) sink_.recorder_idle();
}

void RecorderPartition::answer_all(const Batch& batch, const Result<broker::PublishAck>& result) {
  for (const Answer& answer : batch.answers) {
    if (result) {
      ++shared_.stats.answered;
      sink_.recorder_answer(
          answer.subject,
          ack_json(stream_name_, result->base_offset + answer.index, result->duplicate));
    } else {
      ++shared_.stats.errors_answered;
      sink_.recorder_answer(answer.subject, error_json(stream_name_, result.error()));
    }
  }
}

void RecorderPartition::drop_front() {
  held_bytes_ -= batches_.front().held_bytes;
  shared_.bytes -= batches_.front().held_bytes;
  batches_.pop_front();
}

void RecorderPartition::let_go() {
  for (const ConnectionId publisher : std::exchange(paused_, {})) sink_.recorder_resume(publisher);
}

}  // namespace bascule::nats
