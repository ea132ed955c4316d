// A message's header block: "NATS/1.0", perhaps a status, CR LF, then "Name: value" lines, then an empty
// line. Between the wire and records, which keep headers as pairs.
#pragma once

#include <string_view>
#include <vector>

#include "src/base/bytes.h"
#include "src/model/record.h"

namespace bascule::nats {

// Replaces `out` by the block's pairs, in their order, names as written; blanks around values are not part
// of them. A status in the version line becomes "Status" and "Description", as NATS clients show it. What
// is not as it should be is kept as far as it can be: a line without a colon is a name without a value.
// Views live as long as `block`.
void parse_headers(ByteView block, std::vector<model::HeaderView>& out);

// The value of the first header of exactly this name; empty: none.
std::string_view header_value(const std::vector<model::HeaderView>& headers, std::string_view name);

}  // namespace bascule::nats
