// The handshake of one stream, as a machine: bodies of frames in, bodies of frames out.
//
//   dialer                                     acceptor
//     │── Hello: who I am, channel, nonce ────────▶│  cluster, versions, feature level
//     │◀──────── Challenge: who I am, nonce ───────│
//     │  the same judgement; claims the link       │
//     │── Proof: MAC("dialer", all so far) ───────▶│  secret; then: clone? dead life? crossing?
//     │◀───── Welcome: MAC("acceptor", all so far) │  open here
//     │  open here                                 │
//     either side, at any step: Refusal(reason), and the stream ends
//
// The MACs cover both first messages as they were sent, hence both nonces, both identities, cluster and
// channel; each side has its own label. So neither side reveals the secret, an old exchange proves nothing
// (the nonces are new), and a proof cannot be sent back as the other side's. The dialer proves first: who
// only calls learns nothing that a guess of the secret could be tried on. What changes any state here
// happens after the other side has proven itself. After the handshake frames have checksums and no MACs:
// who must fear somebody in the middle uses TLS.
#pragma once

#include <expected>
#include <optional>

#include "src/peers/authenticator.h"
#include "src/peers/message.h"
#include "src/peers/peer_codec.h"

namespace bascule::peers {

enum class Side : uint8_t { dialer, acceptor };

// What we know of ourselves while shaking hands.
struct Self {
  Identity identity;
  Uuid cluster;                // none: not known yet
  uint32_t feature_level = 0;  // in force; 0: not known yet
};

// What the handshake has found out.
struct Established {
  Identity other;
  Uuid other_cluster;  // none: it does not know it yet
  Channel channel = Channel::control;
  uint64_t link = 0;
};

struct Claim {
  uint64_t link = 0;  // 0: the other side gives it
  uint64_t last_link = 0;
};

// Who owns the connections decides which of them may be (links.cc).
class HandshakeJudge {
 public:
  virtual ~HandshakeJudge() = default;
  // Our word for this connection is about to be given: as dialer with the Proof, as acceptor (who has
  // checked `proof`) with the Welcome.
  virtual std::expected<Claim, Refusal> claim(const Established& found, Side side,
                                              const Proof& proof) = 0;
};

class Handshake {
 public:
  // `self` is a copy: what changes during the handshake matters for the next. `called`: the node that is
  // expected there; 0: whoever answers. `stream` is asked about by the authenticator.
  Handshake(HandshakeJudge& judge, const PeerCodec& codec, Authenticator& authenticator,
            const env::Stream& stream, Self self, Side side, Channel channel, NodeId called);

  // The dialer's first message.
  Bytes hello();

  struct Step {
    std::optional<Bytes> say;
    bool open = false;               // both sides are who they say
    std::optional<Refusal> refused;  // the other side's word: the end
  };
  // A handshake frame's body. An unexpected value is what to tell the other side before the end.
  std::expected<Step, Refusal> take(ByteView body);

  // What is known so far of the other side; all of it once open.
  const Established& found() const { return found_; }
  // Whether `found().other` has said anything yet.
  bool named() const { return static_cast<bool>(found_.other.node); }

 private:
  enum class Waiting : uint8_t { for_hello, for_challenge, for_proof, for_welcome, nothing };

  std::expected<Step, Refusal> on(const Hello& hello, ByteView body);
  std::expected<Step, Refusal> on(const Challenge& challenge, ByteView body);
  std::expected<Step, Refusal> on(const Proof& proof, ByteView body);
  std::expected<Step, Refusal> on(const Welcome& welcome, ByteView body);
  std::expected<Step, Refusal> on(const Refusal& refusal, ByteView body);

  std::optional<Refusal> judge_other(const Identity& other, const Uuid& cluster) const;
  void remember(ByteView said);
  Mac mac(std::string_view label, uint64_t a, uint64_t b, uint64_t c) const;
  Refusal refusal(RefusalReason reason, std::string text) const;

  HandshakeJudge& judge_;
  const PeerCodec& codec_;
  Authenticator& authenticator_;
  const env::Stream& stream_;
  Self self_;
  Side side_;
  NodeId called_;
  Waiting waiting_;
  Bytes transcript_;
  Proof proof_;  // that was sent, or that came
  Established found_;
};

}  // namespace bascule::peers
