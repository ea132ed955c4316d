#include "src/nats/headers.h"

namespace bascule::nats {
namespace {

constexpr std::string_view k_version = "NATS/1.0";

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes the first line off `rest`, without its end.
std::string_view take_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

void add_status(std::string_view status, std::vector<model::HeaderView>& out) {
  status = trim(status);
  if (status.empty()) return;
  const size_t space = status.find(' ');
  out.emplace_back("Status", status.substr(0, space));
  if (space != std::string_view::npos) out.emplace_back("Description", trim(status.substr(space)));
}

}  // namespace

void parse_headers(ByteView block, std::vector<model::HeaderView>& out) {
  out.clear();
  std::string_view rest = as_text(block);
  if (rest.starts_with(k_version)) add_status(take_line(rest).substr(k_version.size()), out);
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line.empty()) continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      out.emplace_back(line, std::string_view{});
    } else {
      out.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
    }
  }
}

std::string_view header_value(const std::vector<model::HeaderView>& headers,
                              std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace bascule::nats
