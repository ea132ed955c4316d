#include "sim/plan/plan.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace bascule::sim {
namespace {

constexpr std::string_view k_first_line = "plan 1";

std::string time_text(SimTime t) {
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%03lldus", static_cast<long long>(t.ns / 1000),
                static_cast<long long>(t.ns % 1000));
  return text;
}

std::string_view next_word(std::string_view& line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  const size_t end = std::min(line.find(' ', begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

bool parse_time(std::string_view text, SimTime& out) {
  if (!text.ends_with("us")) return false;
  text.remove_suffix(2);
  const size_t dot = text.find('.');
  int64_t us = 0;
  int64_t ns = 0;
  if (!parse_number(text.substr(0, dot), us)) return false;
  if (dot != std::string_view::npos) {
    const std::string_view fraction = text.substr(dot + 1);
    if (fraction.size() != 3 || !parse_number(fraction, ns)) return false;
  }
  out = Duration{us * 1000 + ns};
  return true;
}

bool parse_argument(std::string_view word, std::pair<std::string, int64_t>& out) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  out.first = word.substr(0, equals);
  return parse_number(word.substr(equals + 1), out.second);
}

// "17 @1250.000us append records=3"
bool parse_item(std::string_view line, PlanItem& out) {
  if (!parse_number(next_word(line), out.id)) return false;
  const std::string_view at = next_word(line);
  if (!at.starts_with('@') || !parse_time(at.substr(1), out.at)) return false;
  out.verb = next_word(line);
  if (out.verb.empty()) return false;
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
    if (!parse_argument(word, out.arguments.emplace_back())) return false;
  }
  return true;
}

void append_item(std::string& text, std::string_view kind, const PlanItem& item) {
  text += kind;
  text += ' ' + std::to_string(item.id) + " @" + time_text(item.at) + ' ' + item.verb;
  for (const auto& [name, value] : item.arguments) text += ' ' + name + '=' + std::to_string(value);
  text += '\n';
}

bool parse_line(std::string_view line, Plan& plan) {
  const std::string_view kind = next_word(line);
  if (kind == "fault" || kind == "op") {
    PlanItem item;
    if (!parse_item(line, item)) return false;
    (kind == "op" ? plan.operations : plan.faults).push_back(std::move(item));
    return true;
  }
  const std::string_view value = next_word(line);
  if (!next_word(line).empty()) return false;
  if (kind == "world") {
    plan.world = value;
    return !value.empty();
  }
  if (kind == "seed") return parse_number(value, plan.seed);
  if (kind == "end") return parse_time(value, plan.end);
  if (kind == "set") {
    std::pair<std::string, int64_t> setting;
    if (!parse_argument(value, setting)) return false;
    plan.settings.insert_or_assign(setting.first, setting.second);
    return true;
  }
  return false;
}

}  // namespace

int64_t PlanItem::get(std::string_view name, int64_t fallback) const {
  const auto it =
      std::ranges::find(arguments, name, [](const auto& a) { return std::string_view(a.first); });
  return it == arguments.end() ? fallback : it->second;
}

int64_t Plan::get(std::string_view setting, int64_t fallback) const {
  const auto it = settings.find(setting);
  return it == settings.end() ? fallback : it->second;
}

std::string Plan::to_text() const {
  std::string text{k_first_line};
  text += "\nworld " + world + "\nseed " + std::to_string(seed) + "\nend " + time_text(end) + '\n';
  for (const auto& [name, value] : settings)
    text += "set " + name + '=' + std::to_string(value) + '\n';
  for (const PlanItem& item : faults) append_item(text, "fault", item);
  for (const PlanItem& item : operations) append_item(text, "op", item);
  return text;
}

Result<Plan> parse_plan(std::string_view text) {
  Plan plan;
  bool begun = false;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = line.substr(0, line.find('#'));
    while (line.ends_with(' ') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const bool good = begun ? parse_line(line, plan) : line == k_first_line;
    begun = true;
    if (!good)
      return fail(Errc::invalid, "plan, line " + std::to_string(number) + ": " + std::string(line));
  }
  if (plan.world.empty()) return fail(Errc::invalid, "plan: names no world");
  std::ranges::stable_sort(plan.faults, {}, &PlanItem::at);
  std::ranges::stable_sort(plan.operations, {}, &PlanItem::at);
  return plan;
}

}  // namespace bascule::sim
