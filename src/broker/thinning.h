// Batches of the log as one subscriber wants them: whole and untouched where every record is wanted,
// else re-encoded with those that are, and marked `derived`.
//
// A derived batch keeps epoch, append time and the offsets of its records. It covers the offsets from
// the subscription's position (or its original's base) up to the stop (or its original's end): its base
// and last offset delta say so, whatever records are left. It carries no producer fields and no
// compression; its header is sealed like those of the log. A compressed batch that is too large for one
// derived batch becomes two, which follow one another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/base/time.h"
#include "src/broker/api.h"
#include "src/broker/bounds.h"

namespace bascule::broker {

struct Wanted {
  Offset from;                     // first offset not yet delivered
  Offset until;                    // first offset not to be delivered: HW, or the stop position
  std::optional<WallTime> before;  // first append time not to be delivered
  std::string filter;              // empty: all subjects
  uint32_t header_seed = 0;
  // With so much gathered no further batch is looked at: what is read small may become large here. So a
  // delivery holds below this and one batch, and fits into a message.
  size_t bytes_max = bounds::k_read_bytes_max;
};

struct Thinned {
  // One per run of batches of one epoch; `hw` is the caller's to set. Empty ranges make none.
  std::vector<Delivery> deliveries;
  Offset next;           // where to read on, perhaps amid `batches`
  bool stopped = false;  // `until` or `before` was reached
};

// `batches` are whole batches of the log from the one that holds wanted.from on. Every header, and the
// body of every batch that is taken apart, is verified. Errors: `corrupt`, with all before it dropped.
Result<Thinned> thin(const std::vector<Slice>& batches, const Wanted& wanted);

}  // namespace bascule::broker
