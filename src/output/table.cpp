#include "output/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"

namespace tenantctl {

void write_table(std::ostream& out, const std::vector<std::vector<std::string>>& rows,
                 const std::vector<std::size_t>& right) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], character_count(row[i]));
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - character_count(row[i]), ' ');
      const bool is_right = std::find(right.begin(), right.end(), i) != right.end();
      line += is_right ? pad + row[i] : row[i] + pad;
      line += "  ";
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

std::string wrapped_names(const std::vector<std::string_view>& names, std::string_view indent,
                          std::size_t width, std::size_t most) {
  std::string text;
  std::string line(indent);
  for (std::size_t i = 0; i < names.size() && i < most; ++i) {
    const bool is_last = i + 1 == std::min(names.size(), most);
    const std::string word = escaped_name(names[i]) + (is_last ? "" : ",");
    if (line.size() > indent.size() && line.size() + word.size() + 1 > width) {
      text += line + "\n";
      line = indent;
    }
    line += (line.size() > indent.size() ? " " : "") + word;
  }
  if (names.size() > most) {
    line += fmt::format(" and {} more", names.size() - most);
  }
  return text + line + "\n";
}

}  // namespace tenantctl
