// One broker process, put together: world, broker, NATS server, recorder, RPC server. The composition root
// of production; `serve` runs it.
//
//   start:  disk → broker (recovers, registers, leads) → NATS → RPC → ready
//   stop:   no new clients → what was recorded gets its outcome → broker drains and stops clean
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "io/asio_loop.h"
#include "io/node_tls.h"
#include "src/base/ids.h"
#include "src/base/trace.h"
#include "src/broker/broker.h"
#include "src/env/network.h"
#include "src/env/tls.h"

namespace bascule::io {

enum class DiskChoice : uint8_t;

struct NodeOptions {
  std::string data;
  DiskChoice disk{};
  std::optional<env::Address> nats;  // nullopt: off
  std::optional<env::Address> rpc;
  std::string nats_token;
  std::string rpc_token;
  std::string cluster_secret;  // empty: brokers prove none to each other
  NodeTlsOptions tls;
  Duration drain_timeout;
  broker::BrokerOptions broker;
};

class Node {
 public:
  ~Node();
  // Everything in `options` that can be refused without touching the disk is the caller's to check.
  // On an error nothing is left running. `loop` and `trace` outlive the node.
  static void start(AsioLoop& loop, Tracer& trace, NodeOptions options,
                    env::Done<std::unique_ptr<Node>> done);
  // "ready node=1 nats=127.0.0.1:4222 …": one line for scripts that wait for it.
  std::string ready_line() const;
  // Reads the certificates again: new connections get the new ones, those that are there stay. On an error,
  // which names the file, everything stays as it was. Says in the log what is in use now.
  Status reload();
  // Drains. Once; destroy the node afterwards, in a later turn.
  void stop(env::Done<void> done);

 private:
  struct Parts;
  class Starting;
  explicit Node(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace bascule::io
