// What the command line takes from the operating system: environment, files, terminal.
#pragma once

#include <optional>
#include <string>

#include "io/cli/config.h"
#include "src/base/result.h"

namespace bascule::cli {

std::optional<std::string> environment(const std::string& name);
// Errors: `invalid` (cannot be read), `too_large`.
Result<std::string> read_text_file(const std::string& path);
// Configuration sources of this process, without flags and file.
ConfigSources process_sources();
// The secret that "@FILE" or "env:NAME" names; empty for empty.
Result<std::string> secret(const std::string& text);
// Lets this process open as many files as the system grants it: each log keeps some open.
void raise_file_limit();
bool terminal(int fd);
// Asks on the terminal; false where there is none.
bool confirmed(const std::string& question);

}  // namespace bascule::cli
