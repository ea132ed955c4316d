#include "src/nats/json.h"

namespace bascule::nats {
namespace {

constexpr size_t k_members_max = 64;
constexpr int k_depth_max = 8;

// A cursor over JSON text. Each take_ gives false where the text is not what it should be.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool take(char c) {
    skip_blanks();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool at_end() {
    skip_blanks();
    return rest_.empty();
  }
  bool take_string(std::string& out);
  bool take_value(JsonMember& out, int depth);

 private:
  void skip_blanks() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' ||
                              rest_.front() == '\r' || rest_.front() == '\n'))
      rest_.remove_prefix(1);
  }
  bool take_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  bool take_escape(std::string& out);
  bool take_hex(uint32_t& out);
  bool take_unicode(std::string& out);
  bool take_number(std::string& out);
  bool take_digits(std::string& out);
  bool skip_nested(char close, int depth);

  std::string_view rest_;
};

void append_utf8(uint32_t code, std::string& out) {
  const auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

bool Scanner::take_hex(uint32_t& out) {
  if (rest_.size() < 4) return false;
  out = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = rest_[static_cast<size_t>(i)];
    uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A' + 10);
    } else {
      return false;
    }
    out = out << 4 | digit;
  }
  rest_.remove_prefix(4);
  return true;
}

bool Scanner::take_unicode(std::string& out) {
  uint32_t code = 0;
  if (!take_hex(code)) return false;
  if (code >= 0xd800 && code < 0xdc00) {
    uint32_t low = 0;
    if (!take_word("\\u") || !take_hex(low) || low < 0xdc00 || low > 0xdfff) return false;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  } else if (code >= 0xdc00 && code <= 0xdfff) {
    return false;
  }
  append_utf8(code, out);
  return true;
}

bool Scanner::take_escape(std::string& out) {
  if (rest_.empty()) return false;
  const char c = rest_.front();
  rest_.remove_prefix(1);
  switch (c) {
    case '"':
    case '\\':
    case '/': out += c; return true;
    case 'b': out += '\b'; return true;
    case 'f': out += '\f'; return true;
    case 'n': out += '\n'; return true;
    case 'r': out += '\r'; return true;
    case 't': out += '\t'; return true;
    case 'u': return take_unicode(out);
    default: return false;
  }
}

bool Scanner::take_string(std::string& out) {
  out.clear();
  if (!take('"')) return false;
  while (!rest_.empty()) {
    const char c = rest_.front();
    if (static_cast<unsigned char>(c) < 0x20) return false;
    rest_.remove_prefix(1);
    if (c == '"') return true;
    if (c != '\\') {
      out += c;
    } else if (!take_escape(out)) {
      return false;
    }
  }
  return false;
}

bool Scanner::take_digits(std::string& out) {
  const size_t before = out.size();
  while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
    out += rest_.front();
    rest_.remove_prefix(1);
  }
  return out.size() > before;
}

bool Scanner::take_number(std::string& out) {
  out.clear();
  if (take_word("-")) out += '-';
  if (!take_digits(out)) return false;
  if (take_word(".")) {
    out += '.';
    if (!take_digits(out)) return false;
  }
  if (!rest_.empty() && (rest_.front() == 'e' || rest_.front() == 'E')) {
    rest_.remove_prefix(1);
    out += 'e';
    if (!rest_.empty() && (rest_.front() == '+' || rest_.front() == '-')) {
      out += rest_.front();
      rest_.remove_prefix(1);
    }
    return take_digits(out);
  }
  return true;
}

// Behind the opening bracket, to behind the closing one.
bool Scanner::skip_nested(char close, int depth) {
  if (depth > k_depth_max) return false;
  if (take(close)) return true;
  JsonMember ignored;
  do {
    if (close == '}' && (!take_string(ignored.name) || !take(':'))) return false;
    if (!take_value(ignored, depth)) return false;
  } while (take(','));
  return take(close);
}

bool Scanner::take_value(JsonMember& out, int depth) {
  skip_blanks();
  if (rest_.empty()) return false;
  switch (rest_.front()) {
    case '"': out.kind = JsonMember::Kind::string; return take_string(out.text);
    case '{':
    case '[': {
      out.kind = JsonMember::Kind::nested;
      const char close = rest_.front() == '{' ? '}' : ']';
      rest_.remove_prefix(1);
      return skip_nested(close, depth + 1);
    }
    case 't':
    case 'f':
      out.kind = JsonMember::Kind::boolean;
      out.boolean = rest_.front() == 't';
      return take_word(out.boolean ? "true" : "false");
    case 'n': out.kind = JsonMember::Kind::null; return take_word("null");
    default: out.kind = JsonMember::Kind::number; return take_number(out.text);
  }
}

}  // namespace

bool parse_json_object(std::string_view json, std::vector<JsonMember>& out) {
  out.clear();
  Scanner in(json);
  if (!in.take('{')) return false;
  if (!in.take('}')) {
    do {
      JsonMember member;
      if (out.size() == k_members_max || !in.take_string(member.name) || !in.take(':') ||
          !in.take_value(member, 1))
        return false;
      out.push_back(std::move(member));
    } while (in.take(','));
    if (!in.take('}')) return false;
  }
  return in.at_end();
}

void JsonWriter::quoted(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  out_ += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (byte < 0x20) {
      out_ += "\\u00";
      out_ += hex[byte >> 4];
      out_ += hex[byte & 15];
    } else {
      out_ += c;
    }
  }
  out_ += '"';
}

void JsonWriter::name(std::string_view name) {
  if (out_.size() > 1) out_ += ',';
  quoted(name);
  out_ += ':';
}

JsonWriter& JsonWriter::string(std::string_view key, std::string_view value) {
  name(key);
  quoted(value);
  return *this;
}
JsonWriter& JsonWriter::number(std::string_view key, uint64_t value) {
  name(key);
  out_ += std::to_string(value);
  return *this;
}
JsonWriter& JsonWriter::boolean(std::string_view key, bool value) {
  name(key);
  out_ += value ? "true" : "false";
  return *this;
}
JsonWriter& JsonWriter::nested(std::string_view key, std::string_view json) {
  name(key);
  out_ += json;
  return *this;
}
std::string JsonWriter::finish() { return std::move(out_) + "}"; }

}  // namespace bascule::nats
