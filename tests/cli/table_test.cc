#include "io/cli/table.h"

#include <gtest/gtest.h>

namespace bascule::cli {
namespace {

TEST(table, columns_are_as_wide_as_their_widest_cell) {
  Table table({"A", "LONG", "B"});
  table.add({"wide cell", "x", "1"});
  table.add({"y", "zz", ""});
  EXPECT_EQ(table.text(),
            "A          LONG  B\n"
            "wide cell  x     1\n"
            "y          zz    \n");
}

}  // namespace
}  // namespace bascule::cli
