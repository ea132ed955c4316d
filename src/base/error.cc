#include "src/base/error.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace bascule {
namespace {

constexpr std::array k_entries{
    ErrcEntry{Errc::invalid, "invalid", "the request is malformed", Retry::never},
    ErrcEntry{Errc::too_large, "too_large", "the message or batch is over the limit", Retry::never},
    ErrcEntry{Errc::unknown_stream, "unknown_stream", "no stream has this name or id",
              Retry::never},
    ErrcEntry{Errc::stream_exists, "stream_exists", "a stream of this name exists", Retry::never},
    ErrcEntry{Errc::unknown_partition, "unknown_partition", "the stream has no such partition",
              Retry::never},
    ErrcEntry{Errc::wrong_expected_offset, "wrong_expected_offset",
              "the partition's last offset is not the expected one", Retry::never},
    ErrcEntry{Errc::read_only, "read_only", "the stream does not take messages", Retry::never},
    ErrcEntry{Errc::unauthenticated, "unauthenticated", "the credentials are missing or wrong",
              Retry::never},
    ErrcEntry{Errc::permission_denied, "permission_denied", "the principal may not do this",
              Retry::never},
    ErrcEntry{Errc::unsupported, "unsupported", "this version does not know what was asked",
              Retry::never},
    ErrcEntry{Errc::unknown_producer, "unknown_producer",
              "the partition holds no state of this producer", Retry::never},
    ErrcEntry{Errc::not_found, "not_found", "it does not exist", Retry::never},
    ErrcEntry{Errc::already_exists, "already_exists", "it exists already", Retry::never},
    ErrcEntry{Errc::not_leader, "not_leader", "it is led by another broker, or by none",
              Retry::elsewhere},
    ErrcEntry{Errc::not_enough_replicas, "not_enough_replicas",
              "fewer replicas are in sync than min_isr asks", Retry::later},
    ErrcEntry{Errc::overloaded, "overloaded", "a bound was reached", Retry::later},
    ErrcEntry{Errc::not_yet, "not_yet", "the leader is not ready to answer this", Retry::later},
    ErrcEntry{Errc::repairing, "repairing", "the range is damaged here and being repaired",
              Retry::later},
    ErrcEntry{Errc::stopping, "stopping", "the broker is draining", Retry::elsewhere},
    ErrcEntry{Errc::busy, "busy", "another process or operation holds it", Retry::later},
    ErrcEntry{Errc::no_space, "no_space", "the disk or its limit is full", Retry::later},
    ErrcEntry{Errc::connection_refused, "connection_refused", "nobody listens there", Retry::later},
    ErrcEntry{Errc::connection_lost, "connection_lost", "the connection broke", Retry::idempotent},
    ErrcEntry{Errc::fenced, "fenced", "a later epoch or incarnation has taken over",
              Retry::elsewhere},
    ErrcEntry{Errc::log_truncated, "log_truncated", "history changed before this position",
              Retry::never},
    ErrcEntry{Errc::stream_deleted, "stream_deleted", "the stream was deleted", Retry::never},
    ErrcEntry{Errc::cancelled, "cancelled", "the caller gave up", Retry::idempotent},
    ErrcEntry{Errc::corrupt, "corrupt", "the data here is damaged and has no good copy",
              Retry::never},
    ErrcEntry{Errc::data_lost, "data_lost", "the storage that held the data is gone", Retry::never},
    ErrcEntry{Errc::outcome_unknown, "outcome_unknown", "it may or may not have happened",
              Retry::idempotent},
    ErrcEntry{Errc::deadline_exceeded, "deadline_exceeded", "the deadline passed; nothing was done",
              Retry::later},
    ErrcEntry{Errc::io_error, "io_error", "the disk or the network failed", Retry::never},
    ErrcEntry{Errc::internal, "internal", "a fault of the broker", Retry::idempotent},
};

static_assert(std::ranges::is_sorted(k_entries, {}, &ErrcEntry::code));

}  // namespace

const ErrcEntry& errc_entry(Errc code) {
  const auto* it = std::ranges::lower_bound(k_entries, code, {}, &ErrcEntry::code);
  if (it == k_entries.end() || it->code != code) return k_entries.back();
  return *it;
}

const ErrcEntry* errc_entries_begin() { return k_entries.data(); }
const ErrcEntry* errc_entries_end() { return k_entries.data() + k_entries.size(); }
std::string_view errc_name(Errc code) { return errc_entry(code).name; }
Retry errc_retry(Errc code) { return errc_entry(code).retry; }

std::string Error::to_string() const {
  const ErrcEntry& entry = errc_entry(code);
  std::string out{entry.name};
  out += ": ";
  out += entry.text;
  if (!context.empty()) {
    out += " (";
    out += context;
    out += ')';
  }
  return out;
}

}  // namespace bascule
