#include "src/raft/store_scan.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace bascule::raft {
namespace {

Error both_damaged(const SegmentEntry& segment, const GroupPlace& at, std::string_view why) {
  return {Errc::corrupt, "raft log " + segment_name(segment.file) + ": group " +
                             std::to_string(at.sequence) + " is damaged in both copies, at " +
                             std::to_string(at.position) + "; " + std::string(why)};
}

Status check_nothing_later(const SegmentEntry& segment, const GroupPlace& end,
                           const std::array<ByteView, 2>& copies) {
  for (const ByteView& copy : copies) {
    for (uint64_t at = end.position + k_group_alignment; at < copy.size();
         at += k_group_alignment) {
      if (later_group_at(copy, at, end))
        return fail(both_damaged(segment, end, "later ones are there"));
    }
  }
  return {};
}

bool same(const ParsedGroup& a, const ParsedGroup& b) {
  return a.hard == b.hard && a.first == b.first &&
         std::ranges::equal(a.entries, b.entries, [](const EntryView& x, const EntryView& y) {
           return x.term == y.term && x.kind == y.kind && equal(x.data, y.data);
         });
}

}  // namespace

Result<SegmentScan> scan_segment(const SegmentEntry& segment, bool sealed,
                                 const std::array<ByteView, 2>& copies) {
  SegmentScan scan;
  GroupPlace place{segment.nonce, 0, 1};
  while (!sealed || scan.groups.size() < segment.groups) {
    std::optional<ParsedGroup> found = parse_group(copies[0], place);
    std::optional<ParsedGroup> other = parse_group(copies[1], place);
    if (!found && !other) break;
    if (found && other && !same(*found, *other))
      return fail(Errc::corrupt, "raft log " + segment_name(segment.file) +
                                     ": the copies have different entries at " +
                                     std::to_string(place.position));
    if (!found || !other) ++scan.groups_in_one_copy;
    if (!found) found = std::move(other);
    place.position += found->extent;
    ++place.sequence;
    scan.groups.push_back(std::move(*found));
  }
  if (scan.groups.size() < segment.groups)
    return fail(both_damaged(segment, place, "it was durable"));
  if (!sealed) BASCULE_TRY(check_nothing_later(segment, place, copies));
  return scan;
}

Status Replay::apply(const ParsedGroup& group) {
  if (group.first == Index{} || group.first > last().next())
    return fail(Errc::corrupt, "raft log: a group at entry " + group.first.to_string() +
                                   " follows a log that ends at " + last().to_string());
  if (group.first < first_) {
    // It cut what a snapshot has covered since; its own entries were copied or committed after.
    first_ = group.first;
    entries_.clear();
  }
  entries_.resize(static_cast<size_t>(group.first.value - first_.value));
  entries_.insert(entries_.end(), group.entries.begin(), group.entries.end());
  return {};
}

}  // namespace bascule::raft
