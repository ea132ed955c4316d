// The NATS parser with bytes that no client sends: it reads nothing beyond its input, and the pieces in
// which the bytes come make no difference. The first byte of the input chooses the pieces.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "src/base/assert.h"
#include "src/nats/parser.h"

namespace {

using bascule::nats::Command;
using bascule::nats::ParseError;
using bascule::nats::Parser;

struct Outcome {
  std::string commands;  // every field of every command, with their lengths
  ParseError error = ParseError::none;
  size_t left = 0;
};

void put(std::string& out, std::string_view field) {
  out += std::to_string(field.size());
  out += ':';
  out += field;
}

void put(std::string& out, const Command& command) {
  out += std::to_string(static_cast<int>(command.verb)) + '/' + std::to_string(command.max);
  for (const std::string_view field :
       {command.argument, command.subject, command.reply, command.queue, command.sid,
        bascule::as_text(command.headers), bascule::as_text(command.payload)})
    put(out, field);
}

Outcome feed(bascule::ByteView bytes, size_t piece) {
  Parser parser({.control_line_max = 64, .payload_max = 256, .info_line_max = 128});
  Outcome out;
  size_t at = 0;
  for (size_t end = 0; end < bytes.size();) {
    end = std::min(bytes.size(), end + piece);
    while (at < end) {
      // A copy of exact size, for the address sanitizer.
      const std::vector<uint8_t> input(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                       bytes.begin() + static_cast<std::ptrdiff_t>(end));
      Command command;
      const Parser::Step step = parser.parse(input, command);
      if (step.outcome == Parser::Outcome::error) {
        out.error = step.error;
        return out;
      }
      if (step.outcome == Parser::Outcome::need_more) {
        ASSERT(step.needed > input.size(), step.needed, input.size());
        break;
      }
      ASSERT(step.consumed > 0 && step.consumed <= input.size(), step.consumed);
      put(out.commands, command);
      at += step.consumed;
    }
  }
  out.left = bytes.size() - at;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bascule::ByteView bytes(data + 1, size - 1);
  const Outcome whole = feed(bytes, bytes.size() + 1);
  const Outcome pieces = feed(bytes, 1 + data[0] % 32);
  ASSERT(whole.error == pieces.error, whole.error, pieces.error);
  ASSERT(whole.commands == pieces.commands, whole.commands, pieces.commands);
  ASSERT(whole.left == pieces.left, whole.left, pieces.left);
  return 0;
}
