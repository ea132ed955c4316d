#include "src/client/metadata.h"

#include <utility>

namespace bascule::client {

void Metadata::find(const std::string& name, env::Done<StreamInfoRef> done) {
  if (const auto it = known_.find(name); it != known_.end()) {
    shared_.loop.post(alive_.wrap(
        [info = it->second, done = std::move(done)]() mutable { done(std::move(info)); }));
    return;
  }
  auto& waiting = waiting_[name];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1) return;
  std::make_shared<Request<StreamInfo>>(
      shared_,
      [name](Connection& to, MonotonicTime deadline, Answer<StreamInfo> answer) {
        to.describe_stream({StreamId{}, name}, {{}, deadline}, std::move(answer));
      },
      alive_.wrap([this, name](Result<StreamInfo> result) {
        auto asked = std::move(waiting_.extract(name).mapped());
        Result<StreamInfoRef> info = fail(Errc::internal);
        if (result) {
          info = known_[name] = std::make_shared<const StreamInfo>(std::move(*result));
        } else {
          info = fail(std::move(result.error()));
        }
        for (auto& answer : asked) answer(info);
      }))
      ->start();
}

void Metadata::connect(const StreamInfo& stream, PartitionIndex partition,
                       const std::optional<env::Address>& hint, env::Done<ConnectionRef> done) {
  if (hint) return shared_.connections.to(*hint, std::move(done));
  const auto& partitions = stream.status.partitions;
  const NodeId leader =
      partition.value < partitions.size() ? partitions[partition.value].leader : NodeId{};
  for (const NodeEndpoint& node : stream.nodes) {
    if (leader && node.node == leader) return shared_.connections.to(node.address, std::move(done));
  }
  shared_.connections.any(std::move(done));
}

}  // namespace bascule::client
