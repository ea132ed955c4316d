// The client's connections, one per broker: made when first asked for, shared by all who ask, forgotten
// when they break.
//
// A connection is used in the turn that it was given in, and not held: open requests are answered before
// it is forgotten, and what it owes is dropped when the client goes.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/client/transport.h"
#include "src/env/loop.h"
#include "src/env/network.h"

namespace bascule::client {

using ConnectionRef = std::shared_ptr<Connection>;

class Connections {
 public:
  Connections(env::Loop& loop, Transport& transport, std::vector<env::Address> servers,
              std::string token, Duration timeout);
  ~Connections();

  // To the broker at `address`; completes in a later turn.
  void to(const env::Address& address, env::Done<ConnectionRef> done);
  // To any broker: the one used last, else the servers in turn until one answers. The error is the last
  // one's; `unauthenticated` ends the round.
  void any(env::Done<ConnectionRef> done);
  // The next any() begins with another server, where there is one.
  void prefer_another() { current_ = (current_ + 1) % servers_.size(); }

 private:
  struct Entry {
    ConnectionRef connection;  // null: on its way
    std::vector<env::Done<ConnectionRef>> waiting;
  };

  void connected(const env::Address& address, Result<std::unique_ptr<Connection>> result);
  void try_server(size_t tried, Error last, env::Done<ConnectionRef> done);

  env::Loop& loop_;
  Transport& transport_;
  std::vector<env::Address> servers_;
  std::string token_;
  Duration timeout_;
  size_t current_ = 0;  // in servers_: where any() begins
  std::map<env::Address, Entry> entries_;
  env::Scope alive_;
};

}  // namespace bascule::client
