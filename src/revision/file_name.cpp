#include "revision/file_name.h"

#include <algorithm>
#include <charconv>

#include "base/checksum.h"
#include "base/text.h"

namespace tenantctl {

namespace {

constexpr std::size_t max_digits = 18;
constexpr std::string_view extension = ".sql";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_alphanumeric(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_slug(std::string_view text) {
  return !text.empty() && is_alphanumeric(text.front()) && std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || c == '_' || c == '-' || c == '.';
  });
}

}  // namespace

std::optional<FileName> FileName::parse(std::string_view name) {
  if (!name.ends_with(extension)) {
    return std::nullopt;
  }
  name.remove_suffix(extension.size());
  const std::size_t underscore = name.find('_');
  if (underscore == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(0, underscore);
  const std::string_view slug = name.substr(underscore + 1);
  const bool numbered =
      !digits.empty() && digits.size() <= max_digits && std::ranges::all_of(digits, is_digit);
  if (!numbered || !is_slug(slug)) {
    return std::nullopt;
  }
  FileName parsed{.number = 0, .digits = std::string(digits), .slug = std::string(slug)};
  std::from_chars(digits.data(), digits.data() + digits.size(), parsed.number);
  return parsed;
}

std::optional<std::string> repeatable_name(std::string_view file_name) {
  if (!file_name.ends_with(extension)) {
    return std::nullopt;
  }
  file_name.remove_suffix(extension.size());
  return is_slug(file_name) ? std::optional(std::string(file_name)) : std::nullopt;
}

RevisionNumber repeatable_number(std::string_view name) {
  constexpr std::size_t digits = 15;  // 60 bits: no two names of a folder will meet
  constexpr int base = 16;
  const std::string hash = sha256_hex(name).substr(0, digits);
  RevisionNumber number = 0;
  std::from_chars(hash.data(), hash.data() + hash.size(), number, base);
  return -1 - number;
}

bool is_unrelated(std::string_view name) {
  if (name.empty() || name.front() == '.') {
    return true;
  }
  return !is_digit(name.front()) && !lowered(name).ends_with(extension);
}

}  // namespace tenantctl
