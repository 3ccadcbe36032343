#pragma once

#include <cstddef>
#include <string_view>

namespace tenantctl::sql {

/// A position in a SQL text, with the line and column that a person sees: the one place that does
/// this arithmetic. Two named constructors, because PostgreSQL counts an error's position in
/// characters from 1 while libpg_query's split counts bytes from 0 (tried on 15: an accent before
/// the fault makes them differ). A position past the end means the end.
///
/// Views the text it was made from, which must outlive it.
class Location {
 public:
  static Location at_byte(std::string_view text, std::size_t byte);
  static Location at_character(std::string_view text, std::size_t character);

  std::size_t byte() const { return byte_; }
  int line() const { return line_; }      ///< from 1
  int column() const { return column_; }  ///< from 1, in characters
  std::string_view line_text() const { return line_text_; }

 private:
  Location(std::string_view text, std::size_t byte);

  std::size_t byte_;
  int line_ = 1;
  int column_ = 1;
  std::string_view line_text_;
};

}  // namespace tenantctl::sql
