#include "sim/worlds/broker_clients.h"

#include <algorithm>
#include <string>
#include <utility>

#include "src/base/assert.h"

namespace bascule::sim {
namespace {

std::string slot_name(const PlanItem& item) { return "s" + std::to_string(item.get("slot")); }

MonotonicTime deadline_of(const PlanItem& item, env::Loop& loop) {
  const int64_t deadline = item.get("deadline");
  return deadline == 0 ? MonotonicTime::never() : loop.now() + microseconds(deadline);
}

}  // namespace

void BrokerClients::play(const PlanItem& item) {
  if (item.verb == "create") create(item);
  if (item.verb == "delete") remove(item);
  if (item.verb == "publish") publish(item);
  if (item.verb == "subscribe") subscribe(item);
  broker_.check_invariants();
}

// --- Streams --------------------------------------------------------------------------------------

void BrokerClients::create(const PlanItem& item) {
  model::StreamConfig config;
  config.name = slot_name(item);
  config.subjects = {"t.>"};
  config.answers = model::AnswerMode::off;
  config.partitions = static_cast<uint32_t>(item.get("partitions", 1));
  config.durability =
      item.get("memory") != 0 ? model::DurabilityMode::memory : model::DurabilityMode::fsync;
  config.retain_messages = static_cast<uint64_t>(item.get("retain"));
  config.segment_bytes = static_cast<uint64_t>(item.get("segment"));
  broker_.create_stream(
      who_, {.config = config, .deadline = deadline_of(item, world_.loop)},
      scope_.wrap([this](const Result<broker::StreamStatus>& status) {
        if (status) {
          story_.sim.tell("client",
                          "stream " + status->id.to_string() + " is " + status->config.name);
          story_.created(*status);
          story_.sim.count("answer.created");
          return;
        }
        story_.sim.count("answer.create." + std::string(errc_name(status.error().code)));
      }));
}

void BrokerClients::remove(const PlanItem& item) {
  const std::optional<StreamId> id = story_.named(slot_name(item));
  if (!id) return;
  story_.streams.at(*id).delete_tried = true;
  broker_.delete_stream(who_, *id, scope_.wrap([this, id = *id](const Status& deleted) {
    if (!deleted && deleted.error().code != Errc::unknown_stream) return;
    story_.sim.count("answer.deleted");
    story_.deleted(id);
  }));
}

std::optional<PartitionId> BrokerClients::partition_of(const PlanItem& item) const {
  const std::optional<StreamId> id = story_.named(slot_name(item));
  if (!id) return std::nullopt;
  const uint32_t partitions = story_.stream(*id)->config.partitions;
  return PartitionId{*id,
                     PartitionIndex(static_cast<uint32_t>(item.get("partition")) % partitions)};
}

// --- Publish --------------------------------------------------------------------------------------

void BrokerClients::publish(const PlanItem& item) {
  const std::optional<PartitionId> partition = partition_of(item);
  if (!partition) return create(item);
  publish_batch(*partition, static_cast<uint64_t>(item.get("producer", 1)),
                static_cast<uint32_t>(item.get("count", 1)),
                static_cast<uint32_t>(item.get("bytes", 100)),
                static_cast<model::Acks>(item.get("acks", 2)), deadline_of(item, world_.loop), {});
}

void BrokerClients::publish_batch(PartitionId partition, uint64_t producer, uint32_t count,
                                  uint32_t bytes, model::Acks acks, MonotonicTime deadline,
                                  std::function<void(const SentBatch&)> answered) {
  const auto compression = static_cast<model::Compression>(producer % 3);
  const size_t index = story_.history.send(producer, count, bytes, partition, acks, compression);
  const BufferRef batch = story_.history.encode(index);
  broker_.publish(who_,
                  {.stream = partition.stream,
                   .partition = partition.index,
                   .epoch = {},
                   .acks = acks,
                   .deadline = deadline,
                   .batch = batch.view()},
                  scope_.wrap([this, index, answered = std::move(answered)](
                                  const Result<broker::PublishAck>& answer) {
                    on_answer(index, answer);
                    if (answered) answered(story_.history.batch(index));
                  }));
}

void BrokerClients::on_answer(size_t index, const Result<broker::PublishAck>& answer) {
  story_.answered(index, answer);
  if (!answer) return;
  const SentBatch& batch = story_.history.batch(index);
  // The plan may have damaged what was durable before this instant.
  story_.look_at_damage();
  const KnownStream* known = story_.stream(batch.partition.stream);
  if (known == nullptr || known->delete_tried || story_.damaged(batch.partition)) return;
  // A failed sync may have thrown the pages out before the process hears of it.
  if (known->config.durability == model::DurabilityMode::memory && story_.cache_dropped) return;
  story_.durable.acked(index, known->config.durability, {&story_.node.device().storage()}, 1);
}

// --- Subscribe ------------------------------------------------------------------------------------

void BrokerClients::subscribe(const PlanItem& item) {
  const std::optional<PartitionId> partition = partition_of(item);
  if (!partition) return;
  broker::Subscribe request{.stream = partition->stream,
                            .partition = partition->index,
                            .from = broker::FromEarliest{},
                            .until = broker::UntilNever{},
                            .filter = {},
                            .credit_bytes = static_cast<uint64_t>(item.get("credit", 1 << 16)),
                            .deadline = deadline_of(item, world_.loop)};
  const auto value = static_cast<uint64_t>(item.get("value"));
  const Offset seen = story_.consumers.seen_end(*partition);
  switch (item.get("from")) {
    case 0: break;
    case 1: request.from = broker::FromLatest{}; break;
    case 2: request.from = broker::FromNew{}; break;
    case 3: request.from = broker::FromOffset{seen, {}}; break;
    case 4: request.from = broker::FromOffset{Offset(value), {}}; break;
    case 5: request.from = broker::FromLast{value}; break;
    case 6: request.from = broker::FromAgo{microseconds(static_cast<int64_t>(value))}; break;
    default: break;
  }
  switch (item.get("until")) {
    case 1: request.until = broker::UntilLatest{}; break;
    case 2: request.until = broker::UntilOffset{Offset(value + 5)}; break;
    case 3: request.until = broker::UntilTime{world_.loop.wall() + milliseconds(5)}; break;
    default: break;
  }
  switch (item.get("filter")) {
    case 1: request.filter = "t.1.>"; break;
    case 2: request.filter = "t.*.p2"; break;
    case 3: request.filter = "none"; break;
    default: break;
  }
  std::erase_if(readers_, [](const auto& reader) { return reader->ended(); });
  auto reader = std::make_unique<OracleReader>(story_, *partition);
  reader->set_grant_delay(world_.loop, microseconds(item.get("grant")));
  readers_.push_back(std::move(reader));
  readers_.back()->begin(broker_, std::move(request));
}

// --- Everything -----------------------------------------------------------------------------------

void BrokerClients::check_everything(std::function<void()> done) {
  auto left = std::make_shared<size_t>(1);
  auto all = std::make_shared<std::function<void()>>(std::move(done));
  for (const auto& [id, known] : story_.streams) {
    for (uint32_t p = 0; p < known.config.partitions; ++p) {
      ++*left;
      check_partition({id, PartitionIndex(p)}, left, all);
    }
  }
  world_.loop.post(scope_.wrap([left, all] {
    if (--*left == 0) (*all)();
  }));
}

void BrokerClients::check_partition(PartitionId partition, std::shared_ptr<size_t> left,
                                    std::shared_ptr<std::function<void()>> done) {
  whole_reads_.push_back(std::make_unique<WholeRead>());
  WholeRead& read = *whole_reads_.back();
  auto reader = std::make_unique<OracleReader>(story_, partition);
  reader->keep(read);
  reader->set_grant_delay(world_.loop, Duration{});
  const size_t count = story_.acks.count(partition);
  reader->on_end([this, partition, &read, count, left,
                  done](const Result<broker::SubscriptionEnd>& end) {
    const KnownStream* known = story_.stream(partition.stream);
    const bool must = known != nullptr && !known->delete_tried && !story_.damaged(partition);
    if (story_.sim.narrating()) {
      story_.sim.tell("client", "whole read of " + partition.to_string() + ": [" +
                                    read.log_start.to_string() + ", " + read.end.to_string() +
                                    ") " + (end ? end->error.context : end.error().to_string()));
    }
    if (end && end->complete) {
      if (must) story_.acks.check(partition, read, count);
    } else {
      const Error& error = end ? end->error : end.error();
      const bool excused = !must || error.code == Errc::stopping ||
                           (error.code == Errc::no_space && story_.disk_was_full) ||
                           (error.code == Errc::io_error && story_.reads_failed) ||
                           (error.code == Errc::corrupt && story_.reads_failed);
      if (!excused)
        story_.verdict.fire(
            "O10", "a whole read of " + partition.to_string() + " ended with " + error.to_string());
    }
    if (--*left == 0) (*done)();
  });
  readers_.push_back(std::move(reader));
  readers_.back()->begin(broker_, {.stream = partition.stream,
                                   .partition = partition.index,
                                   .from = broker::FromEarliest{},
                                   .until = broker::UntilLatest{},
                                   .filter = {},
                                   .credit_bytes = 1 << 20,
                                   .deadline = MonotonicTime::never()});
}

void BrokerClients::prove_alive(std::function<void()> done) {
  auto left = std::make_shared<size_t>(1);
  auto all = std::make_shared<std::function<void()>>(std::move(done));
  for (const auto& [id, known] : story_.streams) {
    if (known.delete_tried) continue;
    for (uint32_t p = 0; p < known.config.partitions; ++p) {
      const PartitionId partition{id, PartitionIndex(p)};
      if (story_.damaged(partition)) continue;
      ++*left;
      publish_batch(partition, 100, 1, 50, model::Acks::all, world_.loop.now() + seconds(10),
                    [this, partition, left, all](const SentBatch& batch) {
                      if (batch.answer != Answer::acked)
                        story_.verdict.fire("O17", "a healed broker does not take a publish to " +
                                                       partition.to_string() + ": " +
                                                       std::string(errc_name(batch.error)));
                      if (--*left == 0) (*all)();
                    });
    }
  }
  world_.loop.post(scope_.wrap([left, all] {
    if (--*left == 0) (*all)();
  }));
}

}  // namespace bascule::sim
