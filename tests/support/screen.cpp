#include "support/screen.h"

#include <algorithm>
#include <stdexcept>

namespace tenantctl::testing {

void Screen::write(std::string_view text) {
  while (!text.empty()) {
    std::size_t used = 1;
    if (text.front() == '\r') {
      column_ = 0;
    } else if (text.front() == '\n') {
      column_ = 0;
      if (++row_ == lines_.size())
        lines_.emplace_back();
    } else if (text.front() == '\x1b') {
      used = escape(text);
    } else {
      while (used < text.size() && (static_cast<unsigned char>(text[used]) & 0xC0U) == 0x80U)
        ++used;
      put(text.substr(0, used));
    }
    text.remove_prefix(used);
  }
}

std::size_t Screen::escape(std::string_view text) {
  const auto end = text.find_first_not_of("0123456789;", 2);
  if (text.size() < 3 || text[1] != '[' || end == std::string_view::npos)
    throw std::runtime_error("an escape without an end");
  const std::string argument(text.substr(2, end - 2));
  const std::size_t count = argument.empty() ? 0 : std::stoul(argument);
  switch (text[end]) {
    case 'A':
      row_ = std::max(top(), row_ - std::min(row_, std::max<std::size_t>(count, 1)));
      break;
    case 'J':
      lines_.resize(row_ + 1);
      [[fallthrough]];
    case 'K':
      lines_[row_].resize(std::min(lines_[row_].size(), column_));
      break;
    case 'm':
      break;
    default:
      throw std::runtime_error("an unknown escape: " + std::string(text.substr(1, end)));
  }
  return end + 1;
}

void Screen::put(std::string_view character) {
  if (column_ == columns_) {
    has_wrapped_ = true;
    column_ = 0;
    if (++row_ == lines_.size())
      lines_.emplace_back();
  }
  auto& line = lines_[row_];
  line.resize(std::max(line.size(), column_ + 1), " ");
  line[column_++] = character;
}

std::vector<std::string> Screen::lines() const {
  std::vector<std::string> lines;
  for (const auto& cells : lines_) {
    std::string line;
    for (const auto& cell : cells)
      line += cell;
    line.resize(line.find_last_not_of(' ') + 1);
    lines.push_back(line);
  }
  while (!lines.empty() && lines.back().empty())
    lines.pop_back();
  return lines;
}

}  // namespace tenantctl::testing
