// env::TlsStream on top of any env::Stream, by a TlsSession.
#pragma once

#include <memory>

#include "io/tls_session.h"
#include "src/env/loop.h"
#include "src/env/tls.h"

namespace bascule::io {

// As env::TlsServer::accept and env::TlsClient::connect. `loop` outlives the stream.
std::unique_ptr<env::TlsStream> make_tls_stream(env::Loop& loop,
                                                std::unique_ptr<env::Stream> stream,
                                                TlsSession session, env::TlsHandshake handshake,
                                                env::Done<void> secured);

}  // namespace bascule::io
