#include "io/errno_error.h"

#include <cerrno>
#include <string>
#include <system_error>

namespace bascule::io {
namespace {

Errc file_errc(int number) {
  switch (number) {
    case ENOENT: return Errc::not_found;
    case EEXIST:
    case ENOTEMPTY: return Errc::already_exists;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return Errc::no_space;
    case EINVAL:
    case EISDIR:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EBADF:
    case EXDEV: return Errc::invalid;
    case EACCES:
    case EPERM:
    case EROFS: return Errc::permission_denied;
    case EOPNOTSUPP: return Errc::unsupported;
    case EMFILE:
    case ENFILE: return Errc::overloaded;
    // EIO and what else a medium or a driver may say. Whoever wrote does not retry it.
    default: return Errc::io_error;
  }
}

}  // namespace

Error file_error(int number, std::string_view operation, std::string_view path) {
  std::string context(operation);
  if (!path.empty()) context += " " + std::string(path);
  return {file_errc(number), context + ": " + std::generic_category().message(number)};
}

}  // namespace bascule::io
