// What a stream is told to be. A value: compared, stored in the metadata table, sent to clients.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/base/time.h"

namespace bascule::model {

enum class DurabilityMode : uint8_t {
  fsync = 0,   // acked when synced on disk
  memory = 1,  // acked when the operating system has it; synced at an interval
};

enum class Acks : uint8_t {
  none = 0,    // answered when the request was accepted
  leader = 1,  // in the leader's log, by the stream's durability
  all = 2,     // committed: on every in-sync replica, at least min_isr of them
};

// Whether a NATS message with a reply subject gets an acknowledgement there.
enum class AnswerMode : uint8_t {
  automatic = 0,  // on where the first token of every subject is literal
  on = 1,
  off = 2,
};

struct StreamConfig {
  std::string name;                   // 1..128 of [A-Za-z0-9._-], not starting with '.' or '-'
  std::vector<std::string> subjects;  // NATS subjects, wildcards allowed; at least one
  uint32_t partitions = 1;            // 1..4096
  uint32_t replicas = 1;
  uint32_t min_isr = 1;  // 1..replicas
  DurabilityMode durability = DurabilityMode::fsync;
  AnswerMode answers = AnswerMode::automatic;
  Duration retain_age{};           // 0: for ever
  uint64_t retain_bytes = 0;       // per partition; 0: no limit
  uint64_t retain_messages = 0;    // per partition; 0: no limit
  uint64_t segment_bytes = 0;      // 0: the broker's default
  uint32_t message_bytes_max = 0;  // 0: the broker's default

  bool operator==(const StreamConfig&) const = default;
};

// `invalid` with the field's name and what is wrong with it.
Status check_stream_config(const StreamConfig& config);

// ⌊replicas / 2⌋ + 1.
constexpr uint32_t default_min_isr(uint32_t replicas) { return replicas / 2 + 1; }

// Whether an answering publisher protocol is on for the stream: `answers`, resolved.
bool answers_publishers(const StreamConfig& config);

// A publisher takes the first answer for the truth, so at most one stream may answer on a subject:
// `invalid`, naming `existing` and what to do, when both answer and some subject is recorded by both.
// Called for a stream to be created or altered, once per other stream.
Status check_answers_beside(const StreamConfig& wanted, const StreamConfig& existing);

// Partition of a key: xxh64(key, seed 0) mod partitions, the same for every client and version.
uint32_t partition_of_key(std::string_view key, uint32_t partitions);

}  // namespace bascule::model
