#include "io/tls_network.h"

#include <utility>

namespace bascule::io {
namespace {

// Its outcome shows at the first read.
void ignore(const Status&) {}

}  // namespace

void TlsNetwork::listen(env::Address address, Accept accept,
                        env::Done<std::unique_ptr<env::Listener>> done) {
  below_.listen(
      std::move(address),
      [&server = server_, accept = std::move(accept)](std::unique_ptr<env::Stream> plain) mutable {
        accept(server.accept(std::move(plain), {}, ignore));
      },
      std::move(done));
}

void TlsNetwork::connect(env::Address address, Duration timeout,
                         env::Done<std::unique_ptr<env::Stream>> done) {
  std::string name = address.host;
  below_.connect(std::move(address), timeout,
                 [&client = client_, name = std::move(name),
                  done = std::move(done)](Result<std::unique_ptr<env::Stream>> plain) mutable {
                   if (!plain) return done(fail(std::move(plain.error())));
                   done(client.connect(std::move(*plain), name, {}, ignore));
                 });
}

}  // namespace bascule::io
