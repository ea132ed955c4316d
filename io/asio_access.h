// For .cc files of io/ alone: the io_context below the loop. Each handler that it runs is a turn.
#pragma once

#include <asio/io_context.hpp>

#include "io/asio_loop.h"

namespace bascule::io {

struct AsioAccess {
  static asio::io_context& context(AsioLoop& loop);
};

}  // namespace bascule::io
