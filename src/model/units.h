// Durations, sizes and times as people write and read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/base/time.h"

namespace bascule::model {

// "250ms", "1.5h", "7d", "1h30m"; units ns us ms s m h d w. "0" needs none. `invalid` says why.
Result<Duration> parse_duration(std::string_view text);
// The shortest exact form: "1h30m", "250ms", "0s".
std::string format_duration(Duration duration);

// "512", "64KiB", "1.5GiB", "10MB": B, powers of 1024 (KiB MiB GiB TiB) and of 1000 (KB MB GB TB).
Result<uint64_t> parse_size(std::string_view text);
// Exact, in the greatest power of 1024 that divides it: "64MiB", "1000B".
std::string format_size(uint64_t bytes);

// RFC 3339, with a zone: "2026-11-23T21:00:00Z", fractions up to nanoseconds, "+02:00". Also a date alone
// ("2026-11-23", midnight UTC).
Result<WallTime> parse_time(std::string_view text);
// RFC 3339 with nanoseconds, UTC: "2026-11-23T21:00:00.000000000Z".
std::string format_time(WallTime time);

}  // namespace bascule::model
