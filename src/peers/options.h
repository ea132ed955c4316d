// Bounds and timings of the connections between brokers, all in one place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/base/time.h"
#include "src/env/network.h"
#include "src/model/limits.h"

namespace bascule::peers {

// A frame's payload: body, attachment lengths, attachments.
inline constexpr size_t k_payload_bytes_max = limits::k_message_bytes_max;
// Of one frame; as many entries as fit a Raft message even if they are empty.
inline constexpr size_t k_attachments_max = 16 << 10;
// A frame's payload before the other side is authenticated.
inline constexpr size_t k_handshake_bytes_max = 4 << 10;
inline constexpr size_t k_peers_max = 1024;  // other brokers that are remembered
inline constexpr size_t k_seeds_max = 64;

struct PeersOptions {
  env::Address listen = {};  // port 0: any

  Duration connect_timeout = seconds(1);
  Duration handshake_timeout = seconds(2);  // from the stream's beginning to its end
  // Between attempts: doubles from min to max, and of each a random part of [half, whole] is waited.
  Duration backoff_min = milliseconds(20);
  Duration backoff_max = seconds(1);
  // A stream on which nothing was sent for this long gets a ping.
  Duration ping_interval = milliseconds(500);
  // A stream on which nothing was heard for this long is given up. Not a proof of anything.
  Duration silence_timeout = seconds(3);
  // Between the two refused connects that prove that a process is gone.
  Duration refused_interval = milliseconds(50);
  // How long a stream is kept for its refusal to be read.
  Duration linger = milliseconds(500);

  // Frames queued for one channel of one peer. A single frame always fits an empty queue. Beyond:
  // `overloaded`, and `writable` once the queue is down to half of it.
  size_t queue_bytes_max = 16 << 20;
  // Of it, what is handed to the stream at a time; the kernel takes little more.
  size_t stream_bytes_max = 256 << 10;
  // Accepted streams that are not authenticated yet. Beyond: closed at once.
  size_t unauthenticated_max = 64;
  // Requests to one peer without an answer, and requests of one peer that we have not answered. Beyond:
  // `overloaded`.
  size_t requests_max = 4096;
};

}  // namespace bascule::peers
