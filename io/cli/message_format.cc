#include "io/cli/message_format.h"

#include <nlohmann/json.hpp>

#include "src/model/units.h"

namespace bascule::cli {
namespace {

using Json = nlohmann::ordered_json;

void put_bytes(Json& out, const std::string& name, std::string_view bytes) {
  if (valid_utf8(bytes)) {
    out[name] = std::string(bytes);
  } else {
    out[name + "_base64"] = base64(bytes);
  }
}

std::string text_or_base64(std::string_view bytes) {
  return valid_utf8(bytes) ? std::string(bytes) : base64(bytes);
}

std::string headers_text(const model::RecordView& record) {
  std::string out;
  for (const auto& [name, value] : record.headers) {
    if (!out.empty()) out += ',';
    out.append(name).append("=").append(value);
  }
  return out;
}

}  // namespace

std::string json_line(const PlacedRecord& placed) {
  const model::RecordView& record = placed.record;
  Json out;
  out["stream"] = std::string(placed.stream);
  out["partition"] = placed.partition.value;
  out["offset"] = placed.offset.value;
  out["epoch"] = placed.epoch.value;
  out["time"] = model::format_time(record.timestamp);
  out["append_time"] = model::format_time(placed.append_time);
  put_bytes(out, "subject", record.subject);
  if (!record.reply.empty()) put_bytes(out, "reply", record.reply);
  if (record.key) put_bytes(out, "key", *record.key);
  if (record.value) put_bytes(out, "value", *record.value);
  if (!record.headers.empty()) {
    Json headers = Json::array();
    for (const auto& [name, value] : record.headers)
      headers.push_back({text_or_base64(name), text_or_base64(value)});
    out["headers"] = std::move(headers);
  }
  return out.dump();
}

Result<MessageFormat> MessageFormat::parse(std::string_view text) {
  MessageFormat out;
  const auto literal = [&out](char c) {
    if (out.parts_.empty() || out.parts_.back().directive != 0) out.parts_.push_back({0, {}});
    out.parts_.back().text += c;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '%' && c != '\\') {
      literal(c);
      continue;
    }
    const char next = i + 1 < text.size() ? text[++i] : '\0';
    if (c == '%' && next != '\0' && std::string_view("oTksShtpu").contains(next)) {
      out.parts_.push_back({next, {}});
    } else if (c == '%' && next == '%') {
      literal('%');
    } else if (c == '\\' && (next == 'n' || next == 't' || next == '\\')) {
      literal(next == 'n' ? '\n' : next == 't' ? '\t' : '\\');
    } else {
      return fail(Errc::invalid, "--format: \"" + std::string(1, c) +
                                     (next == '\0' ? std::string() : std::string(1, next)) +
                                     "\": use %o %T %k %s %S %h %t %p %u %% \\n \\t");
    }
  }
  return out;
}

std::string MessageFormat::render(const PlacedRecord& placed) const {
  const model::RecordView& record = placed.record;
  std::string out;
  for (const Part& part : parts_) {
    switch (part.directive) {
      case 'o': out += placed.offset.to_string(); break;
      case 'T': out += std::to_string(record.timestamp.ns / 1'000'000); break;
      case 'k': out += record.key.value_or(""); break;
      case 's': out += record.value.value_or(""); break;
      case 'S': out += std::to_string(record.value.value_or("").size()); break;
      case 'h': out += headers_text(record); break;
      case 't': out += placed.stream; break;
      case 'p': out += placed.partition.to_string(); break;
      case 'u': out += record.subject; break;
      default: out += part.text; break;
    }
  }
  return out;
}

bool valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t length = first < 0x80 ? 1 : (first >> 5) == 6 ? 2 : (first >> 4) == 14 ? 3 : 4;
    if (length == 4 && (first >> 3) != 30) return false;
    if (length > text.size() - i) return false;
    uint32_t point = length == 1 ? first : first & (0xffU >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte >> 6) != 2) return false;
      point = (point << 6) | (byte & 0x3f);
    }
    // Overlong forms, surrogates, and beyond the last code point.
    constexpr uint32_t k_least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < k_least[length] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
      return false;
    i += length;
  }
  return true;
}

std::string base64(std::string_view bytes) {
  static constexpr char k_digits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t n = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k)
      group = (group << 8) | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k) out += k <= n ? k_digits[(group >> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}

}  // namespace bascule::cli
