#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <vector>

namespace tenantctl {

/// What a terminal has room for, in characters.
struct TerminalSize {
  std::size_t columns = 80;
  std::size_t rows = 24;
};

/// A line of the block: its text, and the text with colours if it has any.
struct BlockLine {
  std::string text;      ///< escaped, without line ends; at most a column less than the terminal
  std::string coloured;  ///< what is written; takes the same room
};

/// The last few lines of a terminal, written over again and again. Lines that the terminal was made
/// too narrow for since are counted as the rows that they take now.
class LiveBlock {
 public:
  explicit LiveBlock(std::ostream& err) : err_(err) {}
  ~LiveBlock();
  LiveBlock(const LiveBlock&) = delete;
  LiveBlock& operator=(const LiveBlock&) = delete;

  /// At most as many lines as the terminal has rows.
  void draw(const std::vector<BlockLine>& lines, TerminalSize size);
  /// A line that stays, above the block; the block is gone until it is drawn again.
  void write_above(const std::string& line, TerminalSize size);
  void erase(TerminalSize size);

 private:
  std::string to_top(TerminalSize size) const;

  std::ostream& err_;
  std::vector<std::size_t> widths_;  ///< of the lines that stand there
  TerminalSize size_;                ///< when they were drawn
};

}  // namespace tenantctl
