// The NATS client protocol, from bytes to commands: INFO CONNECT PING PONG PUB HPUB SUB UNSUB MSG HMSG
// +OK -ERR, as a client or a server would meet them.
//
// Stands between a connection's receive buffer and whoever acts on the commands. The parser keeps no
// bytes: it looks at the unconsumed front of one contiguous buffer and gives views into it, so a payload
// is never copied here. Bytes may be split anywhere: the commands, and the error that ends them, depend
// on the bytes alone (checked as a property). What a line may cost is bounded by `control_line_max`,
// what a message may cost by `payload_max`, both checked before the bytes are waited for.
//
// Source: the client protocol of docs.nats.io; where it is silent, what nats-server 2.x accepts: verbs in
// any case, spaces or tabs between arguments, a bare LF as the end of a line.
#pragma once

#include <cstdint>
#include <string_view>

#include "src/base/bytes.h"

namespace bascule::nats {

enum class Verb : uint8_t { info, connect, ping, pong, pub, hpub, sub, unsub, msg, hmsg, ok, err };

// One command. Views live as long as the bytes given to the parser.
struct Command {
  Verb verb = Verb::ping;
  std::string_view argument;  // INFO and CONNECT: the JSON; -ERR: its text, quotes included
  std::string_view subject;
  std::string_view reply;  // empty: none
  std::string_view queue;  // SUB; empty: none
  std::string_view sid;    // SUB, UNSUB, MSG, HMSG
  uint64_t max = 0;        // UNSUB: messages after which it ends; 0: at once
  ByteView headers;        // HPUB, HMSG: the whole block, from "NATS/1.0" to its empty line
  ByteView payload;
};

enum class ParseError : uint8_t {
  none,
  unknown_operation,  // no verb begins like this, or a payload does not end with CR LF
  arguments,          // wrong number of arguments, or a size that is none
  control_line,       // the line is longer than allowed
  payload,            // the message is larger than allowed
};
// What nats-server says in -ERR '…' before it closes. Clients parse some of these texts.
std::string_view parse_error_text(ParseError error);

class Parser {
 public:
  struct Limits {
    size_t control_line_max = 4096;  // bytes of a line, its end not counted
    size_t payload_max = 1 << 20;    // headers and payload together
    size_t info_line_max = 32768;    // of INFO, which servers send
  };

  enum class Outcome : uint8_t { command, need_more, error };
  struct Step {
    Outcome outcome = Outcome::need_more;
    // With `command`: bytes of it, at the front of the input, to be dropped before the next call.
    size_t consumed = 0;
    // With `need_more`: the command is at least so many bytes long; more than were given.
    size_t needed = 0;
    ParseError error = ParseError::none;
  };

  explicit Parser(Limits limits) : limits_(limits) {}

  // Reads one command at the front of `in`. After `need_more` the next call gives the same bytes (they
  // may have moved) with more behind them. After `error` nothing more is to be read.
  Step parse(ByteView in, Command& out);

 private:
  Step need(size_t bytes) const { return {Outcome::need_more, 0, bytes, ParseError::none}; }
  static Step broken(ParseError error) { return {Outcome::error, 0, 0, error}; }
  Step finish_line(ByteView in, Command& out);
  Step finish_message(ByteView in, Command& out);
  void forget();

  Limits limits_;
  // What was learnt about the command at the front, so that nothing is scanned twice.
  size_t scanned_ = 0;   // no LF below this position
  size_t body_at_ = 0;   // position behind its line; 0: the line is not complete yet
  size_t line_end_ = 0;  // with body_at_ > 0: the line is [0, line_end_), without its CR LF
  size_t verb_bytes_ = 0;
  Verb verb_ = Verb::ping;
  size_t header_bytes_ = 0;
  size_t body_bytes_ = 0;
};

// A decimal number as NATS writes it. False if empty, not digits, or above 2^53.
bool parse_decimal(std::string_view digits, uint64_t& out);

}  // namespace bascule::nats
