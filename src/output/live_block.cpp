#include "output/live_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"

namespace tenantctl {
namespace {

constexpr std::string_view erase_line_end = "\x1b[K";
constexpr std::string_view erase_below = "\x1b[J";

}  // namespace

LiveBlock::~LiveBlock() { erase(size_); }

// To the first column of the block's first row.
std::string LiveBlock::to_top(TerminalSize size) const {
  std::size_t rows = 0;
  for (const std::size_t width : widths_) {
    rows += std::max<std::size_t>(1, (width + size.columns - 1) / size.columns);
  }
  rows = std::min(rows, size.rows);
  return rows > 1 ? fmt::format("\r\x1b[{}A", rows - 1) : "\r";
}

void LiveBlock::draw(const std::vector<BlockLine>& lines, TerminalSize size) {
  std::string text = to_top(size);
  widths_.clear();
  for (const BlockLine& line : lines) {
    if (!widths_.empty()) {
      text += '\n';
    }
    text += line.coloured;
    text += erase_line_end;
    widths_.push_back(column_count(line.text));
  }
  text += erase_below;
  size_ = size;
  err_ << text << std::flush;
}

void LiveBlock::write_above(const std::string& line, TerminalSize size) {
  erase(size);
  err_ << line + "\n" << std::flush;
}

void LiveBlock::erase(TerminalSize size) {
  if (widths_.empty()) {
    return;
  }
  err_ << to_top(size).append(erase_below) << std::flush;
  widths_.clear();
}

}  // namespace tenantctl
