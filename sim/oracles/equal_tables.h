// O8 and O16 for the metadata: two brokers that have applied the same entries have the same table. Compared by
// hash, at some indexes on the way and at the end.
#pragma once

#include <map>
#include <string>

#include "sim/worlds/world.h"
#include "src/controller/metadata_table.h"

namespace bascule::sim {

class EqualTables {
 public:
  explicit EqualTables(Verdict& verdict) : verdict_(verdict) {}

  void look(const std::string& who, const controller::MetadataTable& table) {
    const Uuid hash = table.hash();
    const auto [it, first] = hashes_.try_emplace(table.applied(), hash);
    if (!first && it->second != hash)
      verdict_.fire("O8", who + " has another table at " + table.applied().to_string() +
                              " than the first broker that came there");
  }

 private:
  Verdict& verdict_;
  std::map<Index, Uuid> hashes_;
};

}  // namespace bascule::sim
