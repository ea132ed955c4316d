#include "sim/oracles/applied_chain.h"

namespace bascule::sim {

void AppliedChain::applied(const std::string& who, Index before, Index index,
                           const CommittedEntry& entry) {
  if (index != before.next())
    return verdict_.fire("O8",
                         who + " applies " + index.to_string() + " after " + before.to_string());
  if (index == history_.last().next()) return history_.committed(entry);
  if (index > history_.last())
    return verdict_.fire("O8", who + " applies " + index.to_string() +
                                   ", and nobody has ever applied what is before it");
  const CommittedEntry& first = history_.at(index);
  if (first.term != entry.term || first.chain != entry.chain)
    verdict_.fire("O8", who + " applies an entry of term " + entry.term.to_string() + " at " +
                            index.to_string() + ", another member applied one of term " +
                            first.term.to_string() + " there, or other entries before it");
}

void AppliedChain::restored(const std::string& who, Index index, uint64_t chain) {
  if (index > history_.last() || history_.at(index).chain != chain)
    verdict_.fire("O8", who + " restores a snapshot of " + index.to_string() +
                            " that is not what was applied up to there");
}

}  // namespace bascule::sim
