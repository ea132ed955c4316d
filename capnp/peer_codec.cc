// The handshake and the heads of calls. Raft's messages: raft_message_codec.cc.
#include "capnp/peer_codec.h"

#include <algorithm>
#include <utility>

#include "capnp/peer_values.h"

namespace bascule::capnp_codec {
namespace {

namespace schema = peers_schema;
using capnp_codec::read;
using capnp_codec::write;

constexpr uint32_t k_handshake_format = 1;

std::string cut(const std::string& text, size_t max) {
  return text.substr(0, std::min(text.size(), max));
}

template <size_t N>
void write_bytes(::capnp::Data::Builder out, const std::array<uint8_t, N>& bytes) {
  std::copy(bytes.begin(), bytes.end(), out.begin());
}

template <size_t N>
Status read_bytes(::capnp::Data::Reader in, std::array<uint8_t, N>& out) {
  if (in.size() != N) return fail(Errc::corrupt, "peer message: a nonce or proof of another size");
  std::copy(in.begin(), in.end(), out.begin());
  return {};
}

void write(schema::Identity::Builder out, const peers::Identity& identity) {
  out.setNode(identity.node.value);
  write(out.initStorage(), identity.storage);
  out.setIncarnation(identity.incarnation.value);
  write(out.initLife(), identity.life);
  out.setFeatureMin(identity.feature_min);
  out.setFeatureMax(identity.feature_max);
  out.setHost(text_of(cut(identity.address.host, peers::k_host_bytes_max)));
  out.setPort(identity.address.port);
}

Result<peers::Identity> read(schema::Identity::Reader in) {
  peers::Identity identity;
  identity.node = NodeId(in.getNode());
  identity.storage = read(in.getStorage());
  identity.incarnation = Incarnation(in.getIncarnation());
  identity.life = read(in.getLife());
  identity.feature_min = in.getFeatureMin();
  identity.feature_max = in.getFeatureMax();
  BASCULE_TRY_ASSIGN(identity.address.host,
                     bounded_text(in.getHost(), peers::k_host_bytes_max, "a host"));
  identity.address.port = in.getPort();
  return identity;
}

struct EncodeHandshake {
  schema::Handshake::Builder out;

  void operator()(const peers::Hello& m) {
    auto r = out.initHello();
    write(r.initIdentity(), m.identity);
    write(r.initCluster(), m.cluster);
    r.setChannel(static_cast<uint8_t>(m.channel));
    r.setProves(m.proves);
    write_bytes(r.initNonce(static_cast<unsigned>(m.nonce.size())), m.nonce);
  }
  void operator()(const peers::Challenge& m) {
    auto r = out.initChallenge();
    write(r.initIdentity(), m.identity);
    write(r.initCluster(), m.cluster);
    write_bytes(r.initNonce(static_cast<unsigned>(m.nonce.size())), m.nonce);
  }
  void operator()(const peers::Proof& m) {
    auto r = out.initProof();
    r.setLink(m.link);
    r.setLastLink(m.last_link);
    write_bytes(r.initMac(static_cast<unsigned>(m.mac.size())), m.mac);
  }
  void operator()(const peers::Welcome& m) {
    auto r = out.initWelcome();
    r.setLink(m.link);
    write_bytes(r.initMac(static_cast<unsigned>(m.mac.size())), m.mac);
  }
  void operator()(const peers::Refusal& m) {
    auto r = out.initRefusal();
    r.setReason(static_cast<uint16_t>(m.reason));
    r.setText(text_of(cut(m.text, peers::k_text_bytes_max)));
    r.setBy(m.by.value);
    write(r.initCluster(), m.cluster);
  }
};

Result<peers::Channel> channel_of(uint8_t number) {
  if (number >= peers::k_channels)
    return fail(Errc::unsupported, "peer message: a channel of a later program");
  return static_cast<peers::Channel>(number);
}

Result<peers::Handshaking> read(schema::Hello::Reader in) {
  peers::Hello m;
  BASCULE_TRY_ASSIGN(m.identity, read(in.getIdentity()));
  m.cluster = read(in.getCluster());
  BASCULE_TRY_ASSIGN(m.channel, channel_of(in.getChannel()));
  m.proves = in.getProves();
  BASCULE_TRY(read_bytes(in.getNonce(), m.nonce));
  return m;
}

Result<peers::Handshaking> read(schema::Challenge::Reader in) {
  peers::Challenge m;
  BASCULE_TRY_ASSIGN(m.identity, read(in.getIdentity()));
  m.cluster = read(in.getCluster());
  BASCULE_TRY(read_bytes(in.getNonce(), m.nonce));
  return m;
}

Result<peers::Handshaking> read(schema::Proof::Reader in) {
  peers::Proof m;
  m.link = in.getLink();
  m.last_link = in.getLastLink();
  BASCULE_TRY(read_bytes(in.getMac(), m.mac));
  return m;
}

Result<peers::Handshaking> read(schema::Welcome::Reader in) {
  peers::Welcome m;
  m.link = in.getLink();
  BASCULE_TRY(read_bytes(in.getMac(), m.mac));
  return m;
}

Result<peers::Handshaking> read(schema::Refusal::Reader in) {
  peers::Refusal m;
  // A reason that this program has no name for still comes with its text.
  m.reason = in.getReason() <= static_cast<uint16_t>(peers::k_last_refusal_reason)
                 ? static_cast<peers::RefusalReason>(in.getReason())
                 : peers::RefusalReason::other;
  BASCULE_TRY_ASSIGN(m.text, bounded_text(in.getText(), peers::k_text_bytes_max, "a text"));
  m.by = NodeId(in.getBy());
  m.cluster = read(in.getCluster());
  return m;
}

Result<peers::Handshaking> read(schema::Handshake::Reader in) {
  if (in.getFormat() != k_handshake_format)
    return fail(in.getFormat() == 0 ? Errc::corrupt : Errc::unsupported,
                "peer message: a handshake of format " + std::to_string(in.getFormat()));
  switch (in.which()) {
    case schema::Handshake::HELLO: return read(in.getHello());
    case schema::Handshake::CHALLENGE: return read(in.getChallenge());
    case schema::Handshake::PROOF: return read(in.getProof());
    case schema::Handshake::WELCOME: return read(in.getWelcome());
    case schema::Handshake::REFUSAL: return read(in.getRefusal());
  }
  return fail(Errc::unsupported, "peer message: a handshake of a later program");
}

struct EncodeCall {
  schema::Call::Builder out;

  void operator()(const peers::RequestHead& m) {
    auto r = out.initRequest();
    r.setId(m.id);
    r.setKind(m.kind);
  }
  void operator()(const peers::ResponseHead& m) {
    auto r = out.initResponse();
    r.setId(m.id);
    if (!m.error) return;
    r.setError(static_cast<uint16_t>(m.error->code));
    r.setText(text_of(cut(m.error->context, peers::k_text_bytes_max)));
  }
  void operator()(const peers::NoticeHead& m) { out.setNotice(m.kind); }
};

Result<peers::CallHead> read(schema::Call::Reader in) {
  switch (in.which()) {
    case schema::Call::REQUEST:
      return peers::RequestHead{in.getRequest().getId(), in.getRequest().getKind()};
    case schema::Call::RESPONSE: {
      const auto r = in.getResponse();
      peers::ResponseHead m{r.getId(), std::nullopt};
      if (r.getError() == 0) return m;
      BASCULE_TRY_ASSIGN(std::string text,
                         bounded_text(r.getText(), peers::k_text_bytes_max, "a text"));
      // A code of a later program is the entry of `internal` wherever it is looked up.
      m.error = Error{static_cast<Errc>(r.getError()), std::move(text)};
      return m;
    }
    case schema::Call::NOTICE: return peers::NoticeHead{in.getNotice()};
  }
  return fail(Errc::unsupported, "peer message: a call of a later program");
}

}  // namespace

Bytes PeerCodec::encode_handshake(const peers::Handshaking& message) const {
  SmallMessage out;
  auto root = out.builder().initRoot<schema::Handshake>();
  root.setFormat(k_handshake_format);
  std::visit(EncodeHandshake{root}, message);
  return out.finish();
}

Result<peers::Handshaking> PeerCodec::decode_handshake(ByteView bytes) const {
  return decode_peer_message<schema::Handshake>(
      bytes, [](schema::Handshake::Reader root) { return read(root); });
}

Bytes PeerCodec::encode_call(const peers::CallHead& head) const {
  SmallMessage out;
  std::visit(EncodeCall{out.builder().initRoot<schema::Call>()}, head);
  return out.finish();
}

Result<peers::CallHead> PeerCodec::decode_call(ByteView bytes) const {
  return decode_peer_message<schema::Call>(bytes,
                                           [](schema::Call::Reader root) { return read(root); });
}

}  // namespace bascule::capnp_codec
