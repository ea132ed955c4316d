// Brokers that know each other by their certificates: a stream between brokers speaks for a node only if its
// certificate has that node's name. Beside it, or instead, they prove the cluster's secret.
//
// A name of the certificate is compared, and not the host that was called: a node keeps its number wherever it
// lives, and an authority that signs clients too must not make brokers of them.
#pragma once

#include <memory>
#include <string>

#include "src/base/ids.h"
#include "src/peers/authenticator.h"

namespace bascule::io {

// "{node}" in `pattern` stands for the node id; without it all brokers have one name.
std::string broker_name(const std::string& pattern, NodeId node);

// For streams of a TlsNetwork alone. `secret` goes on proving what it proves.
std::unique_ptr<peers::Authenticator> make_certificate_authenticator(
    std::unique_ptr<peers::Authenticator> secret, std::string name_pattern);

}  // namespace bascule::io
