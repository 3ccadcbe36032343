#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sql/script.h"

namespace tenantctl::sql {

/// What a token is, as far as boundaries, kinds and placeholders need to know.
enum class TokenKind {
  word,               ///< a keyword or a plain identifier
  quoted_identifier,  ///< "name"
  string,             ///< 'text', with the parts that continue it on further lines
  comment,
  newer_number,  ///< 0x1F, 1_000: a number to a newer server, junk to libpg_query's
  other,
};

/// A byte range of the text that the server's lexer takes as one.
struct Token {
  std::size_t begin = 0;
  std::size_t end = 0;
  TokenKind kind = TokenKind::other;
};

/// `text` cut into tokens by libpg_query's scanner, which is PostgreSQL 15's. Numbers that only
/// newer servers know do not stop it. Throws SyntaxError where every server would.
std::vector<Token> scan(const std::string& text);

/// The placeholders among `tokens`, known or not: a lone colon with a quoted name right behind it.
std::vector<Placeholder> placeholders_of(std::string_view text, const std::vector<Token>& tokens);

/// `text` as a parser of PostgreSQL 15 can take it, every byte at its place: placeholders become
/// the quoted name or string that they hold, newer numbers become plain ones.
std::string parseable(std::string text, const std::vector<Token>& tokens,
                      const std::vector<Placeholder>& placeholders);

/// Whether `token` is the unquoted `word` (given in lower case), in any case.
bool is_word(std::string_view text, const Token& token, std::string_view word);

constexpr bool is_white_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

}  // namespace tenantctl::sql
