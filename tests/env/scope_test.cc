#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "src/env/loop.h"

namespace bascule::env {
namespace {

TEST(scope, a_wrapped_task_does_nothing_once_its_scope_is_gone) {
  int runs = 0;
  auto scope = std::make_optional<Scope>();
  auto task = scope->wrap([&runs] { ++runs; });
  task();
  EXPECT_EQ(runs, 1);
  scope.reset();
  task();
  EXPECT_EQ(runs, 1);
}

TEST(scope, a_wrapped_completion_passes_its_arguments_on) {
  const Scope scope;
  std::unique_ptr<int> got;
  auto done = scope.wrap([&got](std::unique_ptr<int> value) { got = std::move(value); });
  done(std::make_unique<int>(7));
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, 7);
}

}  // namespace
}  // namespace bascule::env
