// Ids and positions as distinct types: two of them side by side cannot be swapped.
//
// All are unsigned 64-bit (32 where said) with 0 as the first value of a position and as "none" of
// an id. Arithmetic is only where it has a meaning: offset + count, offset - offset.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace bascule {

// A number of its own type. `Tag` is an incomplete struct that only names it.
template <class Tag, class Rep = uint64_t>
struct StrongId {
  using rep = Rep;
  Rep value = 0;

  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep v) : value(v) {}
  constexpr auto operator<=>(const StrongId&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
  constexpr StrongId next() const { return StrongId(static_cast<Rep>(value + 1)); }
  std::string to_string() const { return std::to_string(value); }
};

// Position of a record in a partition's log. LEO and HW are offsets too: the first one *not* there.
struct Offset {
  uint64_t value = 0;

  constexpr Offset() = default;
  constexpr explicit Offset(uint64_t v) : value(v) {}
  constexpr auto operator<=>(const Offset&) const = default;
  constexpr Offset operator+(uint64_t count) const { return Offset(value + count); }
  constexpr Offset operator-(uint64_t count) const { return Offset(value - count); }
  // Number of offsets in [other, *this). Requires other <= *this.
  constexpr uint64_t operator-(Offset other) const { return value - other.value; }
  constexpr Offset& operator+=(uint64_t count) {
    value += count;
    return *this;
  }
  std::string to_string() const { return std::to_string(value); }
};

using Epoch = StrongId<struct EpochTag>;              // of a partition's leadership; 0: none yet
using Version = StrongId<struct VersionTag>;          // of a partition's metadata
using NodeId = StrongId<struct NodeIdTag, uint32_t>;  // of a broker; 0: none
using Incarnation = StrongId<struct IncarnationTag>;  // of a broker's process life; 0: none
using StreamId = StrongId<struct StreamIdTag>;        // never reused; 0: none
using PartitionIndex = StrongId<struct PartitionIndexTag, uint32_t>;  // 0-based within a stream
using Term = StrongId<struct TermTag>;                                // Raft's
using Index = StrongId<struct IndexTag>;            // of a metadata log entry; 0: before the first
using ProducerId = StrongId<struct ProducerIdTag>;  // 0: not idempotent
using AssignmentId = StrongId<struct AssignmentIdTag>;  // of one placing of a replica on a broker

struct PartitionId {
  StreamId stream;
  PartitionIndex index;

  constexpr auto operator<=>(const PartitionId&) const = default;
  std::string to_string() const { return stream.to_string() + "/" + index.to_string(); }
};

// 128 random bits: identity of a formatted data directory (storage id), a cluster, a partition's log.
struct Uuid {
  std::array<uint64_t, 2> words{};

  constexpr auto operator<=>(const Uuid&) const = default;
  constexpr explicit operator bool() const { return words[0] != 0 || words[1] != 0; }
  // 32 lower-case hex digits.
  std::string to_string() const;
};

}  // namespace bascule
