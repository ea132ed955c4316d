#include "io/cli/positions.h"

#include <charconv>
#include <string>

#include "src/model/units.h"

namespace bascule::cli {
namespace {

Result<uint64_t> parse_number(std::string_view text, std::string_view what) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    return fail(Errc::invalid, std::string(what) + ": \"" + std::string(text) + "\" is no number");
  return value;
}

}  // namespace

Result<broker::StartPosition> parse_from(std::string_view text) {
  if (text == "earliest") return broker::FromEarliest{};
  if (text == "latest") return broker::FromLatest{};
  if (text == "new") return broker::FromNew{};
  if (text.starts_with('@')) {
    BASCULE_TRY_ASSIGN(const uint64_t offset, parse_number(text.substr(1), "--from"));
    return broker::FromOffset{Offset(offset), std::nullopt};
  }
  if (text.starts_with("last:")) {
    BASCULE_TRY_ASSIGN(const uint64_t count, parse_number(text.substr(5), "--from"));
    return broker::FromLast{count};
  }
  if (text.starts_with('-')) {
    BASCULE_TRY_ASSIGN(const Duration ago, model::parse_duration(text.substr(1)));
    return broker::FromAgo{ago};
  }
  if (const auto time = model::parse_time(text)) return broker::FromTime{*time};
  return fail(Errc::invalid, "--from \"" + std::string(text) +
                                 "\": write earliest, latest, new, @OFFSET, a time like "
                                 "2026-11-23T21:00:00Z, -1h or last:N");
}

Result<broker::StopPosition> parse_until(std::string_view text) {
  if (text == "never") return broker::UntilNever{};
  if (text == "latest") return broker::UntilLatest{};
  if (text.starts_with('@')) {
    BASCULE_TRY_ASSIGN(const uint64_t offset, parse_number(text.substr(1), "--until"));
    return broker::UntilOffset{Offset(offset)};
  }
  if (const auto time = model::parse_time(text)) return broker::UntilTime{*time};
  return fail(Errc::invalid, "--until \"" + std::string(text) +
                                 "\": write latest, @OFFSET, a time like 2026-11-23T21:00:00Z, or "
                                 "never");
}

}  // namespace bascule::cli
