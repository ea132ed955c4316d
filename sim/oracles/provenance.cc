#include "sim/oracles/provenance.h"

#include <string>

namespace bascule::sim {

std::optional<RecordId> Provenance::check(PartitionId partition, const ReadRecord& read) {
  const auto fire = [&](const std::string& what) {
    verdict_.fire("O11",
                  "at " + partition.to_string() + "@" + read.offset.to_string() + ": " + what);
    return std::nullopt;
  };
  const std::optional<RecordId> id = History::id_of(model::view_of(read.record));
  if (!id) return fire("a record that no client of ours made");
  const SentBatch* sent = history_.find(*id);
  if (sent == nullptr) return fire(id->to_string() + " was never sent");
  if (sent->partition != partition)
    return fire(id->to_string() + " was sent to " + sent->partition.to_string());
  if (sent->answer == Answer::refused)
    return fire(id->to_string() + " was refused (" + std::string(errc_name(sent->error)) + ")");
  if (read.record != history_.record(*id, sent->value_bytes))
    return fire(id->to_string() + " has other bytes than were sent");
  return id;
}

}  // namespace bascule::sim
