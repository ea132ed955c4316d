#include "sim/oracles/metadata_linearizability.h"

#include <algorithm>

namespace bascule::sim {

void MetadataLinearizability::acknowledged(uint64_t command, Index index) {
  Told& told = commands_.at(command);
  told.outcome = Outcome::acknowledged;
  const auto place = history_.place_of(command);
  if (!place || *place != index)
    return verdict_.fire("O9", "command " + std::to_string(command) + " was acknowledged at " +
                                   index.to_string() + " and is " +
                                   (place ? "at " + place->to_string() : "nowhere"));
  if (index <= told.floor)
    return verdict_.fire("O9", "command " + std::to_string(command) + " was proposed after " +
                                   told.floor.to_string() + " was known, and lies at " +
                                   index.to_string());
  floor_ = std::max(floor_, index);
}

void MetadataLinearizability::refused(uint64_t command) {
  commands_.at(command).outcome = Outcome::refused;
  if (history_.place_of(command))
    verdict_.fire("O9", "command " + std::to_string(command) + " was refused, and is committed");
}

void MetadataLinearizability::applied(uint64_t command, Index index) {
  const auto it = commands_.find(command);
  if (it == commands_.end())
    return verdict_.fire("O9", "command " + std::to_string(command) + " at " + index.to_string() +
                                   " was never proposed");
  if (it->second.outcome == Outcome::refused)
    verdict_.fire("O9", "command " + std::to_string(command) + " was refused, and appears at " +
                            index.to_string());
  const auto place = history_.place_of(command);
  if (place && *place != index)
    verdict_.fire("O9", "command " + std::to_string(command) + " appears at " + place->to_string() +
                            " and again at " + index.to_string());
}

void MetadataLinearizability::read(const std::string& who, Index floor, Index index) {
  if (index < floor)
    return verdict_.fire("O9", "a read at " + who + " gave the state as of " + index.to_string() +
                                   ", " + floor.to_string() + " was known before it was asked");
  floor_ = std::max(floor_, index);
}

}  // namespace bascule::sim
