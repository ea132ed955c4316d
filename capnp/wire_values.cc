#include "capnp/wire_values.h"

#include <algorithm>
#include <utility>

namespace bascule::rpc {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};

::capnp::Text::Reader text(const std::string& s) { return {s.c_str(), s.size()}; }

template <class List>
void write_nodes(List out, const std::vector<NodeId>& nodes) {
  for (size_t i = 0; i < nodes.size(); ++i) out.set(static_cast<kj::uint>(i), nodes[i].value);
}

std::vector<NodeId> read_nodes(::capnp::List<uint32_t>::Reader in) {
  std::vector<NodeId> out;
  out.reserve(in.size());
  for (const uint32_t node : in) out.emplace_back(node);
  return out;
}

Error newer(const char* what) {
  return {Errc::unsupported, std::string(what) + " that this version does not know"};
}

wire::PartitionState write_state(broker::PartitionState state) {
  switch (state) {
    case broker::PartitionState::offline: return wire::PartitionState::OFFLINE;
    case broker::PartitionState::starting: return wire::PartitionState::STARTING;
    case broker::PartitionState::online: return wire::PartitionState::ONLINE;
    case broker::PartitionState::damaged: return wire::PartitionState::DAMAGED;
    case broker::PartitionState::deleting: return wire::PartitionState::DELETING;
  }
  return wire::PartitionState::OFFLINE;
}

broker::PartitionState read_state(wire::PartitionState state) {
  switch (state) {
    case wire::PartitionState::OFFLINE: return broker::PartitionState::offline;
    case wire::PartitionState::STARTING: return broker::PartitionState::starting;
    case wire::PartitionState::ONLINE: return broker::PartitionState::online;
    case wire::PartitionState::DAMAGED: return broker::PartitionState::damaged;
    case wire::PartitionState::DELETING: return broker::PartitionState::deleting;
  }
  return broker::PartitionState::offline;  // of a later version: not known to be usable
}

void write_partition(wire::PartitionStatus::Builder out, const broker::PartitionStatus& in) {
  out.setIndex(in.index.value);
  out.setLeader(in.leader.value);
  out.setEpoch(in.epoch.value);
  write_nodes(out.initReplicas(static_cast<kj::uint>(in.replicas.size())), in.replicas);
  write_nodes(out.initIsr(static_cast<kj::uint>(in.isr.size())), in.isr);
  write_nodes(out.initElr(static_cast<kj::uint>(in.elr.size())), in.elr);
  out.setState(write_state(in.state));
  write_optional(out.initLogStart(), in.log_start);
  write_optional(out.initHw(), in.hw);
  write_optional(out.initLeo(), in.leo);
  out.setBytes(in.bytes);
}

broker::PartitionStatus read_partition(wire::PartitionStatus::Reader in) {
  broker::PartitionStatus out;
  out.index = PartitionIndex(in.getIndex());
  out.leader = NodeId(in.getLeader());
  out.epoch = Epoch(in.getEpoch());
  out.replicas = read_nodes(in.getReplicas());
  out.isr = read_nodes(in.getIsr());
  out.elr = read_nodes(in.getElr());
  out.state = read_state(in.getState());
  out.log_start = read_optional(in.getLogStart());
  out.hw = read_optional(in.getHw());
  out.leo = read_optional(in.getLeo());
  out.bytes = in.getBytes();
  return out;
}

void write_endpoint(wire::Endpoint::Builder out, const env::Address& address) {
  out.setHost(text(address.host));
  out.setPort(address.port);
}

env::Address read_endpoint(wire::Endpoint::Reader in) {
  return {read_text(in.getHost()), in.getPort()};
}

}  // namespace

void write_optional(wire::OptionalOffset::Builder out, const std::optional<Offset>& offset) {
  if (offset) {
    out.setOffset(offset->value);
  } else {
    out.setUnknown();
  }
}

std::optional<Offset> read_optional(wire::OptionalOffset::Reader in) {
  if (!in.isOffset()) return std::nullopt;
  return Offset(in.getOffset());
}

std::string read_text(::capnp::Text::Reader in) { return {in.begin(), in.size()}; }

void write_max_age(wire::MaxAge::Builder out, Duration max_age) {
  if (max_age == Duration::max()) {
    out.setAny();
  } else if (max_age.ns > 0) {
    out.setNs(static_cast<uint64_t>(max_age.ns));
  } else {
    out.setLinearizable();
  }
}

Duration read_max_age(wire::MaxAge::Reader in) {
  if (in.isAny()) return Duration::max();
  if (!in.isNs()) return {};
  constexpr auto k_most = static_cast<uint64_t>(Duration::max().ns - 1);
  return nanoseconds(static_cast<int64_t>(std::min(in.getNs(), k_most)));
}

void write_as_of(wire::AsOf::Builder out, const broker::AsOf& as_of) {
  out.setIndex(as_of.index.value);
  if (as_of.age) {
    out.getAge().setNs(static_cast<uint64_t>(as_of.age->ns));
  } else {
    out.getAge().setUnknown();
  }
}

broker::AsOf read_as_of(wire::AsOf::Reader in) {
  broker::AsOf out{Index(in.getIndex()), std::nullopt};
  const auto age = in.getAge();
  if (age.isNs()) out.age = nanoseconds(static_cast<int64_t>(age.getNs()));
  return out;
}

void write_failure(wire::Failure::Builder out, const Error& error,
                   const std::optional<client::LeaderHint>& leader) {
  out.setCode(static_cast<uint16_t>(error.code));
  out.setText(text(error.context));
  if (!leader) return;
  auto hint = out.initLeader();
  hint.setNode(leader->node.value);
  hint.setEpoch(leader->epoch.value);
  if (leader->address) write_endpoint(hint.initEndpoint(), *leader->address);
}

client::Failure read_failure(wire::Failure::Reader in) {
  client::Failure out;
  out.error = {static_cast<Errc>(in.getCode()), read_text(in.getText())};
  if (in.hasLeader()) {
    const auto hint = in.getLeader();
    out.leader.emplace(NodeId(hint.getNode()), Epoch(hint.getEpoch()), std::nullopt);
    if (hint.hasEndpoint()) out.leader->address = read_endpoint(hint.getEndpoint());
  }
  return out;
}

void write_config(wire::StreamConfig::Builder out, const model::StreamConfig& config) {
  out.setName(text(config.name));
  auto subjects = out.initSubjects(static_cast<kj::uint>(config.subjects.size()));
  for (kj::uint i = 0; i < subjects.size(); ++i) subjects.set(i, text(config.subjects[i]));
  out.setPartitions(config.partitions);
  out.setReplicas(config.replicas);
  out.setMinIsr(config.min_isr);
  switch (config.durability) {
    case model::DurabilityMode::fsync: out.setDurability(wire::Durability::FSYNC); break;
    case model::DurabilityMode::memory: out.setDurability(wire::Durability::MEMORY); break;
  }
  switch (config.answers) {
    case model::AnswerMode::automatic: out.setAnswers(wire::Answers::AUTOMATIC); break;
    case model::AnswerMode::on: out.setAnswers(wire::Answers::ON); break;
    case model::AnswerMode::off: out.setAnswers(wire::Answers::OFF); break;
  }
  out.setRetainAgeNs(config.retain_age.ns);
  out.setRetainBytes(config.retain_bytes);
  out.setRetainMessages(config.retain_messages);
  out.setSegmentBytes(config.segment_bytes);
  out.setMessageBytesMax(config.message_bytes_max);
}

Result<model::StreamConfig> read_config(wire::StreamConfig::Reader in) {
  model::StreamConfig out;
  out.name = read_text(in.getName());
  for (const auto subject : in.getSubjects()) out.subjects.push_back(read_text(subject));
  out.partitions = in.getPartitions();
  out.replicas = in.getReplicas();
  out.min_isr = in.getMinIsr();
  switch (in.getDurability()) {
    case wire::Durability::FSYNC: out.durability = model::DurabilityMode::fsync; break;
    case wire::Durability::MEMORY: out.durability = model::DurabilityMode::memory; break;
    default:  // foreign: any number may arrive
      return fail(newer("a durability"));
  }
  switch (in.getAnswers()) {
    case wire::Answers::AUTOMATIC: out.answers = model::AnswerMode::automatic; break;
    case wire::Answers::ON: out.answers = model::AnswerMode::on; break;
    case wire::Answers::OFF: out.answers = model::AnswerMode::off; break;
    default:  // foreign: any number may arrive
      return fail(newer("an answer mode"));
  }
  out.retain_age = {in.getRetainAgeNs()};
  out.retain_bytes = in.getRetainBytes();
  out.retain_messages = in.getRetainMessages();
  out.segment_bytes = in.getSegmentBytes();
  out.message_bytes_max = in.getMessageBytesMax();
  return out;
}

void write_status(wire::StreamStatus::Builder out, const broker::StreamStatus& status) {
  out.setId(status.id.value);
  write_config(out.initConfig(), status.config);
  out.setCreatedWallNs(status.created.ns);
  auto partitions = out.initPartitions(static_cast<kj::uint>(status.partitions.size()));
  for (kj::uint i = 0; i < partitions.size(); ++i)
    write_partition(partitions[i], status.partitions[i]);
  auto warnings = out.initWarnings(static_cast<kj::uint>(status.warnings.size()));
  for (kj::uint i = 0; i < warnings.size(); ++i) warnings.set(i, text(status.warnings[i]));
}

Result<broker::StreamStatus> read_status(wire::StreamStatus::Reader in) {
  broker::StreamStatus out;
  out.id = StreamId(in.getId());
  BASCULE_TRY_ASSIGN(out.config, read_config(in.getConfig()));
  out.created = {in.getCreatedWallNs()};
  for (const auto partition : in.getPartitions())
    out.partitions.push_back(read_partition(partition));
  for (const auto warning : in.getWarnings()) out.warnings.push_back(read_text(warning));
  return out;
}

void write_info(wire::StreamInfo::Builder out, const broker::StreamStatus& status,
                const std::vector<client::NodeEndpoint>& nodes, const broker::AsOf& as_of) {
  write_status(out.initStatus(), status);
  write_as_of(out.initAsOf(), as_of);
  auto list = out.initNodes(static_cast<kj::uint>(nodes.size()));
  for (kj::uint i = 0; i < list.size(); ++i) {
    list[i].setNode(nodes[i].node.value);
    write_endpoint(list[i].initEndpoint(), nodes[i].address);
  }
}

Result<client::StreamInfo> read_info(wire::StreamInfo::Reader in) {
  client::StreamInfo out;
  BASCULE_TRY_ASSIGN(out.status, read_status(in.getStatus()));
  for (const auto node : in.getNodes())
    out.nodes.push_back({NodeId(node.getNode()), read_endpoint(node.getEndpoint())});
  out.as_of = read_as_of(in.getAsOf());
  return out;
}

void write_ref(wire::StreamRef::Builder out, const broker::StreamRef& ref) {
  if (ref.id) {
    out.setId(ref.id.value);
  } else {
    out.setName(text(ref.name));
  }
}

broker::StreamRef read_ref(wire::StreamRef::Reader in) {
  if (in.isName()) return {StreamId{}, read_text(in.getName())};
  return {StreamId(in.isId() ? in.getId() : 0), {}};
}

void write_start(wire::StartPosition::Builder out, const broker::StartPosition& from) {
  std::visit(Overloaded{
                 [&](const broker::FromEarliest&) { out.setEarliest(); },
                 [&](const broker::FromLatest&) { out.setLatest(); },
                 [&](const broker::FromNew&) { out.setNew(); },
                 [&](const broker::FromOffset& at) {
                   auto resume = out.initOffset();
                   resume.setOffset(at.offset.value);
                   if (at.epoch_before) resume.getEpochBefore().setEpoch(at.epoch_before->value);
                 },
                 [&](const broker::FromTime& at) { out.setTimeWallNs(at.time.ns); },
                 [&](const broker::FromAgo& at) { out.setAgoNs(at.ago.ns); },
                 [&](const broker::FromLast& at) { out.setLast(at.count); },
             },
             from);
}

Result<broker::StartPosition> read_start(wire::StartPosition::Reader in) {
  switch (in.which()) {
    case wire::StartPosition::EARLIEST: return broker::FromEarliest{};
    case wire::StartPosition::LATEST: return broker::FromLatest{};
    case wire::StartPosition::NEW: return broker::FromNew{};
    case wire::StartPosition::OFFSET: {
      const auto resume = in.getOffset();
      broker::FromOffset out{Offset(resume.getOffset()), std::nullopt};
      if (resume.getEpochBefore().isEpoch())
        out.epoch_before = Epoch(resume.getEpochBefore().getEpoch());
      return out;
    }
    case wire::StartPosition::TIME_WALL_NS: return broker::FromTime{{in.getTimeWallNs()}};
    case wire::StartPosition::AGO_NS: return broker::FromAgo{{in.getAgoNs()}};
    case wire::StartPosition::LAST: return broker::FromLast{in.getLast()};
  }
  return fail(newer("a start position"));
}

void write_stop(wire::StopPosition::Builder out, const broker::StopPosition& until) {
  std::visit(Overloaded{
                 [&](const broker::UntilNever&) { out.setNever(); },
                 [&](const broker::UntilLatest&) { out.setLatest(); },
                 [&](const broker::UntilOffset& at) { out.setOffset(at.offset.value); },
                 [&](const broker::UntilTime& at) { out.setTimeWallNs(at.time.ns); },
             },
             until);
}

Result<broker::StopPosition> read_stop(wire::StopPosition::Reader in) {
  switch (in.which()) {
    case wire::StopPosition::NEVER: return broker::UntilNever{};
    case wire::StopPosition::LATEST: return broker::UntilLatest{};
    case wire::StopPosition::OFFSET: return broker::UntilOffset{Offset(in.getOffset())};
    case wire::StopPosition::TIME_WALL_NS: return broker::UntilTime{{in.getTimeWallNs()}};
  }
  return fail(newer("a stop position"));
}

void write_end(wire::SubscriptionEnd::Builder out, const broker::SubscriptionEnd& end) {
  if (!end.complete) write_failure(out.initFailure(), end.error);
  out.setNextOffset(end.next_offset.value);
  write_optional(out.initValidEnd(), end.valid_end);
}

broker::SubscriptionEnd read_end(wire::SubscriptionEnd::Reader in) {
  broker::SubscriptionEnd out;
  out.complete = !in.hasFailure();
  if (!out.complete) out.error = read_failure(in.getFailure()).error;
  out.next_offset = Offset(in.getNextOffset());
  out.valid_end = read_optional(in.getValidEnd());
  return out;
}

wire::Acks write_acks(model::Acks acks) {
  switch (acks) {
    case model::Acks::none: return wire::Acks::NONE;
    case model::Acks::leader: return wire::Acks::LEADER;
    case model::Acks::all: return wire::Acks::ALL;
  }
  return wire::Acks::ALL;
}

Result<model::Acks> read_acks(wire::Acks acks) {
  switch (acks) {
    case wire::Acks::NONE: return model::Acks::none;
    case wire::Acks::LEADER: return model::Acks::leader;
    case wire::Acks::ALL: return model::Acks::all;
  }
  return fail(newer("an acknowledgement mode"));
}

uint64_t budget_of(MonotonicTime deadline, MonotonicTime now) {
  if (deadline == MonotonicTime::never()) return 0;
  return static_cast<uint64_t>(std::max<int64_t>(1, deadline.ns - now.ns));
}

MonotonicTime deadline_of(uint64_t budget_ns, MonotonicTime now, Duration fallback) {
  const auto most = static_cast<uint64_t>(fallback.ns);
  const uint64_t budget = budget_ns == 0 ? most : std::min(budget_ns, most);
  return now + nanoseconds(static_cast<int64_t>(budget));
}

}  // namespace bascule::rpc
