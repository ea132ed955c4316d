// Small values that commands and snapshots have in common, between Cap'n Proto and ours. Reading them
// bounds every list before anything is allocated for it.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "capnp/metadata.capnp.h"
#include "src/base/bytes.h"
#include "src/base/ids.h"
#include "src/base/result.h"
#include "src/controller/command.h"
#include "src/model/stream_config.h"

namespace bascule::capnp_codec {

inline constexpr uint32_t k_metadata_format = 1;

inline void write(metadata_schema::Uuid::Builder out, const Uuid& u) {
  out.setFirst(u.words[0]);
  out.setSecond(u.words[1]);
}
inline Uuid read(metadata_schema::Uuid::Reader in) { return Uuid{{in.getFirst(), in.getSecond()}}; }

inline void write(metadata_schema::PartitionId::Builder out, const PartitionId& id) {
  out.setStream(id.stream.value);
  out.setIndex(id.index.value);
}
inline PartitionId read(metadata_schema::PartitionId::Reader in) {
  return {StreamId(in.getStream()), PartitionIndex(in.getIndex())};
}

inline void write(metadata_schema::BrokerLife::Builder out, NodeId node, Incarnation incarnation) {
  out.setNode(node.value);
  out.setIncarnation(incarnation.value);
}
inline controller::BrokerLife read(metadata_schema::BrokerLife::Reader in) {
  return {NodeId(in.getNode()), Incarnation(in.getIncarnation())};
}

// Texts that are too long are `corrupt`.
Result<std::string> read_label(::capnp::Text::Reader in);

// Endpoints, host label and feature levels, of a registration or of an entry.
template <class Broker>
void write_address(metadata_schema::BrokerAddress::Builder out, const Broker& b) {
  out.setPeers(b.endpoints.peers);
  out.setRpc(b.endpoints.rpc);
  out.setNats(b.endpoints.nats);
  out.setHost(b.host);
  out.setFeatureLeast(b.features.least);
  out.setFeatureMost(b.features.most);
}
template <class Broker>
Status read_address(metadata_schema::BrokerAddress::Reader in, Broker& b) {
  BASCULE_TRY_ASSIGN(b.endpoints.peers, read_label(in.getPeers()));
  BASCULE_TRY_ASSIGN(b.endpoints.rpc, read_label(in.getRpc()));
  BASCULE_TRY_ASSIGN(b.endpoints.nats, read_label(in.getNats()));
  BASCULE_TRY_ASSIGN(b.host, read_label(in.getHost()));
  b.features = {in.getFeatureLeast(), in.getFeatureMost()};
  return {};
}

void write(metadata_schema::StreamConfig::Builder out, const model::StreamConfig& c);
Result<model::StreamConfig> read(metadata_schema::StreamConfig::Reader in);

// The list's size, or `corrupt`: `what` holds more than `max`.
template <class List>
Result<size_t> bounded(const List& list, size_t max, std::string_view what) {
  if (list.size() > max) return fail(Errc::corrupt, "metadata: too many " + std::string(what));
  return static_cast<size_t>(list.size());
}

Bytes finish(::capnp::MessageBuilder& message);

// The words of a message in bytes that may lie anywhere.
class MessageWords {
 public:
  explicit MessageWords(ByteView bytes);
  kj::ArrayPtr<const ::capnp::word> words() const { return words_; }
  // Every object can be visited once, and a little more: content that many pointers share is refused.
  ::capnp::ReaderOptions options() const;

 private:
  kj::Array<::capnp::word> copy_;  // where the bytes are not aligned
  kj::ArrayPtr<const ::capnp::word> words_;
};

Error shape_error(const kj::Exception& e);

// What `decode` makes of the message's root; `corrupt` where the bytes are no message or have more after it.
template <class Root, class Decode>
auto decode_message(ByteView bytes, Decode decode)
    -> std::invoke_result_t<Decode, typename Root::Reader> {
  try {
    const MessageWords message(bytes);
    ::capnp::FlatArrayMessageReader reader(message.words(), message.options());
    auto result = decode(reader.template getRoot<Root>());
    if (reader.getEnd() != message.words().end() || bytes.size() % sizeof(::capnp::word) != 0)
      return fail(Errc::corrupt, "metadata: bytes after the message");
    return result;
  } catch (const kj::Exception& e) {
    return fail(shape_error(e));
  }
}

}  // namespace bascule::capnp_codec
