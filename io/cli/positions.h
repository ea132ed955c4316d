// Where a subscription begins and ends, as people write it on a command line.
#pragma once

#include <string_view>

#include "src/base/result.h"
#include "src/broker/api.h"

namespace bascule::cli {

// "earliest", "latest", "new", "@OFFSET", RFC 3339 time, "-1h", "last:N". `invalid` names the forms.
Result<broker::StartPosition> parse_from(std::string_view text);
// "never", "latest", "@OFFSET", RFC 3339 time. `latest` is inclusive of all that is there at the start.
Result<broker::StopPosition> parse_until(std::string_view text);

}  // namespace bascule::cli
