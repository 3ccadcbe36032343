#include <optional>
#include <string>

#include "base/text.h"
#include "sql/phrase.h"
#include "sql/scan.h"
#include "sql/script.h"  // declares it

namespace tenantctl::sql {

namespace {

// As the server reads a name: doubled quotes are one, unquoted letters are small.
std::string name_of(std::string_view token, TokenKind kind) {
  if (kind != TokenKind::quoted_identifier) {
    return lowered(token);
  }
  std::string name;
  for (std::size_t i = 1; i + 1 < token.size(); ++i) {
    name += token[i];
    if (token[i] == '"') {
      ++i;
    }
  }
  return name;
}

// Where the name would stand: behind CONCURRENTLY and IF [NOT] EXISTS.
std::size_t position_of_name(const Phrase& phrase) {
  std::size_t index = phrase.is(1, "unique") ? 2 : 1;
  if (phrase.is(0, "reindex")) {
    index = phrase.after_parentheses(1);
  }
  if (!phrase.is(index, "index")) {
    return 0;
  }
  ++index;
  if (phrase.is(index, "concurrently")) {
    ++index;
  }
  if (phrase.reads(index, {"if", "not", "exists"})) {
    index += 3;
  }
  if (phrase.reads(index, {"if", "exists"})) {
    index += 2;
  }
  return index;
}

}  // namespace

std::optional<std::string> index_name(std::string_view text) {
  const std::string owned(text);
  const Phrase phrase(text, scan(owned));
  const std::size_t index = position_of_name(phrase);
  const bool is_named = index != 0 && index < phrase.size() && !phrase.is(index, "on");
  if (!is_named || phrase.symbol(index + 1, '.')) {
    return std::nullopt;
  }
  const Token& token = phrase.token(index);
  return name_of(text.substr(token.begin, token.end - token.begin), token.kind);
}

}  // namespace tenantctl::sql
