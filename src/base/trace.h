// Trace points: what the code tells about itself as it runs, for diagnosis, for the simulator's
// coverage ("did this path ever run?") and for its oracles' view of history.
//
// Tracing decides nothing. The production sink writes what its level asks; the simulator's counts
// probes and records events.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bascule {

enum class TraceLevel : uint8_t { debug, info, warning, error };

class Tracer {
 public:
  virtual ~Tracer() = default;

  // A rare path was taken: `name` is a literal, unique in the code ("log.recovery.tail_copied").
  virtual void probe(std::string_view name) = 0;
  // A sentence for people: `area` is the folder's name.
  virtual void message(TraceLevel level, std::string_view area, std::string_view text) = 0;
  // False where `message` of this level would be dropped: spares building the text.
  virtual bool wants(TraceLevel level) const = 0;
};

// Drops everything.
class NullTracer final : public Tracer {
 public:
  void probe(std::string_view) override {}
  void message(TraceLevel, std::string_view, std::string_view) override {}
  bool wants(TraceLevel) const override { return false; }
};

}  // namespace bascule
