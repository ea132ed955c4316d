// Durations and the two kinds of time, as distinct types of whole nanoseconds.
//
// MonotonicTime never goes back and has no meaning outside its process; WallTime is nanoseconds since
// the Unix epoch, UTC, and may jump either way. Only durations cross between them.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace bascule {

struct Duration {
  int64_t ns = 0;

  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration o) const { return {ns + o.ns}; }
  constexpr Duration operator-(Duration o) const { return {ns - o.ns}; }
  constexpr Duration operator*(int64_t n) const { return {ns * n}; }
  constexpr Duration operator/(int64_t n) const { return {ns / n}; }
  static constexpr Duration max() { return {std::numeric_limits<int64_t>::max()}; }
};

constexpr Duration nanoseconds(int64_t n) { return {n}; }
constexpr Duration microseconds(int64_t n) { return {n * 1'000}; }
constexpr Duration milliseconds(int64_t n) { return {n * 1'000'000}; }
constexpr Duration seconds(int64_t n) { return {n * 1'000'000'000}; }

struct MonotonicTime {
  int64_t ns = 0;

  constexpr auto operator<=>(const MonotonicTime&) const = default;
  constexpr MonotonicTime operator+(Duration d) const { return {ns + d.ns}; }
  constexpr MonotonicTime operator-(Duration d) const { return {ns - d.ns}; }
  constexpr Duration operator-(MonotonicTime o) const { return {ns - o.ns}; }
  // Later than every moment that is reached: "no deadline".
  static constexpr MonotonicTime never() { return {std::numeric_limits<int64_t>::max()}; }
};

struct WallTime {
  int64_t ns = 0;

  constexpr auto operator<=>(const WallTime&) const = default;
  constexpr WallTime operator+(Duration d) const { return {ns + d.ns}; }
  constexpr WallTime operator-(Duration d) const { return {ns - d.ns}; }
  constexpr Duration operator-(WallTime o) const { return {ns - o.ns}; }
};

}  // namespace bascule
