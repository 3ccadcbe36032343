#include "sql/script.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/text.h"
#include "sql/classify.h"
#include "sql/scan.h"
#include "sql/split.h"

namespace tenantctl::sql {

namespace {

// The elements of `sorted` that lie within `piece`. Pieces come in order, so `from` only grows.
template <typename Element>
std::span<const Element> within(const std::vector<Element>& sorted, const Piece& piece,
                                std::size_t& from) {
  while (from < sorted.size() && sorted[from].begin < piece.begin) {
    ++from;
  }
  const std::size_t first = from;
  while (from < sorted.size() && sorted[from].begin < piece.end) {
    ++from;
  }
  return std::span(sorted).subspan(first, from - first);
}

struct Source {
  std::string_view text;
  std::string_view parseable;
};

Statement statement_of(const Source& source, const Piece& piece, std::span<const Token> tokens,
                       std::span<const Placeholder> placeholders) {
  const auto first = std::ranges::find_if(
      tokens, [](const Token& token) { return token.kind != TokenKind::comment; });
  const Classification classification = classify(source.text, source.parseable, tokens);
  return {.begin = piece.begin,
          .end = piece.end,
          .first_token = first == tokens.end() ? piece.begin : first->begin,
          .kind = classification.kind,
          .needs_autocommit = classification.needs_autocommit,
          .leaves_traces = classification.leaves_traces,
          .calls = classification.calls,
          .inert = classification.inert,
          .adds_default = classification.adds_default,
          .placeholders = {placeholders.begin(), placeholders.end()}};
}

// Beside these bytes a quoted value would become part of another token: a prefix such as E or U&,
// a second quote.
bool joins_quotes(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '$' || c == '&' || c == '\'' || c == '"' || static_cast<unsigned char>(c) >= 0x80U;
}

// A statement while its placeholders are replaced, one after the other.
class Rendering {
 public:
  Rendering(std::string_view text, const Statement& statement, const Variables& variables)
      : text_(text), variables_(variables), source_(statement.begin) {}

  const std::string& sql() const { return sql_; }

  void copy_until(std::size_t source) {
    sql_ += text_.substr(source_, source - source_);
    source_ = source;
  }

  void replace(const Placeholder& placeholder) {
    const auto variable = variables_.find(placeholder.name);
    if (variable == variables_.end()) {
      return;
    }
    copy_until(placeholder.begin);
    if (!sql_.empty() && joins_quotes(sql_.back())) {
      sql_ += ' ';
    }
    sql_ += placeholder.identifier ? quote_identifier(variable->second)
                                   : quote_literal(variable->second);
    source_ = placeholder.end;
  }

  // Where in the text the next byte of sql() will come from.
  std::size_t source() const { return source_; }

 private:
  std::string_view text_;
  const Variables& variables_;
  std::string sql_;
  std::size_t source_;
};

}  // namespace

Script Script::read(std::string text) {
  Script script;
  script.text_ = std::move(text);
  const std::vector<Token> tokens = scan(script.text_);
  const std::vector<Placeholder> placeholders = placeholders_of(script.text_, tokens);
  const std::string parsed = parseable(script.text_, tokens, placeholders);
  auto pieces = split_by_parser(parsed);
  script.parsed_ = pieces.has_value();
  if (!pieces) {
    pieces = split_by_tokens(script.text_, tokens);
  }

  std::size_t token = 0;
  std::size_t placeholder = 0;
  for (const Piece& piece : *pieces) {
    script.statements_.push_back(statement_of({script.text_, parsed}, piece,
                                              within(tokens, piece, token),
                                              within(placeholders, piece, placeholder)));
  }
  return script;
}

std::string Script::rendered(const Statement& statement, const Variables& variables) const {
  Rendering rendering(text_, statement, variables);
  for (const Placeholder& placeholder : statement.placeholders) {
    rendering.replace(placeholder);
  }
  rendering.copy_until(statement.end);
  return rendering.sql();
}

std::size_t Script::source_byte(const Statement& statement, const Variables& variables,
                                std::size_t byte) const {
  Rendering rendering(text_, statement, variables);
  std::size_t sql_begin = 0;
  std::size_t source_begin = statement.begin;
  for (const Placeholder& placeholder : statement.placeholders) {
    const std::size_t gap = placeholder.begin - source_begin;
    if (byte < sql_begin + gap) {
      break;
    }
    rendering.replace(placeholder);
    if (rendering.source() != placeholder.end) {
      continue;  // unknown, hence left as it is
    }
    if (byte < rendering.sql().size()) {
      return placeholder.begin;
    }
    sql_begin = rendering.sql().size();
    source_begin = placeholder.end;
  }
  return std::min(source_begin + (byte - sql_begin), statement.end);
}

bool Script::drop_outer_transaction() {
  const auto marks_transaction = [](const Statement& statement) {
    return statement.kind == StatementKind::begin || statement.kind == StatementKind::commit;
  };
  const bool outer = statements_.size() >= 2 && statements_.front().kind == StatementKind::begin &&
                     statements_.back().kind == StatementKind::commit &&
                     std::ranges::count_if(statements_, marks_transaction) == 2;
  if (!outer) {
    return false;
  }
  statements_.pop_back();
  statements_.erase(statements_.begin());
  return true;
}

}  // namespace tenantctl::sql
