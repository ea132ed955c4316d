// One connection of the RPC port, and what its capabilities share. Private to the RPC server.
//
// A Session lives as long as its connection. The capability objects (rpc_admin.cc, rpc_publisher.cc,
// rpc_reader.cc) belong to KJ, hold it by reference and never outlive it: the RPC system, which drops
// them, is a member of the same connection. Calls allow cancellation, and the session
// lets the cancelled ones end before it goes.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "capnp/bascule.capnp.h"
#include "capnp/kj_guest.h"
#include "capnp/kj_stream.h"
#include "capnp/rpc_server.h"
#include "src/broker/api.h"

namespace bascule::rpc {

// What all sessions of a server share.
struct ServerContext {
  KjGuest& guest;
  broker::Api& api;
  Tracer& trace;
  const RpcServerOptions& options;
};

class GatedSubscription;

class Session {
 public:
  // `who`: as the connection itself has proved; nobody without a certificate.
  Session(ServerContext& context, std::unique_ptr<env::Stream> stream, broker::Principal who);
  ~Session() noexcept;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Begins to read; `ended` runs once, outside of KJ, when the connection has ended.
  void start(env::Task ended);

  KjGuest& guest() { return context_.guest; }
  broker::Api& api() { return context_.api; }
  const RpcServerOptions& options() const { return context_.options; }
  KjStream& stream() { return stream_; }
  const broker::Principal& who() const { return who_; }
  MonotonicTime deadline(uint64_t budget_ns) const;
  // The hint for an error that has one.
  std::optional<client::LeaderHint> hint(const Error& error, PartitionId partition) const;

  // Checks the credentials. Success opens the session to messages of full size; a refusal ends the
  // connection shortly after its answer.
  Status login(wire::Credentials::Reader credentials);

  // A completion for the API and a promise that it fulfils. When the session is gone first, the
  // completion does nothing.
  template <class T>
  struct Call {
    env::Done<T> done;
    kj::Promise<Result<T>> promise;
  };
  template <class T>
  Call<T> call() {
    auto paf = kj::newPromiseAndFulfiller<Result<T>>();
    return {alive_.wrap([this, fulfiller = kj::mv(paf.fulfiller)](Result<T> result) mutable {
              const Status status = guest().enter([&] { fulfiller->fulfill(std::move(result)); });
              ASSERT(status.has_value());
            }),
            kj::mv(paf.promise)};
  }

  // Counts a call for as long as the result lives; null: too many are open.
  std::shared_ptr<void> admit_call();

  // --- Subscriptions ---
  bool add_subscription(GatedSubscription& subscription);
  void remove_subscription(GatedSubscription& subscription);
  // Bytes on their way out of this process.
  size_t queued_bytes() { return network_->getCurrentQueueSize() + stream_.queued_bytes(); }
  // Whether deliveries may go on; when not, the waiting ones are told when they may.
  bool writable();

 private:
  void drained();
  void break_off();
  void finish();

  ServerContext& context_;
  broker::Principal who_;
  bool authenticated_ = false;
  bool ended_ = false;
  uint32_t calls_ = 0;
  env::TimerId login_timer_;
  env::Task on_ended_;
  // By number, given in the order of their beginning: the order in which they are told.
  std::map<uint64_t, GatedSubscription*> subscriptions_;
  uint64_t subscriptions_begun_ = 0;

  KjStream stream_;
  std::optional<::capnp::TwoPartyVatNetwork> network_;
  std::optional<::capnp::RpcSystem<::capnp::rpc::twoparty::VatId>> system_;
  std::optional<kj::Promise<void>> disconnect_;
  env::Scope alive_;
};

// A subscription whose deliveries wait while the connection's queue is long.
class GatedSubscription {
 public:
  uint64_t number = 0;  // in its session

  // The queue is short again. Called outside of KJ.
  virtual void writable() = 0;
  // The connection ends: nothing of the session is used after this call, which takes the subscription
  // out of it. A hostile client can make a subscription hold itself, so ends are not left to counts.
  virtual void drop() = 0;

 protected:
  ~GatedSubscription() = default;
};

wire::Bootstrap::Client make_bootstrap(Session& session);
wire::Admin::Client make_admin(Session& session);
wire::Publisher::Client make_publisher(Session& session);
wire::Reader::Client make_reader(Session& session);
wire::Cluster::Client make_cluster(Session& session);

}  // namespace bascule::rpc
