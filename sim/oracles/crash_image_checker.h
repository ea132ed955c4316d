// O2 and O13: recovers a crash image alone, in a sandbox, while the run goes on undisturbed, and holds what
// it finds against the ledgers. Nothing synced is lost, nothing is there that was never appended, and
// a second recovery, from the worst image that the first one can leave, finds the same.
#pragma once

#include <string>
#include <vector>

#include "sim/oracles/log_ledger.h"
#include "sim/world/storage.h"
#include "sim/worlds/storage/log_program.h"

namespace bascule::sim {

// `seed`: of the sandbox. Damaged ledgers are held to less: what is read must be right. Empty: all is well;
// else the finding, without an oracle's name.
std::string check_crash_image(const Storage& image, const LogSetup& setup,
                              const std::vector<LogLedger>& ledgers, uint64_t seed);

}  // namespace bascule::sim
