#include "src/log/verdict.h"

#include <algorithm>

namespace bascule::log {
namespace {

class Judge {
 public:
  explicit Judge(VerdictInput& in) : in_(in), at_(in.start) {
    epoch_ = in.last_epoch;
    time_ = in.last_append_time;
  }

  Verdict run() {
    find_bound();
    for (size_t s = 0; s < in_.segments.size() && !ended_; ++s)
      for (ScannedGroup& group : in_.scans[s].groups) {
        take(s, group);
        if (ended_) break;
      }
    if (at_ < out_.bound) damage(out_.bound);
    out_.leo = at_;
    out_.copy_from = copy_from_.value_or(out_.leo);
    return std::move(out_);
  }

 private:
  void find_bound() {
    out_.bound = in_.bound;
    for (size_t s = 0; s < in_.segments.size(); ++s) {
      const SegmentEntry& entry = in_.segments[s];
      Offset mark = in_.scans[s].mark;
      if (entry.sealed) mark = std::min(mark, entry.end);
      out_.bound = std::max(out_.bound, mark);
    }
    if (in_.end) out_.bound = *in_.end;
  }

  // Everything from at_ up to `to` is missing.
  void damage(Offset to) {
    if (!out_.damaged.empty() && out_.damaged.back().next == at_) {
      out_.damaged.back().next = to;
    } else {
      out_.damaged.push_back({at_, to});
    }
    at_ = to;
  }

  void end_here() {
    ended_ = true;
    out_.cut = true;
  }

  Offset limit_of(size_t s) const {
    Offset limit = in_.end.value_or(Offset(UINT64_MAX));
    if (in_.segments[s].sealed) limit = std::min(limit, in_.segments[s].end);
    return limit;
  }

  bool continues(const BatchPlace& b) const { return b.epoch >= epoch_ && b.append_time >= time_; }

  void take(size_t s, ScannedGroup& group) {
    const Offset limit = limit_of(s);
    KeptGroup kept{s, {group.position, group.extent, group.framed, group.whole, {}}};
    const bool counts_whole = group.framed && group.whole;
    for (const BatchPlace& batch : group.batches) {
      if (batch.base < at_ || batch.next > limit || !continues(batch)) continue;
      // Nothing counts above the bound unless its whole group does, without a gap before it.
      const bool above = batch.next > out_.bound || batch.base >= out_.bound;
      if (above && (!counts_whole || (batch.base > at_ && batch.base > out_.bound))) {
        if (batch.next > out_.bound) {
          if (at_ < out_.bound) damage(out_.bound);
          end_here();
          break;
        }
        continue;
      }
      if (batch.base > at_) damage(batch.base);
      at_ = batch.next;
      epoch_ = batch.epoch;
      time_ = batch.append_time;
      if (!copy_from_ && (!group.framed || batch.next > out_.bound)) copy_from_ = batch.base;
      kept.group.batches.push_back(batch);
    }
    // Bytes that look like log, at or above the end of what counts.
    if (kept.group.batches.size() < std::max<size_t>(group.batches.size(), 1) && !in_.end &&
        at_ >= out_.bound)
      out_.cut = true;
    if (!kept.group.batches.empty()) out_.kept.push_back(std::move(kept));
  }

  VerdictInput& in_;
  Offset at_;
  Epoch epoch_;
  WallTime time_;
  std::optional<Offset> copy_from_;
  bool ended_ = false;
  Verdict out_;
};

}  // namespace

Verdict judge(VerdictInput input) { return Judge(input).run(); }

}  // namespace bascule::log
