// Snapshots of the metadata table: the other half of MetadataCodec.
#include <capnp/message.h>
#include <capnp/serialize-packed.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include <utility>

#include "capnp/command_codec.h"
#include "capnp/event_columns.h"
#include "capnp/metadata_values.h"
#include "src/base/codec.h"
#include "src/model/limits.h"

namespace bascule::capnp_codec {
namespace {

namespace schema = metadata_schema;
using capnp_codec::read;
using capnp_codec::write;
using controller::MetadataState;

constexpr size_t k_settings_max = 1000;
constexpr size_t k_events_max = controller::k_event_bytes_kept / controller::k_event_cost_min;

// --- Encoding --------------------------------------------------------------------------------------

void write(schema::Snapshot::Broker::Builder out, const controller::BrokerEntry& b) {
  out.setNode(b.node.value);
  write(out.initStorage(), b.storage);
  out.setIncarnation(b.incarnation.value);
  out.setFenced(b.fenced);
  out.setRegistered(b.registered.value);
  write_address(out.initAddress(), b);
}

void write(schema::Snapshot::EventPosition::Builder out, const model::EventPosition& p) {
  out.setIndex(p.index.value);
  out.setOrdinal(p.ordinal);
}

void write(schema::Snapshot::Replica::Builder out, const controller::ReplicaEntry& r) {
  out.setNode(r.node.value);
  out.setAssignment(r.assignment.value);
  out.setAssigned(r.assigned.value);
  out.setSuspect(r.suspect);
  out.setDamaged(r.damaged);
  out.setDiverged(r.diverged);
  if (r.report) {
    auto report = out.initReport();
    report.setLastEpoch(r.report->last_epoch.value);
    report.setLeo(r.report->leo.value);
  }
}

void write(schema::Snapshot::Partition::Builder out, const controller::PartitionEntry& p) {
  write(out.initLogId(), p.log_id);
  auto replicas = out.initReplicas(static_cast<unsigned>(p.replicas.size()));
  for (unsigned i = 0; i < replicas.size(); ++i) write(replicas[i], p.replicas[i]);
  auto isr = out.initIsr(static_cast<unsigned>(p.isr.size()));
  for (unsigned i = 0; i < isr.size(); ++i) isr.set(i, p.isr[i].value);
  auto elr = p.elr.empty() ? ::capnp::List<uint32_t>::Builder()
                           : out.initElr(static_cast<unsigned>(p.elr.size()));
  for (unsigned i = 0; i < elr.size(); ++i) elr.set(i, p.elr[i].value);
  out.setLeader(p.leader.value);
  out.setLeaderIncarnation(p.leader_incarnation.value);
  out.setEpoch(p.epoch.value);
  out.setVersion(p.version.value);
  out.setDataLost(p.data_lost);
  if (p.loss) {
    auto loss = out.initLoss();
    loss.setEpoch(p.loss->epoch.value);
    loss.setNode(p.loss->node.value);
    loss.setByOperator(p.loss->by_operator);
    loss.setDecided(p.loss->decided.ns);
  }
}

void write(schema::Snapshot::Stream::Builder out, const controller::StreamEntry& s) {
  out.setId(s.id.value);
  write(out.initConfig(), s.config);
  out.setCreated(s.created.ns);
  auto partitions = out.initPartitions(static_cast<unsigned>(s.partitions.size()));
  for (unsigned i = 0; i < partitions.size(); ++i) write(partitions[i], s.partitions[i]);
}

// --- Decoding --------------------------------------------------------------------------------------

Result<controller::BrokerEntry> read(schema::Snapshot::Broker::Reader in) {
  controller::BrokerEntry b;
  b.node = NodeId(in.getNode());
  b.storage = read(in.getStorage());
  b.incarnation = Incarnation(in.getIncarnation());
  b.fenced = in.getFenced();
  b.registered = Index(in.getRegistered());
  BASCULE_TRY(read_address(in.getAddress(), b));
  return b;
}

controller::ReplicaEntry read(schema::Snapshot::Replica::Reader in) {
  controller::ReplicaEntry r;
  r.node = NodeId(in.getNode());
  r.assignment = AssignmentId(in.getAssignment());
  r.assigned = Index(in.getAssigned());
  r.suspect = in.getSuspect();
  r.damaged = in.getDamaged();
  r.diverged = in.getDiverged();
  if (in.hasReport()) {
    const auto report = in.getReport();
    r.report = controller::LeaderlessReport{Epoch(report.getLastEpoch()), Offset(report.getLeo())};
  }
  return r;
}

Result<std::vector<NodeId>> read(::capnp::List<uint32_t>::Reader in) {
  BASCULE_TRY(bounded(in, controller::k_replicas_max, "members of a set"));
  std::vector<NodeId> out;
  for (const uint32_t node : in) out.emplace_back(node);
  return out;
}

model::EventPosition read(schema::Snapshot::EventPosition::Reader in) {
  return {Index(in.getIndex()), in.getOrdinal()};
}

Result<controller::PartitionEntry> read(PartitionId id, schema::Snapshot::Partition::Reader in) {
  controller::PartitionEntry p;
  p.id = id;
  p.log_id = read(in.getLogId());
  const auto replicas = in.getReplicas();
  BASCULE_TRY(bounded(replicas, controller::k_replicas_max, "replicas"));
  for (const auto r : replicas) p.replicas.push_back(read(r));
  BASCULE_TRY_ASSIGN(p.isr, read(in.getIsr()));
  BASCULE_TRY_ASSIGN(p.elr, read(in.getElr()));
  p.leader = NodeId(in.getLeader());
  p.leader_incarnation = Incarnation(in.getLeaderIncarnation());
  p.epoch = Epoch(in.getEpoch());
  p.version = Version(in.getVersion());
  p.data_lost = in.getDataLost();
  if (in.hasLoss()) {
    const auto loss = in.getLoss();
    p.loss = controller::LossRecord{Epoch(loss.getEpoch()), NodeId(loss.getNode()),
                                    loss.getByOperator(), WallTime{loss.getDecided()}};
  }
  return p;
}

Result<controller::StreamEntry> read(schema::Snapshot::Stream::Reader in) {
  controller::StreamEntry s;
  s.id = StreamId(in.getId());
  BASCULE_TRY_ASSIGN(s.config, read(in.getConfig()));
  s.created = WallTime{in.getCreated()};
  const auto partitions = in.getPartitions();
  BASCULE_TRY(bounded(partitions, limits::k_partitions_per_stream_max, "partitions"));
  for (uint32_t i = 0; i < partitions.size(); ++i) {
    BASCULE_TRY_ASSIGN(auto p, read(PartitionId{s.id, PartitionIndex(i)}, partitions[i]));
    s.partitions.push_back(std::move(p));
  }
  return s;
}

Result<MetadataState> read(schema::Snapshot::Reader in) {
  if (in.getFormat() != k_metadata_format)
    return fail(in.getFormat() == 0 ? Errc::corrupt : Errc::unsupported,
                "metadata: a snapshot of format " + std::to_string(in.getFormat()));
  MetadataState state;
  state.cluster = read(in.getCluster());
  state.feature_level = in.getFeatureLevel();
  state.applied = Index(in.getApplied());
  state.next_stream = StreamId(in.getNextStream());
  state.next_assignment = AssignmentId(in.getNextAssignment());
  BASCULE_TRY(bounded(in.getBrokers(), controller::k_brokers_max, "brokers"));
  for (const auto item : in.getBrokers()) {
    BASCULE_TRY_ASSIGN(controller::BrokerEntry b, read(item));
    const NodeId node = b.node;
    if (!state.brokers.emplace(node, std::move(b)).second)
      return fail(Errc::corrupt, "metadata: two brokers " + node.to_string());
  }
  BASCULE_TRY(bounded(in.getStreams(), limits::k_streams_max, "streams"));
  for (const auto item : in.getStreams()) {
    BASCULE_TRY_ASSIGN(auto s, read(item));
    const StreamId id = s.id;
    if (!state.streams.emplace(id, std::move(s)).second)
      return fail(Errc::corrupt, "metadata: two streams " + id.to_string());
  }
  state.next_producer = ProducerId(in.getNextProducer());
  state.removed = Incarnation(in.getRemovedIncarnation());
  BASCULE_TRY(bounded(in.getLostStorages(), controller::k_lost_storages_max, "lost storages"));
  for (const auto storage : in.getLostStorages()) state.lost_storages.insert(read(storage));
  BASCULE_TRY(bounded(in.getSettings(), k_settings_max, "settings"));
  for (const auto item : in.getSettings()) {
    BASCULE_TRY_ASSIGN(std::string name, read_label(item.getName()));
    BASCULE_TRY_ASSIGN(state.settings[std::move(name)], read_label(item.getValue()));
  }
  state.events.dropped = read(in.getEventsDropped());
  BASCULE_TRY_ASSIGN(state.events.kept, read_events(in.getEvents(), k_events_max));
  for (const model::Event& e : state.events.kept) state.events.cost += controller::event_cost(e);
  BASCULE_TRY(bounded(in.getRescues(), controller::k_rescues_max, "rescues"));
  for (const auto item : in.getRescues())
    state.rescues.push_back({Index(item.getLastKnown()), Index(item.getFirst()),
                             NodeId(item.getNode()), read(item.getClusterBefore()),
                             WallTime{item.getDecided()}});
  if (controller::state_hash(state) != read(in.getStateHash()))
    return fail(Errc::corrupt, "metadata: the snapshot's hash is another table's");
  return state;
}

// --- Packing ---------------------------------------------------------------------------------------
//
// Most bytes of a table's message are zero: packed it has a third of the size. A few bytes can unpack to a
// thousand times as many, so the size is said first and bounded before anything is allocated.

constexpr size_t k_length_bytes = 8;
constexpr size_t k_unpacking_max = 1024;  // of the packed size
constexpr uint64_t k_snapshot_bytes_max = 512 << 20;

Bytes pack(const Bytes& message) {
  kj::VectorOutputStream out(message.size() / 2 + 64);
  {
    ::capnp::_::PackedOutputStream packed(out);
    packed.write(message.data(), message.size());
  }
  const auto body = out.getArray();
  Bytes bytes(k_length_bytes + body.size());
  store_le<uint64_t>(bytes.data(), message.size() / sizeof(::capnp::word));
  std::copy(body.begin(), body.end(), bytes.begin() + k_length_bytes);
  return bytes;
}

Result<Bytes> unpack(ByteView bytes) {
  if (bytes.size() <= k_length_bytes) return fail(Errc::corrupt, "metadata: no snapshot");
  const ByteView body = bytes.subspan(k_length_bytes);
  const uint64_t words = load_le<uint64_t>(bytes.data());
  if (words == 0 || words > k_snapshot_bytes_max / sizeof(::capnp::word) ||
      words * sizeof(::capnp::word) / k_unpacking_max > body.size())
    return fail(Errc::corrupt, "metadata: a snapshot of " + std::to_string(words) + " words");
  Bytes message(words * sizeof(::capnp::word));
  try {
    kj::ArrayInputStream in({body.data(), body.size()});
    ::capnp::_::PackedInputStream packed(in);
    packed.read(message.data(), message.size());
    if (in.tryGetReadBuffer().size() != 0)
      return fail(Errc::corrupt, "metadata: bytes after the snapshot");
  } catch (const kj::Exception& e) {
    return fail(shape_error(e));
  }
  return message;
}

}  // namespace

Result<Bytes> MetadataCodec::encode_snapshot(const MetadataState& state) const {
  ::capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::Snapshot>();
  out.setFormat(k_metadata_format);
  write(out.initCluster(), state.cluster);
  out.setFeatureLevel(state.feature_level);
  out.setApplied(state.applied.value);
  out.setNextStream(state.next_stream.value);
  out.setNextAssignment(state.next_assignment.value);
  auto brokers = out.initBrokers(static_cast<unsigned>(state.brokers.size()));
  unsigned at = 0;
  for (const auto& [node, broker] : state.brokers) write(brokers[at++], broker);
  auto streams = out.initStreams(static_cast<unsigned>(state.streams.size()));
  at = 0;
  for (const auto& [id, stream] : state.streams) write(streams[at++], stream);
  auto lost = out.initLostStorages(static_cast<unsigned>(state.lost_storages.size()));
  at = 0;
  for (const Uuid& storage : state.lost_storages) write(lost[at++], storage);
  out.setNextProducer(state.next_producer.value);
  out.setRemovedIncarnation(state.removed.value);
  auto settings = out.initSettings(static_cast<unsigned>(state.settings.size()));
  at = 0;
  for (const auto& [name, value] : state.settings) {
    settings[at].setName(name);
    settings[at++].setValue(value);
  }
  write(out.initEventsDropped(), state.events.dropped);
  write_events(out.initEvents(), state.events.kept);
  auto rescues = out.initRescues(static_cast<unsigned>(state.rescues.size()));
  at = 0;
  for (const controller::RescueRecord& r : state.rescues) {
    auto to = rescues[at++];
    to.setLastKnown(r.last_known.value);
    to.setFirst(r.first.value);
    to.setNode(r.node.value);
    write(to.initClusterBefore(), r.cluster_before);
    to.setDecided(r.decided.ns);
  }
  write(out.initStateHash(), controller::state_hash(state));
  return pack(finish(message));
}

Result<MetadataState> MetadataCodec::decode_snapshot(ByteView bytes) const {
  BASCULE_TRY_ASSIGN(const Bytes message, unpack(bytes));
  return decode_message<schema::Snapshot>(message,
                                          [](schema::Snapshot::Reader root) { return read(root); });
}

}  // namespace bascule::capnp_codec
