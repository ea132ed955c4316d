#include "src/model/units.h"

#include <array>
#include <charconv>
#include <optional>

namespace bascule::model {
namespace {

__extension__ using Wide = __int128;

struct Unit {
  std::string_view name;
  int64_t factor;
};

constexpr std::array k_duration_units{Unit{"w", 7 * 86'400'000'000'000},
                                      Unit{"d", 86'400'000'000'000},
                                      Unit{"h", 3'600'000'000'000},
                                      Unit{"m", 60'000'000'000},
                                      Unit{"s", 1'000'000'000},
                                      Unit{"ms", 1'000'000},
                                      Unit{"us", 1'000},
                                      Unit{"ns", 1}};

constexpr std::array k_size_units{
    Unit{"B", 1},           Unit{"KiB", 1LL << 10},    Unit{"MiB", 1LL << 20},
    Unit{"GiB", 1LL << 30}, Unit{"TiB", 1LL << 40},    Unit{"KB", 1'000},
    Unit{"MB", 1'000'000},  Unit{"GB", 1'000'000'000}, Unit{"TB", 1'000'000'000'000}};

bool digit(char c) { return c >= '0' && c <= '9'; }

// Takes a decimal number and the unit behind it off `text`: the value in the unit's factor, rounded
// down. nullopt: malformed or out of range.
template <size_t N>
std::optional<int64_t> take_quantity(std::string_view& text, const std::array<Unit, N>& units,
                                     int64_t factor_without_unit) {
  size_t i = 0;
  Wide mantissa = 0;
  Wide scale = 1;
  bool fraction = false;
  for (; i < text.size() && (digit(text[i]) || (text[i] == '.' && !fraction)); ++i) {
    if (text[i] == '.') {
      fraction = true;
      continue;
    }
    mantissa = mantissa * 10 + (text[i] - '0');
    if (fraction) scale *= 10;
    if (mantissa > INT64_MAX) return std::nullopt;
  }
  if (i == 0 || !digit(text[i - 1])) return std::nullopt;
  size_t end = i;
  while (end < text.size() && !digit(text[end]) && text[end] != '.') ++end;
  const std::string_view name = text.substr(i, end - i);
  int64_t factor = name.empty() ? factor_without_unit : 0;
  for (const Unit& unit : units) {
    if (unit.name == name) factor = unit.factor;
  }
  if (factor == 0) return std::nullopt;
  text.remove_prefix(end);
  const Wide value = mantissa * factor / scale;
  if (value > INT64_MAX) return std::nullopt;
  return static_cast<int64_t>(value);
}

// Days from 1970-01-01 to a date of the proleptic Gregorian calendar (Hinnant, "chrono-compatible
// low-level date algorithms").
int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2 ? 1 : 0;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const int64_t yoe = y - era * 400;
  const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  const int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146'097 + doe - 719'468;
}

struct Date {
  int64_t year, month, day;
};

Date civil_from_days(int64_t z) {
  z += 719'468;
  const int64_t era = (z >= 0 ? z : z - 146'096) / 146'097;
  const int64_t doe = z - era * 146'097;
  const int64_t yoe = (doe - doe / 1460 + doe / 36'524 - doe / 146'096) / 365;
  const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const int64_t mp = (5 * doy + 2) / 153;
  const int64_t month = mp + (mp < 10 ? 3 : -9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - (153 * mp + 2) / 5 + 1};
}

int64_t days_in_month(int64_t year, int64_t month) {
  const Date next{month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1, 1};
  return days_from_civil(next.year, next.month, 1) - days_from_civil(year, month, 1);
}

// Reads exactly `count` digits, then whatever else must match.
struct TimeParser {
  std::string_view rest;
  bool good = true;

  int64_t number(size_t count) {
    int64_t value = 0;
    if (rest.size() < count) return fail_with(0);
    for (size_t i = 0; i < count; ++i) {
      if (!digit(rest[i])) return fail_with(0);
      value = value * 10 + (rest[i] - '0');
    }
    rest.remove_prefix(count);
    return value;
  }
  bool take(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(char c) { good = take(c) && good; }
  int64_t fraction_ns() {
    int64_t value = 0;
    int64_t scale = 100'000'000;
    if (rest.empty() || !digit(rest.front())) return fail_with(0);
    for (; !rest.empty() && digit(rest.front()); rest.remove_prefix(1), scale /= 10)
      value += (rest.front() - '0') * scale;
    return value;
  }
  int64_t zone_seconds() {
    if (take('Z') || take('z')) return 0;
    const bool minus = !rest.empty() && rest.front() == '-';
    if (!take('+') && !take('-')) return fail_with(0);
    const int64_t hours = number(2);
    expect(':');
    const int64_t minutes = number(2);
    if (hours > 23 || minutes > 59) good = false;
    return (minus ? -1 : 1) * (hours * 3600 + minutes * 60);
  }
  int64_t fail_with(int64_t value) {
    good = false;
    return value;
  }
};

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  const auto bad = [whole = text](const char* why) {
    return fail(Errc::invalid, "duration \"" + std::string(whole) + "\": " + why);
  };
  if (text == "0") return Duration{0};
  Wide total = 0;
  if (text.empty()) return bad("is empty");
  while (!text.empty()) {
    const auto part = take_quantity(text, k_duration_units, 0);
    if (!part) return bad("write a number with a unit of ns us ms s m h d w, like 90s or 1h30m");
    total += *part;
    if (total > INT64_MAX) return bad("is too long");
  }
  return Duration{static_cast<int64_t>(total)};
}

std::string format_duration(Duration duration) {
  if (duration.ns == 0) return "0s";
  std::string out;
  // Negated towards zero: the least value has no positive counterpart.
  uint64_t rest =
      duration.ns < 0 ? 0 - static_cast<uint64_t>(duration.ns) : static_cast<uint64_t>(duration.ns);
  if (duration.ns < 0) out = "-";
  for (const Unit& unit : k_duration_units) {
    if (unit.name == "w") continue;
    const uint64_t count = rest / static_cast<uint64_t>(unit.factor);
    rest %= static_cast<uint64_t>(unit.factor);
    if (count > 0) out += std::to_string(count).append(unit.name);
  }
  return out;
}

Result<uint64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  const auto value = take_quantity(rest, k_size_units, 1);
  if (!value || !rest.empty())
    return fail(Errc::invalid,
                "size \"" + std::string(text) +
                    "\": write a number with a unit of B KiB MiB GiB TiB KB MB GB TB");
  return static_cast<uint64_t>(*value);
}

std::string format_size(uint64_t bytes) {
  const Unit* best = &k_size_units[0];
  for (size_t i = 1; i <= 4; ++i) {
    const Unit& unit = k_size_units[i];
    if (bytes > 0 && bytes % static_cast<uint64_t>(unit.factor) == 0) best = &unit;
  }
  return std::to_string(bytes / static_cast<uint64_t>(best->factor)).append(best->name);
}

Result<WallTime> parse_time(std::string_view text) {
  TimeParser in{text};
  const int64_t year = in.number(4);
  in.expect('-');
  const int64_t month = in.number(2);
  in.expect('-');
  const int64_t day = in.number(2);
  int64_t seconds = 0;
  int64_t ns = 0;
  if (in.good && !in.rest.empty()) {
    if (!in.take('T') && !in.take('t')) in.expect(' ');
    const int64_t hour = in.number(2);
    in.expect(':');
    const int64_t minute = in.number(2);
    in.expect(':');
    const int64_t second = in.number(2);
    if (hour > 23 || minute > 59 || second > 60) in.good = false;
    if (in.take('.')) ns = in.fraction_ns();
    seconds = hour * 3600 + minute * 60 + second - in.zone_seconds();
  }
  const bool date_good =
      in.good && month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
  const Wide total =
      (static_cast<Wide>(days_from_civil(year, month, day)) * 86'400 + seconds) * 1'000'000'000 +
      ns;
  if (!date_good || !in.rest.empty() || total > INT64_MAX || total < INT64_MIN)
    return fail(Errc::invalid,
                "time \"" + std::string(text) + "\": write RFC 3339, like 2026-11-23T21:00:00Z");
  return WallTime{static_cast<int64_t>(total)};
}

std::string format_time(WallTime time) {
  constexpr int64_t k_day_ns = 86'400'000'000'000;
  int64_t days = time.ns / k_day_ns;
  int64_t ns = time.ns % k_day_ns;
  if (ns < 0) {
    ns += k_day_ns;
    --days;
  }
  const Date date = civil_from_days(days);
  const auto padded = [](int64_t value, size_t width) {
    std::string digits = std::to_string(value);
    return std::string(width > digits.size() ? width - digits.size() : 0, '0') + digits;
  };
  const int64_t s = ns / 1'000'000'000;
  return padded(date.year, 4) + "-" + padded(date.month, 2) + "-" + padded(date.day, 2) + "T" +
         padded(s / 3600, 2) + ":" + padded(s / 60 % 60, 2) + ":" + padded(s % 60, 2) + "." +
         padded(ns % 1'000'000'000, 9) + "Z";
}

}  // namespace bascule::model
