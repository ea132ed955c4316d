// Assertions, on in every build. They print the expression with its operands and end the process:
// a broker that has lost its invariants must not acknowledge anything more.
//
// REQUIRE(c, …)  the caller broke the contract.     ASSERT(c, …)  we did.
// VERIFY(c)      may cost O(N): only where BASCULE_VERIFY is defined (debug builds, the simulator).
// Bytes from a client, a peer, a file or a disk are never asserted; they give an Error.
// Operands are printed after the condition: ASSERT(hw <= leo, hw, leo).
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace bascule {

[[noreturn]] void assertion_failed(std::string_view kind, std::string_view expression,
                                   std::string_view operands, const char* file, int line);

namespace assert_detail {

template <class T>
std::string operand_text(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_enum_v<T>) {
    return std::to_string(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::to_string(value);
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    return '"' + std::string(std::string_view(value)) + '"';
  } else if constexpr (requires {
                         { value.to_string() } -> std::convertible_to<std::string>;
                       }) {
    return value.to_string();
  } else {
    return "?";
  }
}

template <class... Ts>
std::string operands_text(const Ts&... values) {
  std::string out;
  ((out += out.empty() ? "" : ", ", out += operand_text(values)), ...);
  return out;
}

}  // namespace assert_detail
}  // namespace bascule

#define BASCULE_CHECK_(kind, condition, ...)                                                      \
  do {                                                                                            \
    if (!(condition)) [[unlikely]]                                                                \
      ::bascule::assertion_failed(kind, #condition,                                               \
                                  ::bascule::assert_detail::operands_text(__VA_ARGS__), __FILE__, \
                                  __LINE__);                                                      \
  } while (false)

#define REQUIRE(condition, ...) BASCULE_CHECK_("REQUIRE", condition, __VA_ARGS__)
#define ASSERT(condition, ...) BASCULE_CHECK_("ASSERT", condition, __VA_ARGS__)
#ifdef BASCULE_VERIFY
#define VERIFY(condition, ...) BASCULE_CHECK_("VERIFY", condition, __VA_ARGS__)
#else
#define VERIFY(condition, ...) \
  do {                         \
  } while (false)
#endif
