#include "tenant/name_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "tenant/schema_name.h"

namespace tenantctl {
namespace {

// More digits are no counter.
constexpr std::size_t most_digits = 15;

std::uint64_t number_in(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) {
    return 0;
  }
  const std::string_view digits = name.substr(prefix.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool is_number =
      error == std::errc{} && end == digits.data() + digits.size() && digits.size() <= most_digits;
  return is_number ? number : 0;
}

}  // namespace

std::vector<std::string> next_names(std::string_view prefix,
                                    const std::vector<std::string>& existing, std::size_t count) {
  std::uint64_t highest = 0;
  for (const std::string& name : existing) {
    highest = std::max(highest, number_in(name, prefix));
  }
  std::vector<std::string> names;
  names.reserve(count);
  for (std::size_t i = 1; i <= count; ++i) {
    names.push_back(SchemaName::create(fmt::format("{}{:05}", prefix, highest + i)).text());
  }
  return names;
}

std::string like_prefix(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (c == '%' || c == '_' || c == '\\') {
      pattern += '\\';
    }
    pattern += c;
  }
  return pattern + "%";
}

}  // namespace tenantctl
