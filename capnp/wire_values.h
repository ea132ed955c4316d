// Values of broker/api.h to and from the wire's structs. Everything read is foreign: what has no
// meaning (an enumerator of a later version, a missing struct) is an error, never an assertion.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "capnp/bascule.capnp.h"
#include "src/base/result.h"
#include "src/broker/api.h"
#include "src/client/transport.h"

namespace bascule::rpc {

// --- Writing ---
void write_optional(wire::OptionalOffset::Builder out, const std::optional<Offset>& offset);
void write_max_age(wire::MaxAge::Builder out, Duration max_age);
void write_as_of(wire::AsOf::Builder out, const broker::AsOf& as_of);
void write_failure(wire::Failure::Builder out, const Error& error,
                   const std::optional<client::LeaderHint>& leader = {});
void write_status(wire::StreamStatus::Builder out, const broker::StreamStatus& status);
void write_info(wire::StreamInfo::Builder out, const broker::StreamStatus& status,
                const std::vector<client::NodeEndpoint>& nodes, const broker::AsOf& as_of);
void write_config(wire::StreamConfig::Builder out, const model::StreamConfig& config);
void write_ref(wire::StreamRef::Builder out, const broker::StreamRef& ref);
void write_start(wire::StartPosition::Builder out, const broker::StartPosition& from);
void write_stop(wire::StopPosition::Builder out, const broker::StopPosition& until);
void write_end(wire::SubscriptionEnd::Builder out, const broker::SubscriptionEnd& end);
wire::Acks write_acks(model::Acks acks);

// --- Reading ---
std::optional<Offset> read_optional(wire::OptionalOffset::Reader in);
// Of an unknown form: as if it were linearizable, which is never wrong.
Duration read_max_age(wire::MaxAge::Reader in);
broker::AsOf read_as_of(wire::AsOf::Reader in);
client::Failure read_failure(wire::Failure::Reader in);
Result<broker::StreamStatus> read_status(wire::StreamStatus::Reader in);
Result<client::StreamInfo> read_info(wire::StreamInfo::Reader in);
Result<model::StreamConfig> read_config(wire::StreamConfig::Reader in);
broker::StreamRef read_ref(wire::StreamRef::Reader in);
Result<broker::StartPosition> read_start(wire::StartPosition::Reader in);
Result<broker::StopPosition> read_stop(wire::StopPosition::Reader in);
broker::SubscriptionEnd read_end(wire::SubscriptionEnd::Reader in);
Result<model::Acks> read_acks(wire::Acks acks);
std::string read_text(::capnp::Text::Reader in);

// A deadline as the time left at `now`; 0 stands for "none given". One that has passed is 1 ns.
uint64_t budget_of(MonotonicTime deadline, MonotonicTime now);
// The deadline of a budget that arrived at `now`; `fallback` where none was given, which is also the most
// that a client may ask for.
MonotonicTime deadline_of(uint64_t budget_ns, MonotonicTime now, Duration fallback);

}  // namespace bascule::rpc
