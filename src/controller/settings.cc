#include "src/controller/settings.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "src/model/units.h"

namespace bascule::controller {
namespace {

struct SpanSetting {
  std::string_view name;
  Duration Settings::* member;
  Duration least;
  Duration most;
};

constexpr std::array k_spans{
    SpanSetting{"election_wait", &Settings::election_wait, milliseconds(100), seconds(600)},
    SpanSetting{"memory_election_wait", &Settings::memory_election_wait, milliseconds(100),
                seconds(600)},
    SpanSetting{"replica_lag_max", &Settings::replica_lag_max, milliseconds(100), seconds(600)},
    SpanSetting{"session_timeout", &Settings::session_timeout, milliseconds(500), seconds(600)},
    SpanSetting{"unsynced_write_max", &Settings::unsynced_write_max, k_unsynced_write_least,
                seconds(600)},
};
constexpr std::string_view k_default_replicas = "default_replicas";
constexpr uint32_t k_default_replicas_max = 15;

Result<Duration> parse_span(const SpanSetting& setting, std::string_view value) {
  BASCULE_TRY_ASSIGN(const Duration span, model::parse_duration(value));
  if (span < setting.least || span > setting.most)
    return fail(Errc::invalid, std::string(setting.name) + ": from " +
                                   model::format_duration(setting.least) + " to " +
                                   model::format_duration(setting.most));
  return span;
}

Result<uint32_t> parse_replicas(std::string_view value) {
  uint32_t n = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (error != std::errc{} || end != value.data() + value.size() || n == 0 ||
      n > k_default_replicas_max)
    return fail(Errc::invalid, "default_replicas: a number from 1 to 15");
  return n;
}

const SpanSetting* span_named(std::string_view name) {
  const auto* const at = std::ranges::find(k_spans, name, &SpanSetting::name);
  return at == k_spans.end() ? nullptr : at;
}

std::string names() {
  std::string out(k_default_replicas);
  for (const SpanSetting& setting : k_spans) out += ", " + std::string(setting.name);
  return out;
}

}  // namespace

Result<std::string> check_setting(std::string_view name, std::string_view value) {
  const SpanSetting* span = span_named(name);
  if (span == nullptr && name != k_default_replicas)
    return fail(Errc::invalid,
                "no setting '" + std::string(name.substr(0, 64)) + "'; there are: " + names());
  if (value.empty()) return std::string();
  if (span != nullptr) {
    BASCULE_TRY_ASSIGN(const Duration parsed, parse_span(*span, value));
    return model::format_duration(parsed);
  }
  BASCULE_TRY_ASSIGN(const uint32_t replicas, parse_replicas(value));
  return std::to_string(replicas);
}

std::vector<SettingValue> all_settings(const SettingValues& values) {
  const Settings defaults;
  std::vector<SettingValue> out{
      {std::string(k_default_replicas), std::to_string(defaults.default_replicas)}};
  for (const SpanSetting& setting : k_spans)
    out.push_back({std::string(setting.name), model::format_duration(defaults.*(setting.member))});
  for (SettingValue& setting : out) {
    const auto at = values.find(setting.name);
    if (at == values.end()) continue;
    setting.value = at->second;
    setting.by_default = false;
  }
  std::ranges::sort(out, {}, &SettingValue::name);
  return out;
}

Result<Settings> settings_from(const SettingValues& values) {
  Settings out;
  for (const auto& [name, value] : values) {
    const auto checked = check_setting(name, value);
    if (!checked || *checked != value || value.empty())
      return fail(Errc::corrupt, "metadata: the setting " + name);
    if (const SpanSetting* span = span_named(name)) {
      out.*(span->member) = *parse_span(*span, value);
    } else {
      out.default_replicas = *parse_replicas(value);
    }
  }
  return out;
}

}  // namespace bascule::controller
