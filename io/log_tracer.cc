#include "io/log_tracer.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace bascule::io {
namespace {

spdlog::level::level_enum to_spdlog(TraceLevel level) {
  switch (level) {
    case TraceLevel::debug: return spdlog::level::debug;
    case TraceLevel::info: return spdlog::level::info;
    case TraceLevel::warning: return spdlog::level::warn;
    case TraceLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

// A logger of its own: spdlog's registry would be a global.
struct LogTracer::Sink {
  spdlog::logger logger{"bascule", std::make_shared<spdlog::sinks::stderr_sink_st>()};
};

LogTracer::LogTracer(TraceLevel level) : sink_(std::make_unique<Sink>()), level_(level) {
  sink_->logger.set_level(spdlog::level::trace);  // level_ decides
  sink_->logger.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %L %v", spdlog::pattern_time_type::utc);
}

LogTracer::~LogTracer() = default;

void LogTracer::probe(std::string_view name) {
  if (wants(TraceLevel::debug)) sink_->logger.debug("probe: {}", name);
}

void LogTracer::message(TraceLevel level, std::string_view area, std::string_view text) {
  if (wants(level)) sink_->logger.log(to_spdlog(level), "{}: {}", area, text);
}

}  // namespace bascule::io
