#include "src/env/tls.h"

namespace bascule::env {

std::string_view TlsIdentity::name() const {
  if (!common_name.empty()) return common_name;
  for (const auto* names : {&dns, &emails, &uris}) {
    if (!names->empty()) return names->front();
  }
  return {};
}

}  // namespace bascule::env
