// What the client knows of streams: their ids, partitions and leaders, looked up when first needed and
// again when somebody finds it stale.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/client/requests.h"

namespace bascule::client {

using StreamInfoRef = std::shared_ptr<const StreamInfo>;

class Metadata {
 public:
  explicit Metadata(Shared& shared) : shared_(shared) {}

  // The stream of this name; completes in a later turn. One look-up serves all who ask meanwhile.
  void find(const std::string& name, env::Done<StreamInfoRef> done);
  // The next find() asks a broker.
  void forget(const std::string& name) { known_.erase(name); }

  // A connection to the leader of the partition; to any broker where it is not known, which refuses
  // with a hint. `hint` wins over what the stream's metadata says.
  void connect(const StreamInfo& stream, PartitionIndex partition,
               const std::optional<env::Address>& hint, env::Done<ConnectionRef> done);

 private:
  Shared& shared_;
  std::map<std::string, StreamInfoRef> known_;
  std::map<std::string, std::vector<env::Done<StreamInfoRef>>> waiting_;
  env::Scope alive_;
};

}  // namespace bascule::client
