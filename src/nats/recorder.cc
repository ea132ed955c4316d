#include "src/nats/recorder.h"

#include <algorithm>

#include "src/model/subject.h"
#include "src/nats/answers.h"
#include "src/nats/headers.h"

namespace bascule::nats {
namespace {
constexpr size_t k_cache_slots = 4096;
}  // namespace

Recorder::Recorder(env::World world, broker::Api& api, RecorderOptions options)
    : world_(world), api_(api), options_(options), cache_(k_cache_slots) {
  api_.observe_streams(*this);
}

Recorder::~Recorder() { api_.forget_observer(*this); }

void Recorder::attach(Host& host) {
  REQUIRE(host_ == nullptr);
  host_ = &host;
}

void Recorder::detach() { host_ = nullptr; }

// --- The streams ----------------------------------------------------------------------------------

void Recorder::stream_changed(const broker::StreamRoute& route) {
  ++generation_;
  const auto found = streams_.find(route.id);
  if (found != streams_.end()) {
    for (const std::string& subject : found->second.config.subjects)
      filters_.remove(subject, route.id);
  }
  Stream& stream = found != streams_.end() ? found->second : streams_[route.id];
  stream.id = route.id;
  stream.config = route.config;
  stream.answers = model::answers_publishers(route.config);
  // The number of partitions only rises; those that are there go on.
  if (stream.partitions.size() < route.config.partitions)
    stream.partitions.resize(route.config.partitions);
  for (const std::string& subject : route.config.subjects) filters_.insert(subject, route.id);
}

void Recorder::stream_removed(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  ++generation_;
  for (const std::string& subject : found->second.config.subjects) filters_.remove(subject, id);
  for (const auto& partition : found->second.partitions) {
    if (!partition) continue;
    std::erase(with_work_, partition.get());
    partition->abandon();
  }
  streams_.erase(found);
  recorder_idle();
}

void Recorder::find_targets(std::string_view subject, Targets& out) {
  out.clear();
  filters_.match(subject, [&](StreamId id) {
    Stream& stream = streams_.at(id);
    const auto same = [&](const Target& target) { return target.stream == &stream; };
    if (std::ranges::any_of(out, same)) return;  // by another of its filters
    const auto records = [&](const std::string& filter) {
      return model::records_subject(filter, subject);
    };
    if (std::ranges::none_of(stream.config.subjects, records)) return;
    out.push_back(
        {&stream, PartitionIndex(model::partition_of_key(subject, stream.config.partitions))});
  });
}

const Recorder::Targets& Recorder::routes_of(std::string_view subject) {
  return cache_.get(subject, generation_, [&](Targets& out) { find_targets(subject, out); });
}

RecorderPartition& Recorder::partition_of(const Target& target) {
  auto& slot = target.stream->partitions[target.partition.value];
  if (!slot)
    slot = std::make_unique<RecorderPartition>(world_, api_, options_, target.stream->id,
                                               target.stream->config.name, target.partition,
                                               shared_, static_cast<PartitionSink&>(*this));
  return *slot;
}

// --- Messages -------------------------------------------------------------------------------------

Recorder::Verdict Recorder::record(const Message& message, ConnectionId publisher) {
  Verdict verdict;
  const Targets& targets = routes_of(message.subject);
  if (targets.empty()) return verdict;
  record_.timestamp = world_.loop.wall();
  record_.subject = message.subject;
  record_.reply = message.reply;
  record_.value = as_text(message.payload);
  parse_headers(message.headers, record_.headers);
  for (const Target& target : targets) record_in(target, message, publisher, verdict);
  return verdict;
}

std::optional<std::string> Recorder::refusal(const Stream& stream, const Message& message,
                                             bool answers) const {
  if (stream.config.message_bytes_max != 0 &&
      message.payload.size() > stream.config.message_bytes_max)
    return error_json(stream.config.name,
                      Error{Errc::too_large, "over the stream's message_bytes_max"});
  // Only a publisher that is answered was promised something by these headers.
  if (answers) return unmet_condition_json(stream.config.name, record_.headers);
  return std::nullopt;
}

void Recorder::record_in(const Target& target, const Message& message, ConnectionId publisher,
                         Verdict& verdict) {
  const Stream& stream = *target.stream;
  const bool answers = stream.answers && model::valid_subject(message.reply);
  std::optional<std::string> error = refusal(stream, message, answers);
  if (error) {
    ++shared_.stats.refused;
  } else {
    switch (partition_of(target).add(record_, answers ? message.reply : std::string_view{},
                                     publisher)) {
      case RecorderPartition::Admission::taken: break;
      case RecorderPartition::Admission::taken_pause: verdict.pause = true; break;
      case RecorderPartition::Admission::dropped:
        error =
            error_json(stream.config.name, Error{Errc::overloaded, "the partition stands still"});
        break;
      case RecorderPartition::Admission::too_large:
        error = error_json(stream.config.name, Error{Errc::too_large, "over a limit of records"});
        break;
    }
  }
  if (!answers) return;
  verdict.answered = true;
  if (error) {
    ++shared_.stats.errors_answered;
    recorder_answer(std::string(message.reply), std::move(*error));
  }
}

// --- Turns ----------------------------------------------------------------------------------------

void Recorder::recorder_has_work(RecorderPartition& partition) {
  with_work_.push_back(&partition);
  wake_at_turn_end();
}

void Recorder::recorder_answer(std::string subject, std::string payload) {
  answers_.push_back({std::move(subject), std::move(payload)});
  wake_at_turn_end();
}

void Recorder::recorder_resume(ConnectionId publisher) {
  if (host_ != nullptr) host_->resume(publisher);
}

void Recorder::wake_at_turn_end() {
  if (std::exchange(wake_pending_, true)) return;
  world_.loop.at_turn_end(scope_.wrap([this] { turn_end(); }));
}

void Recorder::turn_end() {
  wake_pending_ = false;
  for (RecorderPartition* partition : std::exchange(with_work_, {})) partition->flush();
  for (const Answer& answer : std::exchange(answers_, {})) {
    if (host_ != nullptr) host_->answer(answer.subject, answer.payload);
  }
  recorder_idle();
}

bool Recorder::idle() const {
  if (!with_work_.empty() || !answers_.empty()) return false;
  for (const auto& [id, stream] : streams_) {
    for (const auto& partition : stream.partitions) {
      if (partition && !partition->idle()) return false;
    }
  }
  return true;
}

void Recorder::recorder_idle() {
  if (!drain_ || !idle()) return;
  world_.loop.post([done = std::exchange(drain_, nullptr)]() mutable { done({}); });
}

void Recorder::drain(env::Done<void> done) {
  REQUIRE(!drain_);
  drain_ = std::move(done);
  recorder_idle();
}

RecorderStats Recorder::stats() const {
  RecorderStats out = shared_.stats;
  out.bytes_held = shared_.bytes;
  return out;
}

}  // namespace bascule::nats
