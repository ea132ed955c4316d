#include "src/controller/command.h"

namespace bascule::controller {
namespace {

struct Name {
  std::string_view operator()(const RegisterBroker&) const { return "register_broker"; }
  std::string_view operator()(const UnfenceBroker&) const { return "unfence_broker"; }
  std::string_view operator()(const FenceBrokers&) const { return "fence_brokers"; }
  std::string_view operator()(const CreateStream&) const { return "create_stream"; }
  std::string_view operator()(const DeleteStream&) const { return "delete_stream"; }
  std::string_view operator()(const ClearSuspect&) const { return "clear_suspect"; }
  std::string_view operator()(const ChangeIsr&) const { return "change_isr"; }
  std::string_view operator()(const ReportReplica&) const { return "report_replica"; }
  std::string_view operator()(const EndElectionWait&) const { return "end_election_wait"; }
  std::string_view operator()(const ElectUnclean&) const { return "elect_unclean"; }
  std::string_view operator()(const UnregisterBroker&) const { return "unregister_broker"; }
  std::string_view operator()(const DeclareStorageLost&) const { return "declare_storage_lost"; }
  std::string_view operator()(const FinalizeFeatureLevel&) const {
    return "finalize_feature_level";
  }
  std::string_view operator()(const SetSetting&) const { return "set_setting"; }
  std::string_view operator()(const AllocateProducerIds&) const { return "allocate_producer_ids"; }
  std::string_view operator()(const ResignLeaderships&) const { return "resign_leaderships"; }
};

}  // namespace

std::string_view command_name(const Command& command) { return std::visit(Name{}, command); }

}  // namespace bascule::controller
