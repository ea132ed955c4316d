#include "src/nats/parser.h"

#include <array>
#include <cstring>

#include "src/base/assert.h"

namespace bascule::nats {
namespace {

struct VerbName {
  std::string_view name;  // upper case
  Verb verb;
};
constexpr std::array<VerbName, 12> k_verbs = {{{"PUB", Verb::pub},
                                               {"HPUB", Verb::hpub},
                                               {"SUB", Verb::sub},
                                               {"UNSUB", Verb::unsub},
                                               {"PING", Verb::ping},
                                               {"PONG", Verb::pong},
                                               {"CONNECT", Verb::connect},
                                               {"INFO", Verb::info},
                                               {"MSG", Verb::msg},
                                               {"HMSG", Verb::hmsg},
                                               {"+OK", Verb::ok},
                                               {"-ERR", Verb::err}}};

constexpr char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
constexpr bool blank(char c) { return c == ' ' || c == '\t'; }

// Whether `text` begins a verb's name, in any case.
bool begins(std::string_view text, std::string_view name) {
  if (text.size() > name.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (upper(text[i]) != name[i]) return false;
  }
  return true;
}

const VerbName* find_verb(std::string_view text) {
  for (const VerbName& entry : k_verbs) {
    if (text.size() == entry.name.size() && begins(text, entry.name)) return &entry;
  }
  return nullptr;
}

bool begins_some_verb(std::string_view text) {
  for (const VerbName& entry : k_verbs) {
    if (begins(text, entry.name)) return true;
  }
  return false;
}

constexpr size_t k_verb_bytes_max = 7;
constexpr size_t k_arguments_max = 5;

// The arguments of a line, divided by blanks. One more than any command takes, to see a surplus.
struct Arguments {
  std::array<std::string_view, k_arguments_max + 1> at;
  size_t count = 0;
};

Arguments split(std::string_view line) {
  Arguments out;
  size_t i = 0;
  while (out.count < out.at.size()) {
    while (i < line.size() && blank(line[i])) ++i;
    if (i == line.size()) break;
    const size_t start = i;
    while (i < line.size() && !blank(line[i])) ++i;
    out.at[out.count++] = line.substr(start, i - start);
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Subject, sid where it has one, the optional reply, and the sizes at the end of a PUB, HPUB, MSG or
// HMSG line. False when it is none.
bool read_message_line(const Arguments& args, Command& out, uint64_t& header_bytes,
                       uint64_t& total_bytes) {
  const bool with_sid = out.verb == Verb::msg || out.verb == Verb::hmsg;
  const bool with_headers = out.verb == Verb::hpub || out.verb == Verb::hmsg;
  const size_t fixed = 2 + (with_sid ? 1 : 0) + (with_headers ? 1 : 0);
  if (args.count != fixed && args.count != fixed + 1) return false;
  size_t i = 0;
  out.subject = args.at[i++];
  if (with_sid) out.sid = args.at[i++];
  if (args.count == fixed + 1) out.reply = args.at[i++];
  header_bytes = 0;
  if (with_headers && !parse_decimal(args.at[i++], header_bytes)) return false;
  return parse_decimal(args.at[i], total_bytes) && header_bytes <= total_bytes;
}

bool read_line(std::string_view rest, Command& out) {
  switch (out.verb) {
    case Verb::ping:
    case Verb::pong:
    case Verb::ok: return true;
    case Verb::info:
    case Verb::connect:
    case Verb::err: out.argument = trimmed(rest); return true;
    case Verb::sub: {
      const Arguments args = split(rest);
      if (args.count != 2 && args.count != 3) return false;
      out.subject = args.at[0];
      if (args.count == 3) out.queue = args.at[1];
      out.sid = args.at[args.count - 1];
      return true;
    }
    case Verb::unsub: {
      const Arguments args = split(rest);
      if (args.count != 1 && args.count != 2) return false;
      out.sid = args.at[0];
      // As nats-server, a maximum that is no number means none.
      if (args.count == 2 && !parse_decimal(args.at[1], out.max)) out.max = 0;
      return true;
    }
    case Verb::pub:
    case Verb::hpub:
    case Verb::msg:
    case Verb::hmsg: break;
  }
  ASSERT(false, out.verb);
  return false;
}

bool carries_message(Verb verb) {
  return verb == Verb::pub || verb == Verb::hpub || verb == Verb::msg || verb == Verb::hmsg;
}

}  // namespace

std::string_view parse_error_text(ParseError error) {
  switch (error) {
    case ParseError::none: return "";
    case ParseError::unknown_operation:
    case ParseError::arguments: return "Unknown Protocol Operation";
    case ParseError::control_line: return "maximum control line exceeded";
    case ParseError::payload: return "Maximum Payload Violation";
  }
  return "";
}

bool parse_decimal(std::string_view digits, uint64_t& out) {
  if (digits.empty()) return false;
  uint64_t n = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9' || n > (uint64_t{1} << 53) / 10) return false;
    n = n * 10 + static_cast<uint64_t>(c - '0');
  }
  out = n;
  return true;
}

void Parser::forget() {
  scanned_ = 0;
  verb_bytes_ = 0;
  line_end_ = 0;
  body_at_ = 0;
  header_bytes_ = 0;
  body_bytes_ = 0;
}

Parser::Step Parser::parse(ByteView in, Command& out) {
  if (body_at_ > 0) return finish_message(in, out);
  const std::string_view text = as_text(in);
  // The verb: decided, and refused, before the rest of its line is waited for.
  size_t verb_bytes = 0;
  while (verb_bytes < text.size() && verb_bytes <= k_verb_bytes_max && !blank(text[verb_bytes]) &&
         text[verb_bytes] != '\r' && text[verb_bytes] != '\n')
    ++verb_bytes;
  if (verb_bytes == text.size()) {
    if (!begins_some_verb(text)) return broken(ParseError::unknown_operation);
    return need(in.size() + 1);
  }
  const VerbName* found = find_verb(text.substr(0, verb_bytes));
  if (found == nullptr) return broken(ParseError::unknown_operation);

  const size_t line_max =
      found->verb == Verb::info ? limits_.info_line_max : limits_.control_line_max;
  const size_t from = scanned_ > verb_bytes ? scanned_ : verb_bytes;
  const void* end =
      from < in.size() ? std::memchr(in.data() + from, '\n', in.size() - from) : nullptr;
  if (end == nullptr) {
    // A line of line_max bytes may still be followed by its CR.
    if (in.size() > line_max + 1) return broken(ParseError::control_line);
    scanned_ = in.size();
    return need(in.size() + 1);
  }
  const size_t line_feed = static_cast<size_t>(static_cast<const uint8_t*>(end) - in.data());
  const size_t line_end = line_feed > 0 && text[line_feed - 1] == '\r' ? line_feed - 1 : line_feed;
  if (line_end > line_max) return broken(ParseError::control_line);
  if (!blank(text[verb_bytes]) && verb_bytes != line_end)
    return broken(ParseError::unknown_operation);  // a CR inside the line
  body_at_ = line_feed + 1;
  line_end_ = line_end;
  verb_bytes_ = verb_bytes;
  verb_ = found->verb;
  return finish_line(in, out);
}

Parser::Step Parser::finish_line(ByteView in, Command& out) {
  out = Command{};
  out.verb = verb_;
  const std::string_view rest = as_text(in).substr(verb_bytes_, line_end_ - verb_bytes_);
  if (!carries_message(out.verb)) {
    if (!read_line(rest, out)) return broken(ParseError::arguments);
    const size_t consumed = body_at_;
    forget();
    return {Outcome::command, consumed, 0, ParseError::none};
  }
  uint64_t header_bytes = 0;
  uint64_t total_bytes = 0;
  if (!read_message_line(split(rest), out, header_bytes, total_bytes))
    return broken(ParseError::arguments);
  if (total_bytes > limits_.payload_max) return broken(ParseError::payload);
  header_bytes_ = static_cast<size_t>(header_bytes);
  body_bytes_ = static_cast<size_t>(total_bytes);
  const size_t body_end = body_at_ + body_bytes_;
  if (in.size() > body_end && in[body_end] != '\r') return broken(ParseError::unknown_operation);
  if (in.size() < body_end + 2) return need(body_end + 2);
  if (in[body_end + 1] != '\n') return broken(ParseError::unknown_operation);
  out.headers = in.subspan(body_at_, header_bytes_);
  out.payload = in.subspan(body_at_ + header_bytes_, body_bytes_ - header_bytes_);
  forget();
  return {Outcome::command, body_end + 2, 0, ParseError::none};
}

Parser::Step Parser::finish_message(ByteView in, Command& out) {
  const size_t body_end = body_at_ + body_bytes_;
  if (in.size() < body_end + 2 && !(in.size() > body_end && in[body_end] != '\r'))
    return need(body_end + 2);
  // The line was valid when it was first read; its views are made anew, since the bytes may have moved.
  return finish_line(in, out);
}

}  // namespace bascule::nats
