#include "io/log_tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bascule::io {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(log_tracer, writes_what_its_level_asks_one_line_each_with_the_area) {
  testing::internal::CaptureStderr();
  {
    LogTracer tracer(TraceLevel::info);
    EXPECT_FALSE(tracer.wants(TraceLevel::debug));
    EXPECT_TRUE(tracer.wants(TraceLevel::warning));
    tracer.message(TraceLevel::debug, "log", "too fine");
    tracer.message(TraceLevel::warning, "log", "a torn {tail}");
    tracer.probe("log.some_probe");
    tracer.set_level(TraceLevel::debug);
    tracer.probe("log.another_probe");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_THAT(text, HasSubstr("W log: a torn {tail}\n"));
  EXPECT_THAT(text, HasSubstr("log.another_probe"));
  EXPECT_THAT(text, Not(HasSubstr("too fine")));
  EXPECT_THAT(text, Not(HasSubstr("log.some_probe")));
}

}  // namespace
}  // namespace bascule::io
