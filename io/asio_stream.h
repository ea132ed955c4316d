// env::Stream on a TCP socket. For .cc files of io/ alone: it includes asio.
#pragma once

#include <asio/ip/tcp.hpp>
#include <memory>

#include "io/asio_loop.h"
#include "src/env/network.h"

namespace bascule::io {

// `socket` is connected. Sets its options.
std::unique_ptr<env::Stream> make_stream(AsioLoop& loop, asio::ip::tcp::socket socket);

env::Address to_address(const asio::ip::tcp::endpoint& endpoint);

}  // namespace bascule::io
