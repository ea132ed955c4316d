#include "io/cli/table.h"

#include <algorithm>
#include <cstdio>

namespace bascule::cli {

std::string Table::text() const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < widths.size(); ++i) {
      out += row[i];
      if (i + 1 < widths.size()) out += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

void Table::print() const { std::fputs(text().c_str(), stdout); }

}  // namespace bascule::cli
