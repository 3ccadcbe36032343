#include "sql/location.h"

#include <algorithm>

#include "base/text.h"

namespace tenantctl::sql {

namespace {

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

std::size_t byte_of_character(std::string_view text, std::size_t character) {
  std::size_t byte = 0;
  for (std::size_t seen = 1; seen < character && byte < text.size(); ++seen) {
    ++byte;
    while (byte < text.size() && is_continuation(text[byte])) {
      ++byte;
    }
  }
  return byte;
}

std::string_view line_at(std::string_view text, std::size_t begin) {
  std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

}  // namespace

Location::Location(std::string_view text, std::size_t byte) : byte_(std::min(byte, text.size())) {
  const std::string_view before = text.substr(0, byte_);
  // npos + 1 is 0: without a line feed before it, the line starts with the text.
  const std::size_t line_begin = before.rfind('\n') + 1;
  line_ = static_cast<int>(std::ranges::count(before, '\n')) + 1;
  column_ = static_cast<int>(character_count(before.substr(line_begin))) + 1;
  line_text_ = line_at(text, line_begin);
}

Location Location::at_byte(std::string_view text, std::size_t byte) { return {text, byte}; }

Location Location::at_character(std::string_view text, std::size_t character) {
  return {text, byte_of_character(text, character)};
}

}  // namespace tenantctl::sql
