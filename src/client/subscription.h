// The Subscription of client.h: finds the stream and reads its partitions side by side.
#pragma once

#include <memory>

#include "src/client/client.h"
#include "src/client/metadata.h"

namespace bascule::client {

std::unique_ptr<Subscription> make_subscription(Shared& shared, Metadata& metadata,
                                                SubscribeOptions options, Receiver& receiver);

}  // namespace bascule::client
