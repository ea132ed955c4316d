// What is of the whole cluster: the feature level, settings, producer ids.
#include <limits>
#include <utility>

#include "src/controller/change_set.h"
#include "src/controller/metadata_table.h"

namespace bascule::controller {

Result<Outcome> MetadataTable::apply_one(Index, const FinalizeFeatureLevel& c, ChangeSet& changes) {
  if (c.level < state_.feature_level)
    return fail(Errc::invalid, "the feature level is " + std::to_string(state_.feature_level) +
                                   " and never falls");
  if (c.level == state_.feature_level) return FinalizeFeatureLevelOutcome{};
  std::string unable;
  size_t count = 0;
  for (const auto& [node, b] : state_.brokers) {
    if (b.features.contains(c.level)) continue;
    if (++count <= 10) unable += (unable.empty() ? "" : ", ") + node.to_string();
  }
  if (count > 0 || state_.brokers.empty())
    return fail(Errc::unsupported, "feature level " + std::to_string(c.level) + ": " +
                                       std::to_string(count) + " of " +
                                       std::to_string(state_.brokers.size()) +
                                       " brokers cannot work at it: " + unable);
  state_.feature_level = c.level;
  changes.cluster();
  changes.event({.kind = EventKind::feature_level, .number = c.level});
  return FinalizeFeatureLevelOutcome{};
}

Settings MetadataTable::settings() const {
  const auto settings = settings_from(state_.settings);
  return settings ? *settings : Settings{};  // only checked values are kept
}

Result<Outcome> MetadataTable::apply_one(Index, const SetSetting& c, ChangeSet& changes) {
  BASCULE_TRY_ASSIGN(std::string value, check_setting(c.name, c.value));
  const auto at = state_.settings.find(c.name);
  const std::string before = at == state_.settings.end() ? std::string() : at->second;
  if (value == before) return SetSettingOutcome{};
  if (value.empty()) {
    state_.settings.erase(at);
  } else {
    state_.settings[c.name] = value;
  }
  changes.cluster();
  changes.event({.kind = EventKind::setting_changed, .name = c.name, .detail = std::move(value)});
  return SetSettingOutcome{};
}

Result<Outcome> MetadataTable::apply_one(Index, const AllocateProducerIds& c, ChangeSet&) {
  const BrokerEntry* b = broker(c.node);
  if (b == nullptr || b->incarnation != c.incarnation)
    return fail(Errc::fenced, "another life of broker " + c.node.to_string() + " is recorded");
  if (c.count == 0 || c.count > k_producer_ids_max)
    return fail(Errc::invalid,
                "producer ids: from 1 to " + std::to_string(k_producer_ids_max) + " at once");
  if (c.count > std::numeric_limits<uint64_t>::max() - state_.next_producer.value)
    return fail(Errc::too_large, "all producer ids were given");
  const ProducerId first = state_.next_producer;
  state_.next_producer = ProducerId(first.value + c.count);
  return AllocateProducerIdsOutcome{first};
}

}  // namespace bascule::controller
