#include "src/peers/handshake.h"

#include <utility>

#include "src/base/codec.h"

namespace bascule::peers {
namespace {

constexpr std::string_view k_dialer_label = "bascule peers 1, the dialer";
constexpr std::string_view k_acceptor_label = "bascule peers 1, the acceptor";

}  // namespace

std::string_view refusal_name(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::other: return "other";
    case RefusalReason::wrong_version: return "wrong_version";
    case RefusalReason::another_cluster: return "another_cluster";
    case RefusalReason::wrong_secret: return "wrong_secret";
    case RefusalReason::clone: return "clone";
    case RefusalReason::older_format: return "older_format";
    case RefusalReason::newer_format: return "newer_format";
    case RefusalReason::dead_life: return "dead_life";
    case RefusalReason::earlier_life_connected: return "earlier_life_connected";
    case RefusalReason::crossing: return "crossing";
    case RefusalReason::itself: return "itself";
    case RefusalReason::not_the_called: return "not_the_called";
    case RefusalReason::malformed: return "malformed";
    case RefusalReason::stopping: return "stopping";
    case RefusalReason::not_permitted: return "not_permitted";
    case RefusalReason::full: return "full";
  }
  return "other";
}

Handshake::Handshake(HandshakeJudge& judge, const PeerCodec& codec, Authenticator& authenticator,
                     const env::Stream& stream, Self self, Side side, Channel channel,
                     NodeId called)
    : judge_(judge),
      codec_(codec),
      authenticator_(authenticator),
      stream_(stream),
      self_(std::move(self)),
      side_(side),
      called_(called),
      waiting_(side == Side::dialer ? Waiting::for_challenge : Waiting::for_hello) {
  found_.channel = channel;
}

Bytes Handshake::hello() {
  REQUIRE(side_ == Side::dialer && transcript_.empty());
  Bytes body = codec_.encode_handshake(Hello{self_.identity, self_.cluster, found_.channel,
                                             authenticator_.proves(), authenticator_.nonce()});
  remember(body);
  return body;
}

std::expected<Handshake::Step, Refusal> Handshake::take(ByteView body) {
  auto message = codec_.decode_handshake(body);
  if (!message) {
    return std::unexpected(refusal(message.error().code == Errc::unsupported
                                       ? RefusalReason::wrong_version
                                       : RefusalReason::malformed,
                                   message.error().context));
  }
  return std::visit([&](const auto& m) { return on(m, body); }, *message);
}

std::expected<Handshake::Step, Refusal> Handshake::on(const Hello& hello, ByteView body) {
  if (waiting_ != Waiting::for_hello)
    return std::unexpected(refusal(RefusalReason::malformed, "a hello out of turn"));
  found_.other = hello.identity;
  found_.other_cluster = hello.cluster;
  found_.channel = hello.channel;
  if (auto bad = judge_other(hello.identity, hello.cluster)) return std::unexpected(*bad);
  if (hello.proves != authenticator_.proves()) {
    return std::unexpected(refusal(RefusalReason::wrong_secret,
                                   hello.proves ? "this broker was given no cluster secret"
                                                : "this broker asks for the cluster's secret"));
  }
  remember(body);
  Bytes answer =
      codec_.encode_handshake(Challenge{self_.identity, self_.cluster, authenticator_.nonce()});
  remember(answer);
  waiting_ = Waiting::for_proof;
  return Step{std::move(answer), false, std::nullopt};
}

std::expected<Handshake::Step, Refusal> Handshake::on(const Challenge& challenge, ByteView body) {
  if (waiting_ != Waiting::for_challenge)
    return std::unexpected(refusal(RefusalReason::malformed, "a challenge out of turn"));
  found_.other = challenge.identity;
  found_.other_cluster = challenge.cluster;
  if (auto bad = judge_other(challenge.identity, challenge.cluster)) return std::unexpected(*bad);
  if (called_ && challenge.identity.node != called_) {
    return std::unexpected(refusal(RefusalReason::not_the_called,
                                   "node " + called_.to_string() + " was called, node " +
                                       challenge.identity.node.to_string() + " answered"));
  }
  remember(body);
  auto claimed = judge_.claim(found_, side_, {});
  if (!claimed) return std::unexpected(claimed.error());
  found_.link = claimed->link;
  proof_ = {claimed->link, claimed->last_link,
            mac(k_dialer_label, claimed->link, claimed->last_link, 0)};
  waiting_ = Waiting::for_welcome;
  return Step{codec_.encode_handshake(proof_), false, std::nullopt};
}

std::expected<Handshake::Step, Refusal> Handshake::on(const Proof& proof, ByteView) {
  if (waiting_ != Waiting::for_proof)
    return std::unexpected(refusal(RefusalReason::malformed, "a proof out of turn"));
  if (!equal_macs(proof.mac, mac(k_dialer_label, proof.link, proof.last_link, 0)))
    return std::unexpected(
        refusal(RefusalReason::wrong_secret, "the cluster's secret here is another one"));
  proof_ = proof;
  auto claimed = judge_.claim(found_, side_, proof);
  if (!claimed) return std::unexpected(claimed.error());
  found_.link = claimed->link;
  waiting_ = Waiting::nothing;
  const Welcome welcome{found_.link,
                        mac(k_acceptor_label, proof.link, proof.last_link, found_.link)};
  return Step{codec_.encode_handshake(welcome), true, std::nullopt};
}

std::expected<Handshake::Step, Refusal> Handshake::on(const Welcome& welcome, ByteView) {
  if (waiting_ != Waiting::for_welcome)
    return std::unexpected(refusal(RefusalReason::malformed, "a welcome out of turn"));
  if (!equal_macs(welcome.mac, mac(k_acceptor_label, proof_.link, proof_.last_link, welcome.link)))
    return std::unexpected(
        refusal(RefusalReason::wrong_secret, "the cluster's secret here is another one"));
  if (welcome.link == 0 || (found_.link != 0 && welcome.link != found_.link))
    return std::unexpected(refusal(RefusalReason::malformed, "a welcome to another link"));
  found_.link = welcome.link;
  waiting_ = Waiting::nothing;
  return Step{std::nullopt, true, std::nullopt};
}

std::expected<Handshake::Step, Refusal> Handshake::on(const Refusal& refusal, ByteView) {
  waiting_ = Waiting::nothing;
  return Step{std::nullopt, false, refusal};
}

std::optional<Refusal> Handshake::judge_other(const Identity& other, const Uuid& cluster) const {
  if (!other.node || !other.storage || !other.incarnation || !other.life)
    return refusal(RefusalReason::malformed, "a broker without a name");
  if (self_.cluster && cluster && self_.cluster != cluster) {
    return refusal(RefusalReason::another_cluster, "this broker belongs to cluster " +
                                                       self_.cluster.to_string() + ", not to " +
                                                       cluster.to_string());
  }
  const Identity& self = self_.identity;
  const uint32_t lowest = std::max(self.feature_min, self_.feature_level);
  if (other.feature_max < lowest) {
    return refusal(RefusalReason::older_format, "feature level " + std::to_string(lowest) +
                                                    " is needed here, and node " +
                                                    other.node.to_string() + " knows " +
                                                    std::to_string(other.feature_max) + " at most");
  }
  const uint32_t highest =
      self_.feature_level != 0 ? std::min(self.feature_max, self_.feature_level) : self.feature_max;
  if (other.feature_min > highest) {
    return refusal(RefusalReason::newer_format,
                   "feature level " + std::to_string(highest) + " is the highest here, and node " +
                       other.node.to_string() + " needs " + std::to_string(other.feature_min));
  }
  if (Status admitted = authenticator_.admit(stream_, other.node); !admitted)
    return refusal(RefusalReason::not_permitted, admitted.error().context);
  return std::nullopt;
}

// With its length, so that no two transcripts are the same bytes.
void Handshake::remember(ByteView said) {
  Writer out(transcript_);
  out.fixed<uint64_t>(said.size());
  out.raw(said);
}

Mac Handshake::mac(std::string_view label, uint64_t a, uint64_t b, uint64_t c) const {
  if (!authenticator_.proves()) return {};
  Bytes message;
  Writer out(message);
  out.fixed<uint64_t>(label.size());
  out.raw(as_bytes(label));
  out.raw(transcript_);
  out.fixed(a);
  out.fixed(b);
  out.fixed(c);
  return authenticator_.mac(message);
}

Refusal Handshake::refusal(RefusalReason reason, std::string text) const {
  return {reason, std::move(text), self_.identity.node, self_.cluster};
}

}  // namespace bascule::peers
