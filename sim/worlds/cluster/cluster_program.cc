#include "sim/worlds/cluster/cluster_program.h"

#include <utility>

namespace bascule::sim {

ClusterProgram::ClusterProgram(Node& node, env::World& world, const broker::BrokerOptions& options,
                               const controller::CommandCodec& codec,
                               const controller::ClusterParts& parts, Opened opened)
    : node_(node), world_(world) {
  broker::open_broker(
      world_, options, codec, &parts,
      heard([this, opened = std::move(opened)](Result<std::unique_ptr<broker::Broker>> result) {
        if (!result) return opened(*this, fail(std::move(result.error())));
        broker_ = std::move(*result);
        opened(*this, {});
      }));
}

ClusterProgram::~ClusterProgram() {
  readers_.clear();
  broker_.reset();
}

void ClusterProgram::stop(std::function<void(const Status&)> stopped) {
  if (!serves()) return;
  stopping_ = true;
  broker_->stop(heard([this, stopped = std::move(stopped)](const Status& s) {
    stopped(s);
    node_.exit();
  }));
}

OracleReader& ClusterProgram::add_reader(StreamStory& story, PartitionId partition) {
  std::erase_if(readers_, [](const auto& reader) { return reader->ended(); });
  readers_.push_back(std::make_unique<OracleReader>(story, partition));
  return *readers_.back();
}

}  // namespace bascule::sim
