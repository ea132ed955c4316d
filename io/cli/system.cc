#include "io/cli/system.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

namespace bascule::cli {

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Result<std::string> read_text_file(const std::string& path) {
  constexpr size_t k_bytes_max = 1 << 20;
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Errc::invalid, "cannot read " + path);
  std::ostringstream out;
  out << in.rdbuf();
  if (in.bad()) return fail(Errc::invalid, "cannot read " + path);
  if (out.view().size() > k_bytes_max) return fail(Errc::too_large, path + " is over 1 MiB");
  return std::move(out).str();
}

ConfigSources process_sources() {
  ConfigSources out;
  out.environment = environment;
  out.read_secret_file = read_text_file;
  return out;
}

Result<std::string> secret(const std::string& text) {
  if (text.empty()) return std::string();
  return resolve_secret(text, process_sources());
}

void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool terminal(int fd) { return isatty(fd) != 0; }

bool confirmed(const std::string& question) {
  if (!terminal(STDIN_FILENO)) return false;
  std::cerr << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace bascule::cli
