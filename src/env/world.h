// The world of one process: the four interfaces through which all broker logic acts, handed over by
// the composition root (`io/` in production, `sim/` in a simulation). All outlive whoever gets them.
#pragma once

#include "src/base/prng.h"
#include "src/base/trace.h"
#include "src/env/disk.h"
#include "src/env/loop.h"
#include "src/env/network.h"

namespace bascule::env {

struct World {
  Loop& loop;
  Disk& disk;
  Network& network;
  Prng& random;
  Tracer& trace;
};

}  // namespace bascule::env
