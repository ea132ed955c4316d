#include "src/client/connections.h"

#include <utility>

#include "src/base/assert.h"

namespace bascule::client {

Connections::Connections(env::Loop& loop, Transport& transport, std::vector<env::Address> servers,
                         std::string token, Duration timeout)
    : loop_(loop),
      transport_(transport),
      servers_(std::move(servers)),
      token_(std::move(token)),
      timeout_(timeout) {
  REQUIRE(!servers_.empty());
}

Connections::~Connections() = default;

void Connections::to(const env::Address& address, env::Done<ConnectionRef> done) {
  auto [it, fresh] = entries_.try_emplace(address);
  Entry& entry = it->second;
  if (entry.connection) {
    loop_.post(alive_.wrap([this, address, done = std::move(done)]() mutable {
      const auto now = entries_.find(address);
      if (now == entries_.end() || !now->second.connection)
        return to(address, std::move(done));  // it broke meanwhile
      done(now->second.connection);
    }));
    return;
  }
  entry.waiting.push_back(std::move(done));
  if (!fresh) return;
  transport_.connect(address, token_, timeout_,
                     alive_.wrap([this, address](Result<std::unique_ptr<Connection>> result) {
                       connected(address, std::move(result));
                     }));
}

void Connections::connected(const env::Address& address,
                            Result<std::unique_ptr<Connection>> result) {
  const auto it = entries_.find(address);
  ASSERT(it != entries_.end() && !it->second.connection);
  auto waiting = std::exchange(it->second.waiting, {});
  if (!result) {
    entries_.erase(it);
    for (auto& done : waiting) done(fail(result.error()));
    return;
  }
  const ConnectionRef connection = std::move(*result);
  it->second.connection = connection;
  connection->on_closed(alive_.wrap([this, address](const Error&) { entries_.erase(address); }));
  for (auto& done : waiting) done(connection);
}

void Connections::any(env::Done<ConnectionRef> done) {
  try_server(0, {Errc::connection_refused, "no server"}, std::move(done));
}

void Connections::try_server(size_t tried, Error last, env::Done<ConnectionRef> done) {
  if (tried == servers_.size() || last.code == Errc::unauthenticated)
    return done(fail(std::move(last)));
  to(servers_[current_],
     alive_.wrap([this, tried, done = std::move(done)](Result<ConnectionRef> connection) mutable {
       if (connection) return done(std::move(connection));
       Error error = std::move(connection.error());
       error.context = servers_[current_].to_string() + ": " + error.context;
       current_ = (current_ + 1) % servers_.size();
       try_server(tried + 1, std::move(error), std::move(done));
     }));
}

}  // namespace bascule::client
