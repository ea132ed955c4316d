// A replica that follows the leader of one epoch: a pure machine. What the leader answers goes in, what is
// to be done with the log comes out; the driver (following.cc) does it and says when it is done.
//
//   ask ──records──▶ append ──▶ ask
//    ├───diverging─▶ cut, or refuse where that is below the own HW ──▶ ask
//    ├───below_start─▶ begin anew there, or cut there where the metadata counts on what is here ──▶ ask
//    └───not_now───▶ wait, or the next view of the table
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/ids.h"
#include "src/log/log.h"
#include "src/partition/replication.h"

namespace bascule::partition {

struct FollowerLog {
  Offset log_start;
  Offset leo;
  Epoch last_epoch;
  Offset hw;
  const std::vector<log::EpochStart>& epochs;
};

// What the metadata says of this replica and of choices that lost records.
struct FollowerStanding {
  bool counted = true;  // in ISR or ELR: others may count on what is here
  std::optional<Epoch>
      loss_at;  // epoch of the last leader that was chosen though records may be lost
};

enum class FollowerVerb : uint8_t {
  append,      // the answer's batches, then ask
  cut,         // to `at`, then ask
  begin_anew,  // at `at`, then ask
  wait,        // ask again later
  refuse,      // keep everything, follow no more: this log and the leader's cannot both be right
};

struct FollowerStep {
  FollowerVerb verb = FollowerVerb::wait;
  Offset at;

  bool operator==(const FollowerStep&) const = default;
};

// What to do with an answer to the question that `log` has asked.
FollowerStep follow(const FetchAnswer& answer, const FollowerLog& log,
                    const FollowerStanding& standing);

}  // namespace bascule::partition
