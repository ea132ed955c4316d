// A message on its way through the broker's NATS side: what a client published, as views, or what the
// broker itself says (answers). Everything lives until the call that was given it returns; who needs a
// large payload for longer shares `buffer`.
#pragma once

#include <string_view>

#include "src/base/bytes.h"
#include "src/base/ids.h"

namespace bascule::nats {

// A client's connection; never reused in a process's life. 0: the broker itself.
using ConnectionId = StrongId<struct ConnectionIdTag>;

struct Message {
  std::string_view subject;
  std::string_view reply;  // empty: none
  ByteView headers;        // the whole block with its version line and empty line; empty: none
  ByteView payload;
  // Holds the bytes of `headers` and `payload`, where they lie in a shareable buffer.
  const BufferRef* buffer = nullptr;

  size_t bytes() const { return headers.size() + payload.size(); }
};

}  // namespace bascule::nats
