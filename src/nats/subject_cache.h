// What was worked out for a subject, for the next message on it: a direct-mapped table of fixed size.
//
// Publishers use few subjects many times; a hit costs one hash and one comparison. An entry counts only
// while its generation is the caller's: whoever changes what the entries are made from raises it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/assert.h"

namespace bascule::nats {

// XXH3 of the subject, the same on every machine.
uint64_t subject_hash(std::string_view subject);

template <class Value>
class SubjectCache {
 public:
  // `slots`: a power of two.
  explicit SubjectCache(size_t slots) : slots_(slots) {
    REQUIRE(slots > 0 && (slots & (slots - 1)) == 0, slots);
  }

  // The value of `subject`; `fill(value)` makes it where it is not known under `generation` (> 0). The
  // value given to `fill` is an old one, to be overwritten: its memory is used again. The result lives
  // until the next call.
  template <class F>
  Value& get(std::string_view subject, uint64_t generation, F&& fill) {
    Slot& slot = slots_[subject_hash(subject) & (slots_.size() - 1)];
    if (slot.generation != generation || slot.subject != subject) [[unlikely]] {
      slot.subject.assign(subject);
      fill(slot.value);
      slot.generation = generation;
    }
    return slot.value;
  }

 private:
  struct Slot {
    uint64_t generation = 0;  // 0: empty
    std::string subject;
    Value value{};
  };
  std::vector<Slot> slots_;
};

}  // namespace bascule::nats
