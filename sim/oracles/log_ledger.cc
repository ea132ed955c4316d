#include "sim/oracles/log_ledger.h"

#include <algorithm>

#include "src/base/crc32c.h"
#include "src/model/batch.h"

namespace bascule::sim {

void LogLedger::appended(const LedgerEntry& entry) {
  entries_.push_back(entry);
  history_.emplace(entry.base.value, entry.crc);
}

void LogLedger::promise_synced(Offset end) {
  synced_ = std::max(synced_, std::min(end, this->end()));
  promise_written(end);
}

void LogLedger::promise_written(Offset end) {
  written_ = std::max(written_, std::min(end, this->end()));
}

void LogLedger::truncating(Offset to) {
  // A batch that holds `to` inside goes too.
  const LedgerEntry* entry = find(to);
  const Offset safe = entry != nullptr ? entry->base : to;
  synced_ = std::min(synced_, safe);
  written_ = std::min(written_, safe);
  certain_ = std::min(certain_, safe);
  ++truncations_;
}

void LogLedger::truncated(Offset leo) {
  ++truncations_;  // who began while the cut was on its way saw either history
  settled(leo);
}

void LogLedger::settled(Offset leo) {
  while (!entries_.empty() && (entries_.back().base >= leo || entries_.back().next > leo))
    entries_.pop_back();
  end_ = leo;
}

void LogLedger::moving_start(Offset to) { start_max_ = std::max(start_max_, to); }

void LogLedger::moved_start(Offset to) { start_ = std::max(start_, to); }

void LogLedger::recovered(Offset log_start, Offset leo) {
  synced_ = std::min(synced_, leo);
  // Recovery has synced what it reports.
  promise_synced(leo);
  written_ = std::min(written_, leo);
  moved_start(log_start);
}

Offset LogLedger::marked() const {
  const auto durable_below = [this](Offset end) {
    return std::ranges::upper_bound(entries_, end, {}, &LedgerEntry::next);
  };
  const auto last = durable_below(synced_);
  if (last == entries_.begin()) return {};
  // Durable before the last one was appended, so of an earlier group.
  const auto earlier = durable_below(std::prev(last)->durable_before);
  return earlier == entries_.begin() ? Offset{} : std::prev(earlier)->durable_before;
}

const LedgerEntry* LogLedger::find(Offset offset) const {
  auto it = std::ranges::upper_bound(entries_, offset, {}, &LedgerEntry::next);
  // Entries that take no offset end where they begin.
  while (it != entries_.end() && it->next <= offset) ++it;
  return it != entries_.end() && it->base <= offset ? &*it : nullptr;
}

bool LogLedger::boundary(Offset offset) const {
  if (offset == end()) return true;
  const LedgerEntry* entry = find(offset);
  return entry != nullptr && entry->base == offset;
}

std::string LogLedger::check_batch(ByteView batch, bool strict) const {
  const auto header = model::verify_batch(batch, model::batch_crc_seed(log_id_));
  if (!header) return "O14 a read gave bytes that do not verify: " + header.error().to_string();
  const uint32_t crc = crc32c(batch);
  const auto [begin, end] = history_.equal_range(header->base_offset.value);
  const bool known = std::any_of(begin, end, [&](const auto& item) { return item.second == crc; });
  if (!known)
    return "O11 a batch at " + header->base_offset.to_string() + " that was never appended there";
  if (!strict) return {};
  const LedgerEntry* entry = find(header->base_offset);
  if (entry == nullptr || entry->crc != crc)
    return "O1 the batch at " + header->base_offset.to_string() + " is one that had been cut";
  return {};
}

std::string LogLedger::check_batches(ByteView batches, Offset& from, bool strict) const {
  bool first = true;
  while (!batches.empty()) {
    const auto header = model::decode_batch_header(batches, model::batch_crc_seed(log_id_));
    if (!header) return "O14 a read gave a bad header: " + header.error().to_string();
    if (header->total_bytes > batches.size()) return "O14 a read gave a part of a batch";
    const bool in_order = first ? header->base_offset <= from &&
                                      (header->next_offset() > from || header->offset_count() == 0)
                                : header->base_offset == from;
    if (!in_order)
      return "O3 a read from " + from.to_string() + " gave the batch at " +
             header->base_offset.to_string();
    std::string wrong = check_batch(batches.first(header->total_bytes), strict);
    if (!wrong.empty()) return wrong;
    batches = batches.subspan(header->total_bytes);
    from = header->next_offset();
    first = false;
  }
  return {};
}

bool LogLedger::same_epochs(const std::vector<log::EpochStart>& theirs, Offset log_start,
                            Offset leo) const {
  std::vector<log::EpochStart> ours;
  for (const LedgerEntry& entry : entries_) {
    if (entry.next <= log_start) continue;
    const Offset start = std::max(entry.base, log_start);
    if (start >= leo) break;
    if (ours.empty() || ours.back().epoch < entry.epoch) ours.push_back({entry.epoch, start});
  }
  // They may know epochs from below the log's start.
  std::vector<log::EpochStart> seen;
  for (log::EpochStart e : theirs) {
    e.start = std::max(e.start, log_start);
    if (!seen.empty() && seen.back().start == e.start) seen.pop_back();
    if (e.start < leo) seen.push_back(e);
  }
  return seen == ours;
}

Offset LogLedger::find_time(Offset log_start, Offset leo, WallTime time) const {
  for (const LedgerEntry& entry : entries_) {
    if (entry.next <= log_start || entry.base >= leo) continue;
    if (entry.append_time >= time) return std::max(entry.base, log_start);
  }
  return leo;
}

}  // namespace bascule::sim
