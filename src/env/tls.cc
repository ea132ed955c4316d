#include "src/env/tls.h"

#include <algorithm>

namespace bascule::env {

std::string_view TlsIdentity::name() const {
  if (!common_name.empty()) return common_name;
  for (const auto* names : {&dns, &emails, &uris}) {
    if (!names->empty()) return names->front();
  }
  return {};
}

bool TlsIdentity::has_name(std::string_view name) const {
  return common_name == name || std::ranges::find(dns, name) != dns.end();
}

std::string TlsIdentity::listed() const {
  std::string out;
  const auto add = [&](const std::string& name) {
    out += (out.empty() ? "\"" : ", \"") + name + "\"";
  };
  if (!common_name.empty()) add(common_name);
  for (const auto* names : {&dns, &emails, &uris})
    for (const std::string& name : *names)
      if (name != common_name) add(name);
  return out.empty() ? "nobody" : out;
}

}  // namespace bascule::env
