#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "sql/scan.h"

namespace tenantctl::sql {

/// One statement's tokens without its comments, asked by position and word. A position past the
/// end is no word and no symbol. Views the text, which must outlive it.
class Phrase {
 public:
  Phrase(std::string_view text, std::span<const Token> tokens);

  std::size_t size() const { return tokens_.size(); }
  const Token& token(std::size_t index) const { return tokens_[index]; }

  /// Words are given in lower case and match unquoted tokens in any case.
  bool is(std::size_t index, std::string_view word) const;
  bool is_any(std::size_t index, std::initializer_list<std::string_view> words) const;
  /// The words stand at `index` and right after it.
  bool reads(std::size_t index, std::initializer_list<std::string_view> words) const;
  bool symbol(std::size_t index, char symbol) const;
  /// The words stand in a row anywhere from `index` on.
  bool has(std::size_t index, std::initializer_list<std::string_view> words) const;

  /// If `index` is an opening parenthesis, the position after the one that closes it; else `index`.
  std::size_t after_parentheses(std::size_t index) const;

 private:
  std::string_view text_;
  std::vector<Token> tokens_;
};

/// Where REINDEX's option list says CONCURRENTLY: token positions, `end` after the option's value.
struct ListedOption {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// The first CONCURRENTLY in the parentheses of `REINDEX (...)`; `begin` is 0 if there is none.
ListedOption listed_concurrently(const Phrase& phrase);

/// The option's value is not false, off or 0.
bool is_on(const Phrase& phrase, const ListedOption& option);

}  // namespace tenantctl::sql
