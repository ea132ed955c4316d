// Trace points of the running broker, onto stderr by spdlog: one line each, with time, level and area.
#pragma once

#include <memory>
#include <string_view>

#include "src/base/trace.h"

namespace bascule::io {

class LogTracer final : public Tracer {
 public:
  explicit LogTracer(TraceLevel level);
  ~LogTracer() override;

  void probe(std::string_view name) override;  // written at level debug
  void message(TraceLevel level, std::string_view area, std::string_view text) override;
  bool wants(TraceLevel level) const override { return level >= level_; }

  // From now on; for a reload of the configuration.
  void set_level(TraceLevel level) { level_ = level; }

 private:
  struct Sink;
  std::unique_ptr<Sink> sink_;
  TraceLevel level_;
};

}  // namespace bascule::io
