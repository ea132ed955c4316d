#include "sim/worlds/cluster/cluster_clients.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "sim/world/life.h"

namespace bascule::sim {
namespace {

constexpr Duration k_hop = microseconds(200);
constexpr Duration k_try_again = milliseconds(20);
constexpr int k_tries = 5;

std::string slot_name(const PlanItem& item) { return "s" + std::to_string(item.get("slot")); }

MonotonicTime after(env::Loop& loop, Duration deadline) {
  return deadline.ns == 0 ? MonotonicTime::never() : loop.now() + deadline;
}

// The broker has said that it does not have it, and another try may find who has.
bool worth_another_try(Errc code) {
  return code == Errc::not_leader || code == Errc::not_yet || code == Errc::stopping ||
         code == Errc::fenced || code == Errc::not_enough_replicas;
}

}  // namespace

// Runs `call` in a turn of the seat's process, as a request from a connection would; nothing, where nobody
// serves there.
template <class F>
bool ClusterClients::ask(Seat& seat, F call) {
  if (seat.broker() == nullptr) return false;
  ClusterProgram* program = seat.program();
  seat.node.life().arrive(program->heard([program, call = std::move(call)]() mutable {
    if (program->serves()) call(*program);
  }));
  return true;
}

Seat* ClusterClients::entry(const PlanItem& item) {
  const auto n = static_cast<int64_t>(story_.seats.size());
  return story_.seats[static_cast<size_t>(std::clamp<int64_t>(item.get("node", 1), 1, n) - 1)]
      .get();
}

Seat* ClusterClients::any_broker(const std::function<bool(NodeId)>& may) {
  const size_t n = story_.seats.size();
  for (size_t i = 0; i < n; ++i) {
    Seat& s = *story_.seats[(turn_ + i) % n];
    if (s.broker() == nullptr || (may && !may(s.id()))) continue;
    turn_ += i + 1;
    return &s;
  }
  return nullptr;
}

void ClusterClients::play(const PlanItem& item) {
  story_.look_at_damage();
  story_.sim.count("op." + item.verb);
  if (item.verb == "create") create_slot(item, k_tries);
  if (item.verb == "delete") remove(item);
  if (item.verb == "publish") publish(item, k_tries);
  if (item.verb == "subscribe") subscribe(item);
  if (item.verb == "inspect") read_metadata(*entry(item), [](bool) {});
}

// --- Streams ---------------------------------------------------------------------------------------

model::StreamConfig ClusterClients::config_of(std::string name, uint32_t partitions) {
  model::StreamConfig config;
  config.name = std::move(name);
  config.subjects = {"t.>"};
  config.answers = model::AnswerMode::off;
  config.partitions = partitions;
  return config;
}

void ClusterClients::create_slot(const PlanItem& item, int tries) {
  if (const auto id = story_.named(slot_name(item)); id && !story_.stream(*id)->delete_tried)
    return;
  model::StreamConfig config =
      config_of(slot_name(item), static_cast<uint32_t>(item.get("partitions", 1)));
  config.durability =
      item.get("memory") != 0 ? model::DurabilityMode::memory : model::DurabilityMode::fsync;
  config.replicas = static_cast<uint32_t>(item.get("replicas", 1));
  config.min_isr = static_cast<uint32_t>(item.get("min_isr", 1));
  config.retain_messages = static_cast<uint64_t>(item.get("retain"));
  config.segment_bytes = static_cast<uint64_t>(item.get("segment"));
  Seat* through = entry(item);
  if (through->broker() == nullptr) through = any_broker();
  const auto again = [this, &item, tries] {
    if (tries > 0)
      (void)story_.sim.after(k_try_again, [this, &item, tries] { create_slot(item, tries - 1); });
  };
  if (through == nullptr) return again();
  create(*through, std::move(config), [again](bool well) {
    if (!well) again();
  });
}

void ClusterClients::create(Seat& through, model::StreamConfig config, Told told) {
  const uint64_t mark = ++marks_;
  mark_creation(config, mark);
  const SimTime asked = story_.sim.now();
  ask(through, [this, &through, config = std::move(config), mark, asked,
                told = std::move(told)](ClusterProgram& program) {
    story_.linearizability.proposed(mark);
    program.broker()->create_stream(
        {}, {.config = config},
        program.heard([this, &through, &program, name = config.name, mark, asked,
                       told](const Result<broker::StreamStatus>& status) {
          story_.look(through);
          if (!status) {
            story_.sim.count("answer.create." + std::string(errc_name(status.error().code)));
            story_.sim.tell("client", "create " + name + ": " + status.error().to_string());
            // What else refuses it may be the table's word, and then it is in the log.
            if (status.error().code == Errc::not_leader) {
              story_.linearizability.refused(mark);
            } else {
              story_.linearizability.unknown(mark);
            }
            if (status.error().code == Errc::stream_exists) learn(program, name);
            told(false);
            return;
          }
          story_.sim.count("answer.created");
          if (!gone_.contains(status->id)) story_.learned(*status, asked);
          const controller::StreamEntry* entry = through.controller->table().stream(status->id);
          if (entry != nullptr)
            story_.linearizability.acknowledged(
                mark, entry->partitions.front().replicas.front().assigned);
          told(true);
        }));
  });
}

// Somebody else has made a stream of that name, or a creation whose answer did not come.
void ClusterClients::learn(ClusterProgram& program, std::string name) {
  program.broker()->describe_stream(
      {}, {.id = {}, .name = std::move(name)}, {.max_age = Duration::max()},
      program.heard([this](const Result<broker::DescribedStream>& found) {
        if (found && !gone_.contains(found->stream.id)) story_.learned(found->stream, SimTime());
      }));
}

void ClusterClients::remove(const PlanItem& item) {
  const std::optional<StreamId> id = story_.named(slot_name(item));
  Seat* through = entry(item);
  if (!id || through->broker() == nullptr) return;
  story_.streams.at(*id).delete_tried = true;
  ask(*through, [this, id = *id](ClusterProgram& program) {
    program.broker()->delete_stream({}, id, program.heard([this, id](const Status& deleted) {
      if (!deleted && deleted.error().code != Errc::unknown_stream)
        return story_.sim.count("answer.delete." + std::string(errc_name(deleted.error().code)));
      story_.sim.count("answer.deleted");
      gone_.insert(id);
      story_.deleted(id);
    }));
  });
}

std::optional<PartitionId> ClusterClients::partition_of(const PlanItem& item) const {
  const std::optional<StreamId> id = story_.named(slot_name(item));
  if (!id) return std::nullopt;
  const uint32_t partitions = story_.stream(*id)->config.partitions;
  return PartitionId{*id,
                     PartitionIndex(static_cast<uint32_t>(item.get("partition")) % partitions)};
}

// --- The way to a leader ---------------------------------------------------------------------------

void ClusterClients::at_leader(Seat& through, PartitionId partition,
                               std::function<void(ClusterProgram&)> call,
                               std::function<void()> otherwise) {
  const auto go = [this, call = std::move(call), otherwise](NodeId leader) {
    if (!leader) return otherwise();
    (void)story_.sim.after(k_hop, [this, leader, call, otherwise] {
      if (!ask(story_.seat(leader), [call](ClusterProgram& program) { call(program); }))
        otherwise();
    });
  };
  const bool asked = ask(through, [partition, go](ClusterProgram& program) {
    program.broker()->describe_stream(
        {}, {.id = partition.stream, .name = {}}, {.max_age = Duration::max()},
        program.heard([partition, go](const Result<broker::DescribedStream>& found) {
          go(found ? found->stream.partitions[partition.index.value].leader : NodeId());
        }));
  });
  if (!asked) otherwise();
}

// --- Publish ---------------------------------------------------------------------------------------

void ClusterClients::publish(const PlanItem& item, int tries) {
  const std::optional<PartitionId> partition = partition_of(item);
  if (!partition) return create_slot(item, 0);
  const Batch batch{
      static_cast<uint64_t>(item.get("producer", 1)), static_cast<uint32_t>(item.get("count", 1)),
      static_cast<uint32_t>(item.get("bytes", 100)), static_cast<model::Acks>(item.get("acks", 2)),
      microseconds(item.get("deadline"))};
  const auto again = [this, &item, tries] {
    if (tries > 0)
      (void)story_.sim.after(k_try_again, [this, &item, tries] { publish(item, tries - 1); });
  };
  Seat* through = entry(item);
  if (through->broker() == nullptr) through = any_broker();
  if (through == nullptr) return again();
  at_leader(
      *through, *partition,
      [this, partition = *partition, batch, again](ClusterProgram& program) {
        send(program, partition, batch, [again](const SentBatch& sent) {
          if (sent.answer == Answer::refused && worth_another_try(sent.error)) again();
        });
      },
      again);
}

void ClusterClients::send(ClusterProgram& program, PartitionId partition, const Batch& batch,
                          std::function<void(const SentBatch&)> answered) {
  const auto compression = static_cast<model::Compression>(batch.producer % 3);
  const size_t index = story_.history.send(batch.producer, batch.count, batch.bytes, partition,
                                           batch.acks, compression);
  const BufferRef bytes = story_.history.encode(index);
  program.broker()->publish(
      {},
      {.stream = partition.stream,
       .partition = partition.index,
       .epoch = {},
       .acks = batch.acks,
       .deadline = after(program.world().loop, batch.deadline),
       .batch = bytes.view()},
      program.heard([this, &program, index,
                     answered = std::move(answered)](const Result<broker::PublishAck>& answer) {
        story_.answered(index, answer);
        if (answer) story_.acked(story_.seat(program.node().id()), index, answer->epoch);
        if (answered) answered(story_.history.batch(index));
      }));
}

void ClusterClients::publish_to(PartitionId partition, std::function<bool(NodeId)> may, Told told) {
  Seat* through = any_broker(may);
  if (through == nullptr) return told(false);
  at_leader(
      *through, partition,
      [this, partition, may = std::move(may), told](ClusterProgram& program) {
        if (!may(program.node().id())) return told(false);
        send(program, partition, {.producer = 100, .deadline = seconds(10)},
             [told](const SentBatch& sent) { told(sent.answer == Answer::acked); });
      },
      [told] { told(false); });
}

// --- Subscribe -------------------------------------------------------------------------------------

void ClusterClients::subscribe(const PlanItem& item) {
  const std::optional<PartitionId> partition = partition_of(item);
  if (!partition) return;
  broker::Subscribe request{.stream = partition->stream,
                            .partition = partition->index,
                            .from = broker::FromEarliest{},
                            .until = broker::UntilNever{},
                            .filter = {},
                            .credit_bytes = static_cast<uint64_t>(item.get("credit", 1 << 16)),
                            .deadline = MonotonicTime::never()};
  const auto value = static_cast<uint64_t>(item.get("value"));
  switch (item.get("from")) {
    case 1: request.from = broker::FromLatest{}; break;
    case 2: request.from = broker::FromNew{}; break;
    case 3: request.from = broker::FromOffset{story_.consumers.seen_end(*partition), {}}; break;
    case 4: request.from = broker::FromLast{value}; break;
    default: break;
  }
  if (item.get("until") == 1) request.until = broker::UntilLatest{};
  if (item.get("filter") == 1) request.filter = "t.1.>";
  at_leader(
      *entry(item), *partition,
      [this, partition = *partition, request, &item](ClusterProgram& program) {
        OracleReader& reader = program.add_reader(story_, partition);
        reader.set_grant_delay(program.world().loop, microseconds(item.get("grant")));
        reader.begin(*program.broker(), request);
      },
      [] {});
}

void ClusterClients::read_whole(PartitionId partition, Told told) {
  Seat* through = any_broker();
  if (through == nullptr) return told(false);
  at_leader(
      *through, partition,
      [this, partition, told](ClusterProgram& program) {
        begin_whole_read(program, partition, told);
      },
      [told] { told(false); });
}

void ClusterClients::begin_whole_read(ClusterProgram& program, PartitionId partition,
                                      const Told& told) {
  const auto read = std::make_shared<WholeRead>();
  OracleReader& reader = program.add_reader(story_, partition);
  reader.keep(*read);
  reader.set_grant_delay(program.world().loop, Duration{});
  const size_t count = story_.acks.count(partition);
  reader.on_end([this, partition, read, count, told](const Result<broker::SubscriptionEnd>& end) {
    const KnownStream* known = story_.stream(partition.stream);
    const bool must = known != nullptr && !known->delete_tried && !story_.damaged(partition);
    const bool whole = end && end->complete;
    story_.sim.tell("client", "whole read of " + partition.to_string() + ": [" +
                                  read->log_start.to_string() + ", " + read->end.to_string() +
                                  ") " + (whole ? "" : "ended early"));
    if (whole && must) story_.acks.check(partition, *read, count);
    told(whole);
  });
  reader.begin(*program.broker(), {.stream = partition.stream,
                                   .partition = partition.index,
                                   .from = broker::FromEarliest{},
                                   .until = broker::UntilLatest{},
                                   .filter = {},
                                   .credit_bytes = 1 << 20,
                                   .deadline = MonotonicTime::never()});
}

// --- The metadata ----------------------------------------------------------------------------------

void ClusterClients::read_metadata(Seat& through, Told told) {
  ask(through, [this, &through, told = std::move(told)](ClusterProgram& program) {
    const Index floor = std::max(story_.linearizability.floor(), story_.raft_history.last());
    through.controller->read_barrier(
        program.heard([this, &through, floor, told](const Status& read) {
          story_.look(through);
          if (read) {
            story_.sim.count("op.read_done");
            story_.linearizability.read(through.member.to_string(), floor, through.seen.applied);
          } else {
            story_.sim.count("op.read_refused." + std::string(errc_name(read.error().code)));
          }
          told(read.has_value());
        }));
  });
}

}  // namespace bascule::sim
