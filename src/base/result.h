// Result<T>: a value or an Error, never ignored. Thin over std::expected.
//
//   Result<Offset> find(...);
//   if (auto r = find(...); !r) return fail(std::move(r.error()));
//   return fail(Errc::invalid, "batch header: bad magic");
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "src/base/error.h"

namespace bascule {

template <class T>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using std::expected<T, Error>::expected;
};

using Status = Result<void>;

inline std::unexpected<Error> fail(Errc code, std::string context = {}) {
  return std::unexpected<Error>(Error{code, std::move(context)});
}
inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }

}  // namespace bascule

// Returns the error of `expression` from the enclosing function, if it has one.
#define BASCULE_TRY(expression)                               \
  do {                                                        \
    if (auto try_result_ = (expression); !try_result_)        \
      return ::bascule::fail(std::move(try_result_.error())); \
  } while (false)

#define BASCULE_CONCAT_(a, b) a##b
#define BASCULE_CONCAT(a, b) BASCULE_CONCAT_(a, b)
// TRY_ASSIGN(auto x, expression): declares x with the value, or returns the error.
#define BASCULE_TRY_ASSIGN(declaration, expression)                                   \
  auto BASCULE_CONCAT(try_assign_, __LINE__) = (expression);                          \
  if (!BASCULE_CONCAT(try_assign_, __LINE__))                                         \
    return ::bascule::fail(std::move(BASCULE_CONCAT(try_assign_, __LINE__).error())); \
  declaration = *std::move(BASCULE_CONCAT(try_assign_, __LINE__))
