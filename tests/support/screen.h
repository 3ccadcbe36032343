#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tenantctl::testing {

/// What a terminal shows after it got `text`: enough of one for this program's output. Knows CR, LF
/// (as CR LF), cursor up, the erasures and colours. Wraps at its width; lines that scroll off are
/// kept. One column per character. Throws std::runtime_error for an escape that it does not know.
class Screen {
 public:
  Screen(std::size_t columns, std::size_t rows) : columns_(columns), rows_(rows) {}

  void write(std::string_view text);

  /// All lines, those that scrolled off too, without blanks and empty lines at their ends.
  std::vector<std::string> lines() const;
  /// A character ever went beyond the last column.
  bool has_wrapped() const { return has_wrapped_; }

 private:
  std::size_t escape(std::string_view text);
  void put(std::string_view character);
  std::size_t top() const { return lines_.size() > rows_ ? lines_.size() - rows_ : 0; }

  std::size_t columns_;
  std::size_t rows_;
  std::vector<std::vector<std::string>> lines_{1};
  std::size_t row_ = 0;
  std::size_t column_ = 0;
  bool has_wrapped_ = false;
};

}  // namespace tenantctl::testing
