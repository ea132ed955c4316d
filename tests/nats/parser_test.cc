// The NATS protocol parser: what clients send, in any pieces, and what no client should.
#include "src/nats/parser.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace bascule::nats {
namespace {

// A command that owns its bytes.
struct Parsed {
  Verb verb;
  std::string argument, subject, reply, queue, sid;
  uint64_t max = 0;
  std::string headers, payload;

  bool operator==(const Parsed&) const = default;
};

struct Outcome {
  std::vector<Parsed> commands;
  ParseError error = ParseError::none;
  size_t left = 0;  // bytes of an unfinished command

  bool operator==(const Outcome&) const = default;
};

Parsed owned(const Command& c) {
  return {c.verb,
          std::string(c.argument),
          std::string(c.subject),
          std::string(c.reply),
          std::string(c.queue),
          std::string(c.sid),
          c.max,
          to_string(c.headers),
          to_string(c.payload)};
}

// Feeds `pieces` as a connection does: what is not consumed stays at the front.
Outcome parse_pieces(const std::vector<std::string>& pieces, Parser::Limits limits = {}) {
  Parser parser(limits);
  Outcome out;
  std::string buffer;
  for (const std::string& piece : pieces) {
    buffer += piece;
    size_t at = 0;
    while (at < buffer.size()) {
      // A copy of exact size, so that the address sanitizer sees any read beyond the input.
      const std::vector<uint8_t> input(buffer.begin() + static_cast<std::ptrdiff_t>(at),
                                       buffer.end());
      Command command;
      const Parser::Step step = parser.parse(input, command);
      if (step.outcome == Parser::Outcome::error) {
        out.error = step.error;
        return out;
      }
      if (step.outcome == Parser::Outcome::need_more) {
        EXPECT_GT(step.needed, input.size());
        break;
      }
      EXPECT_GT(step.consumed, 0u);
      out.commands.push_back(owned(command));
      at += step.consumed;
    }
    buffer.erase(0, at);
  }
  out.left = buffer.size();
  return out;
}

Outcome parse(const std::string& bytes, Parser::Limits limits = {}) {
  return parse_pieces({bytes}, limits);
}

Parsed only(const std::string& bytes) {
  const Outcome out = parse(bytes);
  EXPECT_EQ(out.error, ParseError::none);
  EXPECT_EQ(out.commands.size(), 1u);
  return out.commands.empty() ? Parsed{} : out.commands.front();
}

TEST(nats_parser, pub_gives_subject_reply_and_payload) {
  const Parsed plain = only("PUB a.b 5\r\nhello\r\n");
  EXPECT_EQ(plain.verb, Verb::pub);
  EXPECT_EQ(plain.subject, "a.b");
  EXPECT_EQ(plain.reply, "");
  EXPECT_EQ(plain.payload, "hello");
  EXPECT_EQ(only("PUB a.b _INBOX.x 0\r\n\r\n").reply, "_INBOX.x");
}

TEST(nats_parser, hpub_divides_headers_from_payload) {
  const Parsed c = only("HPUB s r 18 20\r\nNATS/1.0\r\nA: 1\r\n\r\nhi\r\n");
  EXPECT_EQ(c.verb, Verb::hpub);
  EXPECT_EQ(c.headers, "NATS/1.0\r\nA: 1\r\n\r\n");
  EXPECT_EQ(c.payload, "hi");
  EXPECT_EQ(c.reply, "r");
}

TEST(nats_parser, sub_and_unsub_take_their_optional_argument) {
  EXPECT_EQ(only("SUB a.> 7\r\n").sid, "7");
  EXPECT_EQ(only("SUB a.> workers 7\r\n").queue, "workers");
  EXPECT_EQ(only("UNSUB 7\r\n").max, 0u);
  EXPECT_EQ(only("UNSUB 7 12\r\n").max, 12u);
}

TEST(nats_parser, server_commands_are_read_too) {
  EXPECT_EQ(only("MSG s 1 2\r\nhi\r\n").sid, "1");
  EXPECT_EQ(only("MSG s 1 r 2\r\nhi\r\n").reply, "r");
  EXPECT_EQ(only("HMSG s 1 r 12 12\r\nNATS/1.0\r\n\r\n\r\n").headers, "NATS/1.0\r\n\r\n");
  EXPECT_EQ(only("INFO {\"a\":1}\r\n").argument, "{\"a\":1}");
  EXPECT_EQ(only("-ERR 'Slow Consumer'\r\n").argument, "'Slow Consumer'");
  EXPECT_EQ(only("+OK\r\n").verb, Verb::ok);
}

TEST(nats_parser, verbs_blanks_and_line_ends_are_as_lenient_as_nats_server) {
  EXPECT_EQ(only("pUb\t a \t 2 \r\nhi\r\n").payload, "hi");
  EXPECT_EQ(only("ping\n").verb, Verb::ping);
  EXPECT_EQ(only("Connect {}\n").argument, "{}");
}

TEST(nats_parser, a_payload_may_hold_any_bytes) {
  const std::string payload("\r\nPUB x 1\r\n\0\xff", 13);
  EXPECT_EQ(only("PUB s 13\r\n" + payload + "\r\n").payload, payload);
}

TEST(nats_parser, wrong_operations_end_the_connection_at_their_first_wrong_byte) {
  for (const char* bytes :
       {"X", "PUBX", "GET / HTTP/1.1", "\r\n", "PI NG", "\x01", "PUB\ra 0\r\n", "CONNECTED "})
    EXPECT_EQ(parse(bytes).error, ParseError::unknown_operation) << bytes;
}

TEST(nats_parser, wrong_arguments_are_refused) {
  for (const char* line : {"PUB", "PUB a", "PUB a b c 1", "PUB a -1", "PUB a 1x",
                           "PUB a 99999999999999999999", "HPUB a 1", "HPUB a 3 2", "SUB a",
                           "SUB a b c d", "UNSUB", "UNSUB a b c", "MSG a 1", "HMSG a 1 1"})
    EXPECT_EQ(parse(std::string(line) + "\r\n").error, ParseError::arguments) << line;
}

TEST(nats_parser, a_payload_that_does_not_end_with_crlf_is_refused) {
  EXPECT_EQ(parse("PUB a 2\r\nhello\r\n").error, ParseError::unknown_operation);
  EXPECT_EQ(parse("PUB a 2\r\nhi\rX").error, ParseError::unknown_operation);
}

TEST(nats_parser, the_control_line_is_bounded_exactly) {
  const Parser::Limits limits{.control_line_max = 16};
  EXPECT_EQ(parse("SUB aaaaaaaaaa 1\r\n", limits).commands.size(), 1u);
  EXPECT_EQ(parse("SUB aaaaaaaaaaa 1\r\n", limits).error, ParseError::control_line);
  EXPECT_EQ(parse("SUB aaaaaaaaaaaaaa", limits).error, ParseError::control_line);
}

TEST(nats_parser, the_payload_limit_is_checked_before_the_payload_comes) {
  EXPECT_EQ(parse("PUB a 11\r\n", {.payload_max = 10}).error, ParseError::payload);
  EXPECT_EQ(parse("PUB a 10\r\n", {.payload_max = 10}).error, ParseError::none);
}

TEST(nats_parser, an_incomplete_message_says_how_many_bytes_it_needs) {
  Parser parser({});
  Command command;
  const std::string start = "PUB a 1000\r\nabc";
  const Parser::Step step = parser.parse(as_bytes(start), command);
  EXPECT_EQ(step.outcome, Parser::Outcome::need_more);
  EXPECT_EQ(step.needed, start.size() - 3 + 1002);
}

// --- Properties ---------------------------------------------------------------------------------

// Mostly right commands, some broken ones.
std::string some_bytes() {
  const auto word =
      rc::gen::element<std::string>("a", "a.b", "x.*", ">", "_INBOX.1", "17", "0", "q");
  std::string out;
  const int count = *rc::gen::inRange(0, 8);
  for (int i = 0; i < count; ++i) {
    const std::string payload = *rc::gen::arbitrary<std::string>();
    const std::string size = std::to_string(payload.size());
    const std::string headers = "NATS/1.0\r\nK: v\r\n\r\n";
    switch (*rc::gen::inRange(0, 9)) {
      case 0: out += "PUB " + *word + " " + size + "\r\n" + payload + "\r\n"; break;
      case 1: out += "pub " + *word + " " + *word + " " + size + "\r\n" + payload + "\r\n"; break;
      case 2:
        out += "HPUB " + *word + " " + std::to_string(headers.size()) + " " +
               std::to_string(headers.size() + payload.size()) + "\r\n" + headers + payload +
               "\r\n";
        break;
      case 3: out += "SUB " + *word + " " + *word + "\r\n"; break;
      case 4: out += "UNSUB " + *word + " 3\n"; break;
      case 5: out += "PING\r\n"; break;
      case 6: out += "CONNECT {\"verbose\":false}\r\n"; break;
      case 7: out += "MSG a 1 " + size + "\r\n" + payload + "\r\n"; break;
      default:
        out += *rc::gen::weightedElement<std::string>(
            {{9, "PONG\r\n"}, {1, "PUB a b c d e\r\n"}, {1, "JUNK"}});
    }
  }
  return out;
}

std::vector<std::string> split_anywhere(const std::string& bytes) {
  std::vector<std::string> pieces;
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t take = std::min(bytes.size() - at, *rc::gen::inRange<size_t>(1, 20));
    pieces.push_back(bytes.substr(at, take));
    at += take;
  }
  return pieces;
}

RC_GTEST_PROP(nats_parser, any_split_gives_the_same_commands_and_the_same_error, ()) {
  const std::string bytes = some_bytes();
  const Parser::Limits limits{.control_line_max = *rc::gen::element<size_t>(20, 4096),
                              .payload_max = *rc::gen::element<size_t>(8, 1 << 20)};
  const Outcome whole = parse(bytes, limits);
  RC_ASSERT(parse_pieces(split_anywhere(bytes), limits) == whole);
}

RC_GTEST_PROP(nats_parser, damaged_bytes_never_do_harm, ()) {
  const std::string bytes = some_bytes();
  RC_PRE(!bytes.empty());
  for (int round = 0; round < 100; ++round) {
    std::string damaged = bytes;
    const int damages = *rc::gen::inRange(1, 4);
    for (int i = 0; i < damages; ++i)
      damaged[*rc::gen::inRange<size_t>(0, bytes.size())] =
          *rc::gen::element('\r', '\n', ' ', '\t', '0', '9', 'P', '\xff');
    RC_ASSERT(parse_pieces(split_anywhere(damaged)) == parse(damaged));
  }
}

}  // namespace
}  // namespace bascule::nats
