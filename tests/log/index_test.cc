#include "src/log/index.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace bascule::log {
namespace {

std::vector<BatchPlace> some_batches() {
  std::vector<BatchPlace> out;
  BatchPlace at;
  at.position = 512;
  const auto n = *rc::gen::inRange(1, 60);
  for (int i = 0; i < n; ++i) {
    at.base = at.next + *rc::gen::element<uint64_t>(0, 0, 0, 7);  // sometimes a hole
    at.next = at.base + *rc::gen::inRange<uint64_t>(0, 4);        // 0: a control batch
    at.append_time = at.append_time + nanoseconds(*rc::gen::inRange(0, 3));
    at.bytes = *rc::gen::inRange<uint32_t>(96, 9000);
    out.push_back(at);
    at.position += at.bytes;
  }
  return out;
}

RC_GTEST_PROP(index, floor_gives_a_batch_at_or_before_the_one_that_is_sought, ()) {
  const auto batches = some_batches();
  SegmentIndex index(4096);
  for (const auto& b : batches) index.add(b);
  for (const auto& b : batches) {
    const auto* entry = index.floor(b.base);
    RC_ASSERT(entry != nullptr);
    RC_ASSERT(entry->offset <= b.base);
    // The first batch of that offset: a control batch before it is not skipped.
    RC_ASSERT(entry->position <= b.position);
    // Between the entry and the batch there is no hole.
    Offset at = entry->offset;
    for (const auto& other : batches)
      if (other.position >= entry->position && other.position <= b.position) {
        RC_ASSERT(other.base == at);
        at = other.next;
      }
  }
}

RC_GTEST_PROP(index, time_lookup_never_starts_behind_the_first_batch_of_that_time, ()) {
  const auto batches = some_batches();
  SegmentIndex index(4096);
  for (const auto& b : batches) index.add(b);
  for (int64_t t = 0; t <= batches.back().append_time.ns; ++t) {
    const auto* entry = index.before(WallTime{t});
    RC_ASSERT(entry != nullptr);
    for (const auto& b : batches)
      if (b.append_time >= WallTime{t}) {
        RC_ASSERT(entry->position <= b.position);
        break;
      }
  }
}

RC_GTEST_PROP(index, decodes_to_what_was_encoded_in_its_own_life_alone, ()) {
  const auto batches = some_batches();
  SegmentIndex index(4096);
  for (const auto& b : batches) index.add(b);
  Bytes bytes = index.encode(Uuid{{8, 9}});
  const auto decoded = SegmentIndex::decode(bytes, Uuid{{8, 9}}, 4096);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(*decoded == index);
  RC_ASSERT(!SegmentIndex::decode(bytes, Uuid{{8, 8}}, 4096));
  const auto at = *rc::gen::inRange<size_t>(0, bytes.size());
  bytes[at] ^= 4;
  RC_ASSERT(!SegmentIndex::decode(bytes, Uuid{{8, 9}}, 4096));
}

}  // namespace
}  // namespace bascule::log
