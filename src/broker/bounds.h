// Every bound of the broker in one place, with what happens when it is reached. Clients are told by
// name (`overloaded`, unless another error is said) and lose nothing: a refusal is definite.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/base/time.h"
#include "src/model/limits.h"

namespace bascule::broker::bounds {

// Bytes of one partition that are admitted and not committed, and of the whole broker. Beyond: overloaded.
// One batch passes whatever its size.
inline constexpr uint64_t k_partition_in_flight_bytes_max = 32 << 20;
inline constexpr uint64_t k_in_flight_bytes_max = 256 << 20;
// Publishes of the whole broker without an answer. Beyond: overloaded.
inline constexpr uint64_t k_publishes_max = 200'000;

// Subscriptions of one partition, and of the whole broker. Beyond: overloaded.
inline constexpr uint64_t k_partition_subscriptions_max = 10'000;
inline constexpr uint64_t k_subscriptions_max = 100'000;
// Read at once for one subscription, within its credit. What is read is handed over in the same turn: a
// subscription holds nothing else.
inline constexpr size_t k_read_bytes_max = 1 << 20;
// A delivery is charged at least this, so that credit bounds the number of empty ones too.
inline constexpr size_t k_delivery_charge_min = 512;

// Stream creations and deletions without an answer. Beyond: overloaded.
inline constexpr uint64_t k_stream_changes_max = 1'000;
inline constexpr uint64_t k_stream_observers_max = 16;

// Who reads events, those who wait for one included. Beyond: overloaded.
inline constexpr size_t k_event_readers_max = 10'000;
// Who waits for a producer id until the controller has given a block. Beyond: overloaded.
inline constexpr size_t k_producers_waiting_max = 10'000;
// Events of one answer; more are not given.
inline constexpr uint32_t k_events_per_page_max = 4'096;

// Logs that are opened at the same time, at a start.
inline constexpr size_t k_logs_opening_max = 16;
// A log that could not be opened for want of space or descriptors is tried again after this.
inline constexpr Duration k_open_retry_delay = seconds(2);

static_assert(k_partition_in_flight_bytes_max >= limits::k_batch_bytes_max);
// A delivery: see Wanted::bytes_max. Its largest part may be one derived batch and a little more.
static_assert(k_read_bytes_max + limits::k_batch_bytes_max + (64 << 10) <=
              limits::k_message_bytes_max);
static_assert(k_in_flight_bytes_max >= k_partition_in_flight_bytes_max);

}  // namespace bascule::broker::bounds
