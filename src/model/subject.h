// NATS subjects: tokens divided by '.', where a subscription's `*` stands for one token and a final
// `>` for one or more.
#pragma once

#include <string_view>

namespace bascule::model {

// Non-empty tokens without white space or control characters; no wildcards.
bool valid_subject(std::string_view subject);
// As above, and `*` or `>` may stand as whole tokens, `>` only as the last.
bool valid_subject_filter(std::string_view filter);
// Whether the literal `subject` is in what `filter` stands for. Both are valid.
bool subject_matches(std::string_view filter, std::string_view subject);
// Whether some subject is matched by both filters.
bool filters_overlap(std::string_view a, std::string_view b);
// True when the first token is neither `*` nor `>`.
bool first_token_literal(std::string_view filter);
// `_INBOX.>` and `$…` are recorded only by a filter that names their first token literally.
bool reserved_subject(std::string_view subject);
// Whether a stream with this filter records this subject: matches, and reserved ones by name alone.
bool records_subject(std::string_view filter, std::string_view subject);
// Whether some subject is recorded by streams of both filters.
bool recorded_subjects_overlap(std::string_view a, std::string_view b);

}  // namespace bascule::model
