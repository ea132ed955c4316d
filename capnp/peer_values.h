// What the handshake's, the calls' and Raft's codecs have in common: messages of small size in and out, and
// bounded reading of what they hold.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <string>
#include <string_view>
#include <type_traits>

#include "capnp/metadata_values.h"
#include "capnp/peers.capnp.h"
#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"

namespace bascule::capnp_codec {

inline void write(peers_schema::Uuid::Builder out, const Uuid& u) {
  out.setFirst(u.words[0]);
  out.setSecond(u.words[1]);
}
inline Uuid read(peers_schema::Uuid::Reader in) { return Uuid{{in.getFirst(), in.getSecond()}}; }

// All of it, with zeros inside.
inline ::capnp::Text::Reader text_of(const std::string& text) { return {text.data(), text.size()}; }

// The text's bytes, or `corrupt`: there are more than `max`.
inline Result<std::string> bounded_text(::capnp::Text::Reader text, size_t max,
                                        std::string_view what) {
  if (text.size() > max)
    return fail(Errc::corrupt, "peer message: " + std::string(what) + " is too long");
  return std::string(text.begin(), text.size());
}

// A builder whose message needs no memory of its own while it is small.
class SmallMessage {
 public:
  ::capnp::MallocMessageBuilder& builder() { return builder_; }
  // The message in the form that decode_peer_message reads.
  Bytes finish() { return capnp_codec::finish(builder_); }

 private:
  // Must be zeros; the builder leaves them so.
  ::capnp::word scratch_[64] = {};
  ::capnp::MallocMessageBuilder builder_{kj::arrayPtr(scratch_, 64)};
};

// As decode_message of metadata_values.h, for peer messages.
template <class Root, class Decode>
auto decode_peer_message(ByteView bytes, Decode decode)
    -> std::invoke_result_t<Decode, typename Root::Reader> {
  try {
    const MessageWords message(bytes);
    ::capnp::FlatArrayMessageReader reader(message.words(), message.options());
    auto result = decode(reader.template getRoot<Root>());
    if (reader.getEnd() != message.words().end() || bytes.size() % sizeof(::capnp::word) != 0)
      return fail(Errc::corrupt, "peer message: bytes after its end");
    return result;
  } catch (const kj::Exception& e) {
    return fail(Errc::corrupt,
                std::string("peer message: not a message: ") + e.getDescription().cStr());
  }
}

}  // namespace bascule::capnp_codec
