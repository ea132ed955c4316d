#include "src/broker/stream_admin.h"

#include <memory>
#include <utility>
#include <variant>

#include "src/base/assert.h"
#include "src/broker/bounds.h"
#include "src/model/stream_config.h"

namespace bascule::broker {

StreamAdmin::StreamAdmin(env::World& world, controller::Controller& controller, Replicas& replicas,
                         MetadataReads& reads)
    : world_(world), controller_(controller), replicas_(replicas), reads_(reads) {}

// --- Create ---------------------------------------------------------------------------------------

// Lives until it has been answered and no completion holds it.
struct StreamAdmin::Creation {
  Done<StreamStatus> done;  // empty: answered
  env::TimerId timer;
};

void StreamAdmin::create(CreateStream request, Done<StreamStatus> done) {
  Status checked = model::check_stream_config(request.config);
  if (checked && request.deadline <= world_.loop.now()) checked = fail(Errc::deadline_exceeded);
  if (checked && changes_ >= bounds::k_stream_changes_max)
    checked = fail(Errc::overloaded, "too many stream changes are on their way");
  if (!checked) {
    return world_.loop.post([done = std::move(done), error = checked.error()]() mutable {
      done(fail(std::move(error)));
    });
  }
  ++changes_;
  auto creation = std::make_shared<Creation>();
  creation->done = std::move(done);
  if (request.deadline != MonotonicTime::never()) {
    creation->timer = world_.loop.schedule(request.deadline, scope_.wrap([this, creation] {
      answer(creation, fail(Errc::outcome_unknown, "not ready by the deadline"));
    }));
  }
  // An eighth of the time is left for the answer: that nobody took it is said while somebody listens.
  const Duration patience = request.deadline - world_.loop.now();
  const MonotonicTime give_up = request.deadline == MonotonicTime::never()
                                    ? request.deadline
                                    : request.deadline - patience / 8;
  controller_.propose(controller::CreateStream{.config = std::move(request.config),
                                               .log_seed = world_.random.uuid(),
                                               .created = world_.loop.wall()},
                      scope_.wrap([this, creation](Result<controller::Outcome> outcome) {
                        on_created(creation, std::move(outcome));
                      }),
                      give_up);
}

void StreamAdmin::on_created(const std::shared_ptr<Creation>& creation,
                             Result<controller::Outcome> outcome) {
  if (!outcome) return answer(creation, fail(std::move(outcome.error())));
  const auto* created = std::get_if<controller::CreateStreamOutcome>(&*outcome);
  ASSERT(created != nullptr);
  replicas_.when_ready(
      created->stream, scope_.wrap([this, creation, id = created->stream](Status ready) {
        // It exists; only that it is ready cannot be waited for any more.
        if (!ready && ready.error().code == Errc::stopping)
          return answer(creation, fail(Errc::outcome_unknown, "the broker stops"));
        if (!ready) return answer(creation, fail(std::move(ready.error())));
        const controller::StreamEntry* entry = controller_.table().stream(id);
        if (entry == nullptr)
          return answer(creation, fail(Errc::unknown_stream, "it was deleted meanwhile"));
        StreamStatus status = status_of(*entry);
        if (advisor_) {
          for (std::string& warning : advisor_(entry->config))
            status.warnings.push_back(std::move(warning));
        }
        answer(creation, std::move(status));
      }));
}

void StreamAdmin::answer(const std::shared_ptr<Creation>& creation, Result<StreamStatus> result) {
  if (!creation->done) return;
  --changes_;
  world_.loop.cancel(creation->timer);
  std::exchange(creation->done, nullptr)(std::move(result));
}

// --- Delete ---------------------------------------------------------------------------------------

void StreamAdmin::remove(StreamId stream, Done<void> done) {
  if (changes_ >= bounds::k_stream_changes_max) {
    return world_.loop.post([done = std::move(done)]() mutable {
      done(fail(Errc::overloaded, "too many stream changes are on their way"));
    });
  }
  ++changes_;
  controller_.propose(
      controller::DeleteStream{stream},
      scope_.wrap([this, done = std::move(done)](Result<controller::Outcome> outcome) mutable {
        --changes_;
        if (!outcome) return done(fail(std::move(outcome.error())));
        done({});
      }));
}

// --- Look -----------------------------------------------------------------------------------------

PartitionStatus StreamAdmin::status_of(const controller::PartitionEntry& entry) const {
  PartitionStatus out;
  out.index = entry.id.index;
  out.leader = entry.leader;
  out.epoch = entry.epoch;
  for (const controller::ReplicaEntry& replica : entry.replicas)
    out.replicas.push_back(replica.node);
  out.isr = entry.isr;
  out.elr = entry.elr;
  out.state = entry.leader ? PartitionState::online : PartitionState::offline;
  if (entry.leader != controller_.identity().node) return out;
  const partition::Partition* partition = replicas_.find(entry.id);
  if (partition == nullptr || !partition->ready()) {
    out.state = PartitionState::starting;
    return out;
  }
  const log::Log& log = partition->log();
  if (log.recovery().condition == log::Condition::damaged) out.state = PartitionState::damaged;
  out.log_start = log.log_start();
  out.hw = partition->hw();
  out.leo = log.leo();
  out.bytes = log.stats().bytes;
  return out;
}

StreamStatus StreamAdmin::status_of(const controller::StreamEntry& entry) const {
  StreamStatus out{.id = entry.id,
                   .config = entry.config,
                   .created = entry.created,
                   .partitions = {},
                   .warnings = {}};
  for (const controller::PartitionEntry& partition : entry.partitions) {
    out.partitions.push_back(status_of(partition));
    if (partition.data_lost)
      out.warnings.push_back("partition " + partition.id.index.to_string() +
                             ": the storage of its last in-sync replica is gone");
  }
  return out;
}

void StreamAdmin::list(MetadataRead read, Done<StreamList> done) {
  reads_.when_fresh(read, scope_.wrap([this, done = std::move(done)](Status fresh) mutable {
    if (!fresh) return done(fail(std::move(fresh.error())));
    StreamList out;
    out.as_of = reads_.as_of();
    for (const auto& [id, entry] : controller_.table().state().streams)
      out.streams.push_back(status_of(entry));
    done(std::move(out));
  }));
}

void StreamAdmin::describe(StreamRef stream, MetadataRead read, Done<DescribedStream> done) {
  reads_.when_fresh(read, scope_.wrap([this, stream = std::move(stream), read,
                                       done = std::move(done)](Status fresh) mutable {
    if (!fresh) return done(fail(std::move(fresh.error())));
    const controller::MetadataTable& table = controller_.table();
    const controller::StreamEntry* entry =
        stream.id ? table.stream(stream.id) : table.stream_named(stream.name);
    if (entry != nullptr) return done(DescribedStream{status_of(*entry), reads_.as_of()});
    // Of one that was created a moment ago an old copy knows nothing.
    if (read.max_age.ns <= 0 || read.max_age == Duration::max())
      return done(fail(Errc::unknown_stream, stream.name));
    read.max_age = {};
    describe(std::move(stream), read, std::move(done));
  }));
}

}  // namespace bascule::broker
