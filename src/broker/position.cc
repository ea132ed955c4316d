#include "src/broker/position.h"

#include <algorithm>

namespace bascule::broker {
namespace {

// End of what a reader whose last record is of `epoch` can have in common with this log: where the
// first later epoch of ours begins, or HW (KIP-101, KIP-320).
Offset common_end(Epoch epoch, const VisibleLog& log) {
  for (const log::EpochStart& e : log.epochs) {
    if (e.epoch > epoch) return std::min(e.start, log.hw);
  }
  return log.hw;
}

std::optional<Epoch> epoch_at(Offset offset, const VisibleLog& log) {
  std::optional<Epoch> found;
  for (const log::EpochStart& e : log.epochs) {
    if (e.start > offset) break;
    found = e.epoch;
  }
  return found;
}

ResolvedStart resolve_offset(const FromOffset& from, const VisibleLog& log) {
  if (from.offset > log.hw)
    return {from.offset, std::nullopt,
            from.epoch_before ? std::min(common_end(*from.epoch_before, log), log.hw) : log.hw};
  // What lies before the log's start is gone, and its history cannot be compared.
  if (from.epoch_before && from.offset > log.log_start) {
    const std::optional<Epoch> ours = epoch_at(from.offset - 1, log);
    if (ours && *ours != *from.epoch_before)
      return {from.offset, std::nullopt,
              std::min(common_end(*from.epoch_before, log), from.offset - 1)};
  }
  return {std::max(from.offset, log.log_start), std::nullopt, std::nullopt};
}

struct Resolver {
  const VisibleLog& log;

  static ResolvedStart at(Offset offset) { return {offset, std::nullopt, std::nullopt}; }
  Offset back_from_hw(uint64_t count) const {
    return count > log.hw - log.log_start ? log.log_start : log.hw - count;
  }

  ResolvedStart operator()(const FromEarliest&) const { return at(log.log_start); }
  ResolvedStart operator()(const FromLatest&) const { return at(back_from_hw(1)); }
  ResolvedStart operator()(const FromNew&) const { return at(log.hw); }
  ResolvedStart operator()(const FromOffset& from) const { return resolve_offset(from, log); }
  ResolvedStart operator()(const FromTime& from) const {
    return {log.log_start, from.time, std::nullopt};
  }
  ResolvedStart operator()(const FromAgo& from) const {
    // A client's number: what reaches beyond all time is all of the log, what lies ahead is now.
    const int64_t ago = std::max<int64_t>(from.ago.ns, 0);
    const bool before_time = log.wall.ns < INT64_MIN + ago;
    return {log.log_start, before_time ? WallTime{INT64_MIN} : WallTime{log.wall.ns - ago},
            std::nullopt};
  }
  ResolvedStart operator()(const FromLast& from) const { return at(back_from_hw(from.count)); }
};

}  // namespace

ResolvedStart resolve_start(const StartPosition& from, const VisibleLog& log) {
  return std::visit(Resolver{log}, from);
}

}  // namespace bascule::broker
