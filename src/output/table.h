#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace tenantctl {

/// Columns aligned by their widest cell, two blanks apart, no trailing blanks. Widths count
/// characters, not bytes. Columns named in `right` are aligned to the right.
void write_table(std::ostream& out, const std::vector<std::vector<std::string>>& rows,
                 const std::vector<std::size_t>& right = {});

/// Names one after the other, wrapped at `width` characters, each line indented.
std::string wrapped_names(const std::vector<std::string_view>& names, std::string_view indent,
                          std::size_t width, std::size_t most);

}  // namespace tenantctl
