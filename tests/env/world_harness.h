// What the conformance suite needs of a world: one process that can be run, and, where the world can,
// ended in one of three ways and started again on the same machine.
//
// The suites in conformance.h are parameterised over a `WorldKind`. Each world has a file here that
// implements WorldHarness and instantiates all suites with its kinds: real_world.cc, simulated_world.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "src/env/world.h"

namespace bascule::env {

// How one life of the process ends.
enum class Ending : uint8_t {
  stop,           // all operations have ended; objects are destroyed in order
  process_crash,  // kill -9: the page cache stays
  machine_crash,  // power loss: what was not synced may be lost, the harshest way the world knows
};

class WorldHarness {
 public:
  virtual ~WorldHarness() = default;

  // The world of the present life. Its references end with `restart`.
  virtual World world() = 0;
  // Runs turns until `predicate` holds (it is asked between turns), or `limit` of the world's time has
  // passed: false then. A predicate that holds already runs no turn.
  virtual bool run_until(const std::function<bool()>& predicate, Duration limit) = 0;

  virtual bool can_end(Ending how) const = 0;
  // Ends the life and starts the next on the same storage. Requires can_end(how). Objects of the old
  // life that a test still holds may be destroyed later; they do nothing any more. After Ending::stop
  // a test holds none.
  virtual void restart(Ending how) = 0;

  // A disk of another process on the same data directory, to contend for the lock; null: cannot.
  virtual std::unique_ptr<Disk> second_disk() = 0;
  // A host to listen on and to connect to, from this process to itself.
  virtual std::string host() const = 0;
};

// `make` gives null and a reason in `why_not` where this machine cannot make the world.
struct WorldKind {
  std::string name;
  std::function<std::unique_ptr<WorldHarness>(std::string& why_not)> make;
};

// The name alone in a test's name: by default its bytes, which are other ones in each run.
inline void PrintTo(const WorldKind& kind, std::ostream* out) { *out << kind.name; }

inline constexpr Duration k_patience = seconds(60);

// Starts an operation by `start(done)` and runs the world until it has completed. Nothing: it never did.
template <class T, class F>
std::optional<Result<T>> wait(WorldHarness& harness, F start) {
  auto result = std::make_shared<std::optional<Result<T>>>();
  start(Done<T>([result](Result<T> r) { result->emplace(std::move(r)); }));
  if (!harness.run_until([&] { return result->has_value(); }, k_patience)) return std::nullopt;
  return std::move(*result);
}

}  // namespace bascule::env
