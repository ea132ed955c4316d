// What the system's error numbers mean to callers of src/env.
#pragma once

#include <string_view>

#include "src/base/result.h"

namespace bascule::io {

// The error of a file operation, with the system's own words: "open logs/7/manifest: No such file …".
Error file_error(int number, std::string_view operation, std::string_view path);

}  // namespace bascule::io
