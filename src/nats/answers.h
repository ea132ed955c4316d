// What a stream answers to a publisher, in the JSON of JetStream's publish acknowledgement, so that every
// client library's JetStream publish understands it. Codes and numbers are those of nats-server's
// errors.json.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/base/ids.h"
#include "src/model/record.h"

namespace bascule::nats {

// {"stream":"NAME","seq":N}; JetStream counts from 1, so N is the offset + 1.
std::string ack_json(std::string_view stream, Offset offset, bool duplicate);

// {"error":{"code":503,"err_code":…,"description":"…"},"stream":"NAME","seq":0}.
std::string error_json(std::string_view stream, const Error& error);

// JetStream's headers ask for more than to be recorded. The answer to a message whose headers ask for what
// cannot be promised here (deduplication, expectations, roll-up, time to live), or whose
// Nats-Expected-Stream names another stream; nullopt: none does.
std::optional<std::string> unmet_condition_json(std::string_view stream,
                                                const std::vector<model::HeaderView>& headers);

}  // namespace bascule::nats
