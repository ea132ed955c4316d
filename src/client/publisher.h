// The Publisher of client.h: finds the stream, sends each record to a lane, counts what is open.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/client/client.h"
#include "src/client/metadata.h"
#include "src/client/publish_lane.h"

namespace bascule::client {

std::unique_ptr<Publisher> make_publisher(Shared& shared, Metadata& metadata, std::string stream,
                                          PublisherOptions options);

}  // namespace bascule::client
