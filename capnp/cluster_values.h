// The cluster's status between Cap'n Proto and ours.
#pragma once

#include "capnp/bascule.capnp.h"
#include "src/base/result.h"
#include "src/broker/api.h"

namespace bascule::rpc {

void write_cluster(wire::ClusterStatus::Builder out, const broker::ClusterStatus& status);
// `unsupported`: an enumerator of a later program.
Result<broker::ClusterStatus> read_cluster(wire::ClusterStatus::Reader in);
void write_decision(wire::ClusterDecision::Builder out, const broker::ClusterDecision& decision);
Result<broker::ClusterDecision> read_decision(wire::ClusterDecision::Reader in);
wire::ClusterVerb write_verb(broker::ClusterChange::Verb verb);
Result<broker::ClusterChange::Verb> read_verb(wire::ClusterVerb verb);

}  // namespace bascule::rpc
