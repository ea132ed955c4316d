// The cluster's secret: what brokers prove to each other by HMAC-SHA256, with nonces of the kernel's
// generator.
#pragma once

#include <memory>
#include <string>

#include "src/base/result.h"
#include "src/peers/authenticator.h"

namespace bascule::io {

// Shorter ones could be guessed by who has seen one handshake.
inline constexpr size_t k_secret_bytes_min = 16;
inline constexpr size_t k_secret_bytes_max = 4096;

// `invalid`: too short or too long. The secret itself is never told.
Result<std::unique_ptr<peers::Authenticator>> make_secret_authenticator(std::string secret);

}  // namespace bascule::io
