// Included before everything else in code that sees KJ, with clang only. KJ 0.9.2 leaves out these
// two operators where the compiler has C++20's comparisons, trusting it to reverse the members.
// Clang (16 and later, by the rules of P2468) does not reverse them, as operator!= is declared too.
#pragma once

#include <kj/string.h>

namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b.operator==(StringPtr(a)); }
inline bool operator!=(const char* a, const StringPtr& b) { return b.operator!=(StringPtr(a)); }
}  // namespace kj
