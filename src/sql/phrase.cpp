#include "sql/phrase.h"

#include <algorithm>

namespace tenantctl::sql {

Phrase::Phrase(std::string_view text, std::span<const Token> tokens) : text_(text) {
  std::ranges::copy_if(tokens, std::back_inserter(tokens_),
                       [](const Token& token) { return token.kind != TokenKind::comment; });
}

bool Phrase::is(std::size_t index, std::string_view word) const {
  return index < tokens_.size() && is_word(text_, tokens_[index], word);
}

bool Phrase::is_any(std::size_t index, std::initializer_list<std::string_view> words) const {
  return std::ranges::any_of(words, [&](std::string_view word) { return is(index, word); });
}

bool Phrase::reads(std::size_t index, std::initializer_list<std::string_view> words) const {
  return std::ranges::all_of(words, [&](std::string_view word) { return is(index++, word); });
}

bool Phrase::symbol(std::size_t index, char symbol) const {
  return index < tokens_.size() && tokens_[index].end - tokens_[index].begin == 1 &&
         text_[tokens_[index].begin] == symbol;
}

bool Phrase::has(std::size_t index, std::initializer_list<std::string_view> words) const {
  for (; index + words.size() <= tokens_.size(); ++index) {
    if (reads(index, words)) {
      return true;
    }
  }
  return false;
}

std::size_t Phrase::after_parentheses(std::size_t index) const {
  if (!symbol(index, '(')) {
    return index;
  }
  for (int depth = 0; index < tokens_.size(); ++index) {
    if (symbol(index, '(')) {
      ++depth;
    }
    if (symbol(index, ')') && --depth == 0) {
      return index + 1;
    }
  }
  return index;
}

ListedOption listed_concurrently(const Phrase& phrase) {
  const std::size_t list_end = phrase.after_parentheses(1);
  for (std::size_t i = 2; i + 1 < list_end; ++i) {
    if (!phrase.is(i, "concurrently")) {
      continue;
    }
    std::size_t end = i + 1;
    while (end + 1 < list_end && !phrase.symbol(end, ',')) {
      ++end;
    }
    return {.begin = i, .end = end};
  }
  return {};
}

bool is_on(const Phrase& phrase, const ListedOption& option) {
  return option.begin != 0 && !phrase.is_any(option.begin + 1, {"false", "off"}) &&
         !phrase.symbol(option.begin + 1, '0');
}

}  // namespace tenantctl::sql
