#pragma once

#include <charconv>
#include <string_view>

namespace tenantctl {

/// A number as the server writes one, of a column that holds nothing else. What is none, NULL say,
/// is zero: for text that a person wrote ask std::from_chars itself.
template <typename Number>
Number number_of(std::string_view text) {
  Number number{};
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace tenantctl
