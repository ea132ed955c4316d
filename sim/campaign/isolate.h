// Runs a plan in a child process: a failed assertion, a crash or an endless loop of the code under test is
// an outcome like any other, and nothing that ran before can have an influence.
#pragma once

#include "sim/worlds/world.h"

namespace bascule::sim {

// Longest real time of one run.
inline constexpr unsigned k_run_seconds_max = 30;

// As world.run(), with the oracles "assertion" (aborted), "crash" (another signal) and "hang" besides.
// `quiet`: what the child writes to stderr is dropped.
Outcome run_isolated(const WorldType& world, const Plan& plan, bool quiet);

// The oracle's name for a child that ended with this wait status.
std::string oracle_of_death(int wait_status);

// An outcome as text, and back: how it travels between processes. Lines "key value".
std::string outcome_text(const Outcome& outcome);
Outcome parse_outcome(std::string_view text);

}  // namespace bascule::sim
