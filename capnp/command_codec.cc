#include "capnp/command_codec.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "capnp/metadata_values.h"

namespace bascule::capnp_codec {
namespace {

namespace schema = metadata_schema;
using capnp_codec::read;
using capnp_codec::write;

// --- Encoding --------------------------------------------------------------------------------------

struct Encode {
  schema::Command::Builder out;

  void operator()(const controller::RegisterBroker& c) {
    auto r = out.initRegisterBroker();
    r.setNode(c.node.value);
    write(r.initStorage(), c.storage);
    r.setIncarnation(c.incarnation.value);
    r.setReplaces(c.replaces.value);
    r.setRolledBack(c.rolled_back);
    auto list = r.initReports(static_cast<unsigned>(c.reports.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      const controller::ReplicaReport& report = c.reports[i];
      auto item = list[i];
      write(item.initPartition(), report.partition);
      item.setAssignment(report.assignment.value);
      item.setMissing(report.missing);
      item.setDamaged(report.damaged);
      item.setDiverged(report.diverged);
      item.setSuspect(report.suspect);
      item.setCacheLost(report.cache_lost);
      item.setLastEpoch(report.last_epoch.value);
      item.setLeo(report.leo.value);
    }
    write_address(r.initAddress(), c);
  }
  void operator()(const controller::UnfenceBroker& c) {
    write(out.initUnfenceBroker(), c.node, c.incarnation);
  }
  void operator()(const controller::FenceBrokers& c) {
    auto list = out.initFenceBrokers(static_cast<unsigned>(c.brokers.size()));
    for (unsigned i = 0; i < list.size(); ++i)
      write(list[i], c.brokers[i].node, c.brokers[i].incarnation);
  }
  void operator()(const controller::CreateStream& c) {
    auto r = out.initCreateStream();
    write(r.initConfig(), c.config);
    write(r.initLogSeed(), c.log_seed);
    r.setCreated(c.created.ns);
  }
  void operator()(const controller::DeleteStream& c) { out.setDeleteStream(c.stream.value); }
  void operator()(const controller::ClearSuspect& c) {
    auto r = out.initClearSuspect();
    write(r.initLeader(), c.leader, c.leader_incarnation);
    auto list = r.initItems(static_cast<unsigned>(c.items.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      auto item = list[i];
      write(item.initPartition(), c.items[i].partition);
      item.setVersion(c.items[i].version.value);
      write(item.initReplica(), c.items[i].replica, c.items[i].replica_incarnation);
    }
  }
  void operator()(const controller::ChangeIsr& c) {
    auto r = out.initChangeIsr();
    write(r.initLeader(), c.leader, c.leader_incarnation);
    auto list = r.initItems(static_cast<unsigned>(c.items.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      auto item = list[i];
      write(item.initPartition(), c.items[i].partition);
      item.setVersion(c.items[i].version.value);
      auto isr = item.initIsr(static_cast<unsigned>(c.items[i].isr.size()));
      for (unsigned k = 0; k < isr.size(); ++k)
        write(isr[k], c.items[i].isr[k].node, c.items[i].isr[k].incarnation);
    }
  }
  void operator()(const controller::ReportReplica& c) {
    auto r = out.initReportReplica();
    write(r.initBroker(), c.node, c.incarnation);
    write(r.initPartition(), c.partition);
    r.setEpoch(c.epoch.value);
    r.setLastEpoch(c.last_epoch.value);
    r.setLeo(c.leo.value);
  }
  void operator()(const controller::EndElectionWait& c) {
    auto list = out.initEndElectionWait(static_cast<unsigned>(c.partitions.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      write(list[i].initPartition(), c.partitions[i].partition);
      list[i].setEpoch(c.partitions[i].epoch.value);
    }
  }
  void operator()(const controller::ElectUnclean& c) {
    auto r = out.initElectUnclean();
    write(r.initPartition(), c.partition);
    r.setEpoch(c.epoch.value);
    r.setNode(c.node.value);
    r.setDecided(c.decided.ns);
  }
  void operator()(const controller::UnregisterBroker& c) {
    write(out.initUnregisterBroker(), c.node, c.incarnation);
  }
  void operator()(const controller::DeclareStorageLost& c) {
    write(out.initDeclareStorageLost(), c.storage);
  }
  void operator()(const controller::FinalizeFeatureLevel& c) {
    out.setFinalizeFeatureLevel(c.level);
  }
  void operator()(const controller::SetSetting& c) {
    auto r = out.initSetSetting();
    r.setName(c.name);
    r.setValue(c.value);
  }
  void operator()(const controller::AllocateProducerIds& c) {
    auto r = out.initAllocateProducerIds();
    write(r.initBroker(), c.node, c.incarnation);
    r.setCount(c.count);
  }
  void operator()(const controller::ResignLeaderships& c) {
    write(out.initResignLeaderships(), c.node, c.incarnation);
  }
};

struct ItemCount {
  size_t operator()(const controller::RegisterBroker& c) const { return c.reports.size(); }
  size_t operator()(const controller::FenceBrokers& c) const { return c.brokers.size(); }
  size_t operator()(const controller::ClearSuspect& c) const { return c.items.size(); }
  size_t operator()(const controller::ChangeIsr& c) const { return c.items.size(); }
  size_t operator()(const controller::EndElectionWait& c) const { return c.partitions.size(); }
  template <class Other>
  size_t operator()(const Other&) const {
    return 1;
  }
};

struct LongestLabel {
  size_t operator()(const controller::RegisterBroker& c) const {
    return std::max(
        {c.endpoints.peers.size(), c.endpoints.rpc.size(), c.endpoints.nats.size(), c.host.size()});
  }
  size_t operator()(const controller::SetSetting& c) const {
    return std::max(c.name.size(), c.value.size());
  }
  template <class Other>
  size_t operator()(const Other&) const {
    return 0;
  }
};

// --- Decoding --------------------------------------------------------------------------------------

Result<controller::Command> read(schema::RegisterBroker::Reader in) {
  controller::RegisterBroker c;
  c.node = NodeId(in.getNode());
  c.storage = read(in.getStorage());
  c.incarnation = Incarnation(in.getIncarnation());
  c.replaces = Incarnation(in.getReplaces());
  c.rolled_back = in.getRolledBack();
  const auto reports = in.getReports();
  BASCULE_TRY(bounded(reports, controller::k_command_items_max, "reports"));
  for (const auto item : reports) {
    controller::ReplicaReport& report = c.reports.emplace_back();
    report.partition = read(item.getPartition());
    report.assignment = AssignmentId(item.getAssignment());
    report.missing = item.getMissing();
    report.damaged = item.getDamaged();
    report.diverged = item.getDiverged();
    report.suspect = item.getSuspect();
    report.cache_lost = item.getCacheLost();
    report.last_epoch = Epoch(item.getLastEpoch());
    report.leo = Offset(item.getLeo());
  }
  BASCULE_TRY(read_address(in.getAddress(), c));
  return c;
}

Result<controller::Command> read(::capnp::List<schema::BrokerLife>::Reader in) {
  BASCULE_TRY(bounded(in, controller::k_brokers_max, "brokers"));
  controller::FenceBrokers c;
  for (const auto life : in) c.brokers.push_back(read(life));
  return c;
}

Result<controller::Command> read(schema::CreateStream::Reader in) {
  controller::CreateStream c;
  BASCULE_TRY_ASSIGN(c.config, read(in.getConfig()));
  c.log_seed = read(in.getLogSeed());
  c.created = WallTime{in.getCreated()};
  return c;
}

Result<controller::Command> read(schema::ClearSuspect::Reader in) {
  const controller::BrokerLife leader = read(in.getLeader());
  controller::ClearSuspect c{leader.node, leader.incarnation, {}};
  const auto items = in.getItems();
  BASCULE_TRY(bounded(items, controller::k_command_items_max, "items"));
  for (const auto item : items) {
    const controller::BrokerLife replica = read(item.getReplica());
    c.items.push_back(
        {read(item.getPartition()), Version(item.getVersion()), replica.node, replica.incarnation});
  }
  return c;
}

Result<controller::Command> read(schema::ChangeIsr::Reader in) {
  const controller::BrokerLife leader = read(in.getLeader());
  controller::ChangeIsr c{leader.node, leader.incarnation, {}};
  const auto items = in.getItems();
  BASCULE_TRY(bounded(items, controller::k_command_items_max, "items"));
  for (const auto item : items) {
    const auto isr = item.getIsr();
    BASCULE_TRY(bounded(isr, controller::k_replicas_max, "replicas"));
    controller::ChangeIsrItem& out =
        c.items.emplace_back(read(item.getPartition()), Version(item.getVersion()));
    for (const auto life : isr) out.isr.push_back(read(life));
  }
  return c;
}

Result<controller::Command> read(schema::ReportReplica::Reader in) {
  const controller::BrokerLife broker = read(in.getBroker());
  return controller::ReportReplica{
      broker.node,          broker.incarnation,       read(in.getPartition()),
      Epoch(in.getEpoch()), Epoch(in.getLastEpoch()), Offset(in.getLeo())};
}

Result<controller::Command> read(::capnp::List<schema::WaitedPartition>::Reader in) {
  BASCULE_TRY(bounded(in, controller::k_command_items_max, "partitions"));
  controller::EndElectionWait c;
  for (const auto waited : in)
    c.partitions.push_back({read(waited.getPartition()), Epoch(waited.getEpoch())});
  return c;
}

Result<controller::Command> read(schema::ElectUnclean::Reader in) {
  return controller::ElectUnclean{read(in.getPartition()), Epoch(in.getEpoch()),
                                  NodeId(in.getNode()), WallTime{in.getDecided()}};
}

Result<controller::Command> read(schema::Setting::Reader in) {
  controller::SetSetting c;
  BASCULE_TRY_ASSIGN(c.name, read_label(in.getName()));
  BASCULE_TRY_ASSIGN(c.value, read_label(in.getValue()));
  return c;
}

Result<controller::Command> read(schema::AllocateProducerIds::Reader in) {
  const controller::BrokerLife broker = read(in.getBroker());
  return controller::AllocateProducerIds{broker.node, broker.incarnation, in.getCount()};
}

Result<controller::Command> read(schema::Command::Reader in) {
  if (in.getFormat() != k_metadata_format)
    return fail(in.getFormat() == 0 ? Errc::corrupt : Errc::unsupported,
                "metadata: a command of format " + std::to_string(in.getFormat()));
  switch (in.which()) {
    case schema::Command::REGISTER_BROKER: return read(in.getRegisterBroker());
    case schema::Command::UNFENCE_BROKER: {
      const controller::BrokerLife life = read(in.getUnfenceBroker());
      return controller::UnfenceBroker{life.node, life.incarnation};
    }
    case schema::Command::FENCE_BROKERS: return read(in.getFenceBrokers());
    case schema::Command::CREATE_STREAM: return read(in.getCreateStream());
    case schema::Command::DELETE_STREAM:
      return controller::DeleteStream{StreamId(in.getDeleteStream())};
    case schema::Command::CLEAR_SUSPECT: return read(in.getClearSuspect());
    case schema::Command::CHANGE_ISR: return read(in.getChangeIsr());
    case schema::Command::REPORT_REPLICA: return read(in.getReportReplica());
    case schema::Command::END_ELECTION_WAIT: return read(in.getEndElectionWait());
    case schema::Command::ELECT_UNCLEAN: return read(in.getElectUnclean());
    case schema::Command::UNREGISTER_BROKER: {
      const controller::BrokerLife life = read(in.getUnregisterBroker());
      return controller::UnregisterBroker{life.node, life.incarnation};
    }
    case schema::Command::DECLARE_STORAGE_LOST:
      return controller::DeclareStorageLost{read(in.getDeclareStorageLost())};
    case schema::Command::FINALIZE_FEATURE_LEVEL:
      return controller::FinalizeFeatureLevel{in.getFinalizeFeatureLevel()};
    case schema::Command::SET_SETTING: return read(in.getSetSetting());
    case schema::Command::ALLOCATE_PRODUCER_IDS: return read(in.getAllocateProducerIds());
    case schema::Command::RESIGN_LEADERSHIPS: {
      const controller::BrokerLife life = read(in.getResignLeaderships());
      return controller::ResignLeaderships{life.node, life.incarnation};
    }
  }
  return fail(Errc::unsupported, "metadata: a command of a later program (kind " +
                                     std::to_string(static_cast<unsigned>(in.which())) + ")");
}

}  // namespace

Result<Bytes> MetadataCodec::encode_command(const controller::Command& command) const {
  if (std::visit(LongestLabel{}, command) > controller::k_label_bytes_max)
    return fail(Errc::invalid, "metadata: a name, value or endpoint is too long");
  if (std::visit(ItemCount{}, command) > controller::k_command_items_max)
    return fail(Errc::too_large, "metadata: a command with too many items");
  ::capnp::MallocMessageBuilder message;
  auto root = message.initRoot<schema::Command>();
  root.setFormat(k_metadata_format);
  std::visit(Encode{root}, command);
  Bytes bytes = finish(message);
  if (bytes.size() > controller::k_command_bytes_max)
    return fail(Errc::too_large,
                "metadata: a command of " + std::to_string(bytes.size()) + " bytes");
  return bytes;
}

Result<controller::Command> MetadataCodec::decode_command(ByteView bytes) const {
  if (bytes.size() > controller::k_command_bytes_max)
    return fail(Errc::corrupt, "metadata: a command beyond its bound");
  return decode_message<schema::Command>(bytes,
                                         [](schema::Command::Reader root) { return read(root); });
}

}  // namespace bascule::capnp_codec
