#include "src/nats/answers.h"

#include "src/nats/json.h"

namespace bascule::nats {
namespace {

struct JetStreamError {
  uint64_t code;      // as an HTTP status
  uint64_t err_code;  // JetStream's own number
};
constexpr JetStreamError k_bad_request{400, 10003};
constexpr JetStreamError k_unavailable{503, 10008};
constexpr JetStreamError k_insufficient_resources{503, 10023};
constexpr JetStreamError k_message_exceeds_maximum{400, 10054};
constexpr JetStreamError k_stream_not_found{404, 10059};
constexpr JetStreamError k_stream_not_match{400, 10060};
constexpr JetStreamError k_store_failed{503, 10077};

JetStreamError jetstream_error(Errc code) {
  switch (code) {
    case Errc::too_large: return k_message_exceeds_maximum;
    case Errc::invalid:
    case Errc::unsupported: return k_bad_request;
    case Errc::unknown_stream:
    case Errc::stream_deleted: return k_stream_not_found;
    case Errc::overloaded:
    case Errc::no_space: return k_insufficient_resources;
    case Errc::not_leader:
    case Errc::not_enough_replicas:
    case Errc::not_yet:
    case Errc::repairing:
    case Errc::stopping:
    case Errc::busy: return k_unavailable;
    case Errc::stream_exists:
    case Errc::unknown_partition:
    case Errc::wrong_expected_offset:
    case Errc::read_only:
    case Errc::unauthenticated:
    case Errc::permission_denied:
    case Errc::unknown_producer:
    case Errc::not_found:
    case Errc::already_exists:
    case Errc::connection_refused:
    case Errc::connection_lost:
    case Errc::fenced:
    case Errc::log_truncated:
    case Errc::cancelled:
    case Errc::corrupt:
    case Errc::data_lost:
    case Errc::outcome_unknown:
    case Errc::deadline_exceeded:
    case Errc::io_error:
    case Errc::internal: return k_store_failed;
  }
  return k_store_failed;
}

std::string error_json(std::string_view stream, JetStreamError error,
                       std::string_view description) {
  const std::string inner = JsonWriter()
                                .number("code", error.code)
                                .number("err_code", error.err_code)
                                .string("description", description)
                                .finish();
  return JsonWriter().nested("error", inner).string("stream", stream).number("seq", 0).finish();
}

bool asks_for_more(std::string_view name) {
  return name == "Nats-Msg-Id" || name == "Nats-Rollup" || name == "Nats-TTL" ||
         name.starts_with("Nats-Expected-");
}

}  // namespace

std::string ack_json(std::string_view stream, Offset offset, bool duplicate) {
  JsonWriter out;
  out.string("stream", stream).number("seq", offset.value + 1);
  if (duplicate) out.boolean("duplicate", true);
  return out.finish();
}

std::string error_json(std::string_view stream, const Error& error) {
  return error_json(stream, jetstream_error(error.code), error.to_string());
}

std::optional<std::string> unmet_condition_json(std::string_view stream,
                                                const std::vector<model::HeaderView>& headers) {
  for (const auto& [name, value] : headers) {
    if (value.empty() || !asks_for_more(name)) continue;
    if (name == "Nats-Expected-Stream") {
      if (value == stream) continue;
      return error_json(stream, k_stream_not_match, "expected stream does not match");
    }
    return error_json(stream, k_bad_request,
                      std::string(name) + " is not supported by this broker; not recorded");
  }
  return std::nullopt;
}

}  // namespace bascule::nats
