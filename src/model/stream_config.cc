#include "src/model/stream_config.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "src/base/assert.h"
#include "src/model/limits.h"
#include "src/model/subject.h"

namespace bascule::model {
namespace {

bool name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

Status check_name(std::string_view name) {
  if (name.empty()) return fail(Errc::invalid, "name: is empty");
  if (name.size() > limits::k_stream_name_bytes_max)
    return fail(Errc::invalid, "name: is over 128 bytes");
  if (!std::ranges::all_of(name, name_character) || name.front() == '.' || name.front() == '-')
    return fail(Errc::invalid,
                "name: use letters, digits, '_', '-' and '.', and begin with no '.' or '-'");
  return {};
}

}  // namespace

Status check_stream_config(const StreamConfig& c) {
  BASCULE_TRY(check_name(c.name));
  if (c.subjects.empty()) return fail(Errc::invalid, "subjects: at least one is needed");
  if (c.subjects.size() > limits::k_subjects_per_stream_max)
    return fail(Errc::invalid, "subjects: more than 64");
  for (const std::string& subject : c.subjects) {
    if (!valid_subject_filter(subject))
      return fail(Errc::invalid, "subjects: \"" + subject + "\" is not a NATS subject");
  }
  if (c.partitions == 0 || c.partitions > limits::k_partitions_per_stream_max)
    return fail(Errc::invalid, "partitions: must be from 1 to 4096");
  if (c.replicas == 0) return fail(Errc::invalid, "replicas: must be at least 1");
  if (c.min_isr == 0 || c.min_isr > c.replicas)
    return fail(Errc::invalid, "min_isr: must be from 1 to the number of replicas");
  if (c.retain_age.ns < 0) return fail(Errc::invalid, "retain_age: is negative");
  if (c.segment_bytes != 0 && (c.segment_bytes < limits::k_segment_bytes_min ||
                               c.segment_bytes > limits::k_segment_bytes_max))
    return fail(Errc::invalid, "segment_bytes: must be from 4 KiB to 1 GiB, or 0");
  if (c.message_bytes_max > limits::k_value_bytes_max)
    return fail(Errc::invalid, "message_bytes_max: is over 8 MiB");
  return {};
}

bool answers_publishers(const StreamConfig& config) {
  switch (config.answers) {
    case AnswerMode::on: return true;
    case AnswerMode::off: return false;
    case AnswerMode::automatic: return std::ranges::all_of(config.subjects, first_token_literal);
  }
  return false;
}

Status check_answers_beside(const StreamConfig& wanted, const StreamConfig& existing) {
  if (!answers_publishers(wanted) || !answers_publishers(existing)) return {};
  for (const std::string& mine : wanted.subjects) {
    for (const std::string& theirs : existing.subjects) {
      if (recorded_subjects_overlap(mine, theirs))
        return fail(Errc::invalid, "answers: the stream \"" + existing.name +
                                       "\" already answers publishers on \"" + theirs +
                                       "\", which overlaps \"" + mine +
                                       "\"; turn answers off for one of the two");
    }
  }
  return {};
}

uint32_t partition_of_key(std::string_view key, uint32_t partitions) {
  REQUIRE(partitions > 0);
  return static_cast<uint32_t>(XXH64(key.data(), key.size(), 0) % partitions);
}

}  // namespace bascule::model
