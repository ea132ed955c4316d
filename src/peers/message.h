// What brokers say to each other beside Raft, as values. How they become bytes is the codec's matter
// (peer_codec.h, implemented in capnp/).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/peers/authenticator.h"
#include "src/peers/types.h"

namespace bascule::peers {

// --- Handshake (handshake.h has who says what when) ---------------------------------------------------

struct Hello {
  Identity identity;
  Uuid cluster;  // none: does not know it yet
  Channel channel = Channel::control;
  bool proves = false;
  Nonce nonce{};

  bool operator==(const Hello&) const = default;
};

struct Challenge {
  Identity identity;
  Uuid cluster;
  Nonce nonce{};

  bool operator==(const Challenge&) const = default;
};

struct Proof {
  uint64_t link = 0;       // given by the lower node id (links.h); 0: the other side gives it
  uint64_t last_link = 0;  // greatest of this pair and channel that was ever open here
  Mac mac{};

  bool operator==(const Proof&) const = default;
};

struct Welcome {
  uint64_t link = 0;
  Mac mac{};

  bool operator==(const Welcome&) const = default;
};

// Why a connection is not to be. Numbers travel.
enum class RefusalReason : uint16_t {
  other = 0,  // of a later program, by its text
  wrong_version = 1,
  another_cluster = 2,
  wrong_secret = 3,
  // Another process speaks for this node and is alive: a copied data directory, or one number twice.
  clone = 4,
  // The program of the refused is too old, or too new, for the feature level in force.
  older_format = 5,
  newer_format = 6,
  dead_life = 7,  // a later incarnation of this storage is known
  earlier_life_connected =
      8,                // an earlier life of this broker still has its connections: try again
  crossing = 9,         // another connection of this pair and channel stays
  itself = 10,          // it has called itself
  not_the_called = 11,  // another node lives at this address
  malformed = 12,
  stopping = 13,
  not_permitted = 14,  // the transport says that it is somebody else
  full = 15,
};
inline constexpr RefusalReason k_last_refusal_reason = RefusalReason::full;
std::string_view refusal_name(RefusalReason reason);

struct Refusal {
  RefusalReason reason = RefusalReason::other;
  std::string text;  // a sentence for people
  NodeId by;         // 0: not said
  Uuid cluster;      // of who refuses

  bool operator==(const Refusal&) const = default;
};

inline constexpr size_t k_text_bytes_max = 1 << 10;

using Handshaking = std::variant<Hello, Challenge, Proof, Welcome, Refusal>;

// --- Calls ------------------------------------------------------------------------------------------

// Kinds are given out by who handles them; the bytes are theirs.
struct Request {
  uint16_t kind = 0;
  Slice body;
  std::vector<Slice> attachments;
};
struct Reply {
  Slice body;
  std::vector<Slice> attachments;
};
// One way: nobody knows whether it came.
struct Notice {
  uint16_t kind = 0;
  Slice body;
  std::vector<Slice> attachments;
};

// The head of a call frame; its body is the frame's first attachment, its attachments follow.
struct RequestHead {
  uint64_t id = 0;
  uint16_t kind = 0;

  bool operator==(const RequestHead&) const = default;
};
struct ResponseHead {
  uint64_t id = 0;
  std::optional<Error> error;  // none: it went well

  bool operator==(const ResponseHead&) const = default;
};
struct NoticeHead {
  uint16_t kind = 0;

  bool operator==(const NoticeHead&) const = default;
};
using CallHead = std::variant<RequestHead, ResponseHead, NoticeHead>;

}  // namespace bascule::peers
