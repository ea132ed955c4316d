#include "src/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace bascule {

void assertion_failed(std::string_view kind, std::string_view expression, std::string_view operands,
                      const char* file, int line) {
  std::fprintf(stderr, "%.*s(%.*s) failed at %s:%d%s%.*s\n", static_cast<int>(kind.size()),
               kind.data(), static_cast<int>(expression.size()), expression.data(), file, line,
               operands.empty() ? "" : ": ", static_cast<int>(operands.size()), operands.data());
  std::abort();
}

}  // namespace bascule
