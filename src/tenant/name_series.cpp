#include "tenant/name_series.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/error.h"
#include "base/text.h"
#include "tenant/schema_name.h"
#include "tenant/tenant_registry.h"

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

std::vector<std::string> next_of(std::string_view prefix, const std::vector<std::string>& existing,
                                 std::size_t count) {
  std::uint64_t highest = 0;
  for (const std::string& name : existing) {
    highest = std::max(highest, number_in(name, prefix));
  }
  std::vector<std::string> names;
  names.reserve(count);
  for (std::size_t i = 1; i <= count; ++i) {
    names.push_back(fmt::format("{}{:05}", prefix, highest + i));
  }
  return names;
}

}  // namespace

std::vector<std::string> next_names(std::string_view prefix,
                                    const std::vector<std::string>& existing, std::size_t count) {
  std::vector<std::string> names = next_of(prefix, existing, count);
  for (const std::string& name : names) {
    SchemaName::create(name);
  }
  return names;
}

std::vector<std::string> next_slugs(std::string_view prefix,
                                    const std::vector<std::string>& existing, std::size_t count) {
  std::vector<std::string> slugs = next_of(prefix, existing, count);
  for (const std::string& slug : slugs) {
    if (!TenantRegistry::is_slug(slug)) {
      throw UsageError(
          fmt::format("\"{}\" is no slug", escaped_name(slug)),
          "A --prefix begins with a-z, goes on with a-z, 0-9, _ and -, and leaves room "
          "for the number in 63 bytes.");
    }
  }
  return slugs;
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
