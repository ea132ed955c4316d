// Error codes and the Error value: what went wrong, told by what the caller can do about it.
//
// One table gives each code its name, its sentence and its retry rule. Codes travel to clients by
// number, so numbers are never reused. `outcome_unknown` is a code of its own and not a timeout: the
// operation may have happened, and a caller that cannot tell must treat it as "perhaps".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bascule {

enum class Errc : uint16_t {
  // The request itself is wrong; sending it again changes nothing.
  invalid = 1,
  too_large = 2,
  unknown_stream = 3,
  stream_exists = 4,
  unknown_partition = 5,
  wrong_expected_offset = 6,
  read_only = 7,
  unauthenticated = 8,
  permission_denied = 9,
  unsupported = 10,
  unknown_producer = 11,
  not_found = 12,
  already_exists = 13,
  // Another node, or a later moment, can serve the request.
  not_leader = 20,
  not_enough_replicas = 21,
  overloaded = 22,
  not_yet = 23,
  repairing = 24,
  stopping = 25,
  busy = 26,
  no_space = 27,
  connection_refused = 28,
  connection_lost = 29,
  // The caller's view of history or its right to act has ended.
  fenced = 40,
  log_truncated = 41,
  stream_deleted = 42,
  cancelled = 43,
  // Data is damaged; other ranges are still served.
  corrupt = 60,
  data_lost = 61,
  // May or may not have happened.
  outcome_unknown = 80,
  deadline_exceeded = 81,
  // The world below failed.
  io_error = 100,
  internal = 101,
};

// What a caller may do with an operation that ended with a code.
enum class Retry : uint8_t {
  never,       // the same request fails again
  later,       // definite refusal: it did not happen; retry after a pause
  elsewhere,   // definite refusal: it did not happen; look up the leader, then retry there
  idempotent,  // it may have happened: retry only what is safe to do twice
};

struct ErrcEntry {
  Errc code;
  std::string_view name;
  std::string_view text;
  Retry retry;
};

// The entry of `code`. A number that no code has (from a newer peer) gives the entry of `internal`.
const ErrcEntry& errc_entry(Errc code);
// All entries, in order of their codes, for `bascule explain`.
const ErrcEntry* errc_entries_begin();
const ErrcEntry* errc_entries_end();
std::string_view errc_name(Errc code);
Retry errc_retry(Errc code);

// An error: the code decides what a program does, the context tells a person what it was about.
// `context` is at most a short sentence and never holds a secret.
struct [[nodiscard]] Error {
  Errc code = Errc::internal;
  std::string context;

  bool operator==(const Error&) const = default;
  // "not_leader: it is led by another broker, or by none (orders/3)"
  std::string to_string() const;
};

}  // namespace bascule
