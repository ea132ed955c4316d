#include "src/controller/metadata_scan.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace bascule::controller {
namespace {

Status check_nothing_later(const SegmentEntry& segment, const GroupPlace& end,
                           const std::array<ByteView, 2>& copies) {
  for (const ByteView& copy : copies) {
    for (uint64_t at = end.position + k_group_alignment; at < copy.size();
         at += k_group_alignment) {
      if (later_group_at(copy, at, segment.nonce, end.sequence))
        return fail(Errc::corrupt, "metadata log " + segment_name(segment.file) + ": entry " +
                                       end.first.to_string() + " is damaged in both copies, at " +
                                       std::to_string(end.position) + "; later ones are there");
    }
  }
  return {};
}

bool same_entries(const ParsedGroup& a, const ParsedGroup& b) {
  return std::ranges::equal(a.entries, b.entries, [](const Entry& x, const Entry& y) {
    return x.term == y.term && equal(x.command, y.command);
  });
}

}  // namespace

Result<SegmentScan> scan_segment(const SegmentEntry& segment,
                                 const std::array<ByteView, 2>& copies) {
  SegmentScan scan;
  GroupPlace place{segment.nonce, 0, 1, segment.first};
  while (true) {
    std::optional<ParsedGroup> found = parse_group(copies[0], place);
    std::optional<ParsedGroup> other = parse_group(copies[1], place);
    if (!found && !other) break;
    if (found && other && !same_entries(*found, *other))
      return fail(Errc::corrupt, "metadata log " + segment_name(segment.file) +
                                     ": the copies have different entries at " +
                                     std::to_string(place.position));
    if (!found || !other) ++scan.groups_in_one_copy;
    if (!found) found = std::move(other);
    ++scan.groups;
    place.position += found->extent;
    ++place.sequence;
    place.first = Index(place.first.value + found->entries.size());
    scan.entries.insert(scan.entries.end(), found->entries.begin(), found->entries.end());
  }
  BASCULE_TRY(check_nothing_later(segment, place, copies));
  return scan;
}

}  // namespace bascule::controller
