// What the embedded NATS server is told, with every bound of it. Defaults are nats-server's own where it
// has one.
#pragma once

#include <cstdint>
#include <string>

#include "src/base/time.h"
#include "src/env/network.h"
#include "src/env/tls.h"
#include "src/model/limits.h"

namespace bascule::nats {

struct ServerOptions {
  env::Address listen{"127.0.0.1", 4222};
  std::string name{};  // shown to clients; empty: the server's id

  // A client must give the token, or the user and password, where one is set; the two exclude each other.
  std::string auth_token{};
  std::string user{};
  std::string password{};

  // Clients are upgraded to TLS after INFO; `allow`: who wants to. Null exactly with `off`. It outlives the
  // server. Where it requires an identity, a client without a certificate does not get further.
  env::TlsMode tls_mode = env::TlsMode::off;
  env::TlsServer* tls = nullptr;

  uint32_t connections_max = 65'536;
  uint32_t subscriptions_max = 100'000;  // per connection
  uint32_t subscriptions_total_max = 1'000'000;
  size_t control_line_max = 4096;                         // bytes
  size_t payload_max = limits::k_nats_payload_bytes_max;  // headers and payload together
  // Bytes that wait for a client to read them: above it the client is a slow consumer and is cut.
  size_t pending_bytes_max = 64 << 20;
  // The same for all clients together: above it a client that holds over its share is cut.
  size_t pending_bytes_total_max = 512 << 20;

  Duration auth_timeout = seconds(2);  // from connecting to a valid CONNECT, where one is asked for
  Duration tls_timeout = seconds(2);   // from INFO to the end of the handshake
  Duration ping_interval =
      seconds(120);            // silence after which a client is asked for a sign of life
  uint32_t pings_out_max = 2;  // unanswered ones, before the connection is stale
  Duration close_timeout =
      milliseconds(500);  // for the last bytes to a client that is being closed
};

struct RecorderOptions {
  // A partition that has so many bytes gathered or in flight pauses the clients that publish to it.
  size_t partition_bytes_max = 8 << 20;
  // The same for all partitions together. Twice of either is never exceeded: what comes then is dropped.
  size_t total_bytes_max = 256 << 20;
  // For how long publishers are held before messages are dropped and counted.
  Duration pause_max = milliseconds(100);
  size_t batch_bytes_max = 1 << 20;  // uncompressed; a single larger record makes a batch by itself
  // A batch that is refused definitely, for a reason that passes, is sent again until then.
  Duration retry_for = seconds(5);
  Duration retry_pause = milliseconds(20);
  Duration publish_timeout = seconds(30);  // the deadline given to the broker
};

}  // namespace bascule::nats
