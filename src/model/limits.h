// Every bound of the data path in one place, and the chain that makes them fit into each other:
// what a NATS client may send fits a record, a record fits a batch, a batch fits a message.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bascule::limits {

inline constexpr size_t k_nats_payload_bytes_max = 1 << 20;  // NATS servers' own default
inline constexpr size_t k_subject_bytes_max = 1 << 10;
inline constexpr size_t k_key_bytes_max = 32 << 10;
inline constexpr size_t k_headers_bytes_max = 64 << 10;  // names and values of one record
inline constexpr size_t k_headers_max = 256;             // per record
inline constexpr size_t k_value_bytes_max = 8 << 20;
// One record, framed and encoded, uncompressed.
inline constexpr size_t k_record_bytes_max = 9 << 20;
inline constexpr size_t k_batch_header_bytes = 96;
// A batch as it lies in the log: header and body.
inline constexpr size_t k_batch_bytes_max = 10 << 20;
// A body after decompression.
inline constexpr size_t k_batch_body_bytes_max = k_batch_bytes_max;
inline constexpr size_t k_batch_records_max = 1 << 16;
// One message of the RPC port after authentication, and one frame between brokers.
inline constexpr size_t k_message_bytes_max = 12 << 20;
// One message of the RPC port before authentication.
inline constexpr size_t k_message_bytes_unauthenticated_max = 64 << 10;

inline constexpr size_t k_stream_name_bytes_max = 128;
inline constexpr uint32_t k_partitions_per_stream_max = 4096;
inline constexpr uint32_t k_subjects_per_stream_max = 64;
// A segment below the first would cost a manifest change for every few batches; recovery reads one whole.
inline constexpr uint64_t k_segment_bytes_min = 4 << 10;
inline constexpr uint64_t k_segment_bytes_max = 1 << 30;
inline constexpr uint32_t k_streams_max = 100'000;

static_assert(k_nats_payload_bytes_max <= k_value_bytes_max);
static_assert(k_value_bytes_max + k_key_bytes_max + k_headers_bytes_max + 2 * k_subject_bytes_max +
                  1024 <=
              k_record_bytes_max);
static_assert(k_record_bytes_max + k_batch_header_bytes <= k_batch_bytes_max);
static_assert(k_batch_bytes_max + (64 << 10) <= k_message_bytes_max);

}  // namespace bascule::limits
