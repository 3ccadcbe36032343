#include "sql/split.h"

#include <pg_query.h>

#include <algorithm>

namespace tenantctl::sql {

namespace {

// Owns what pg_query_split_with_parser returns by value.
class SplitResult {
 public:
  explicit SplitResult(const char* text) : result_(pg_query_split_with_parser(text)) {}
  ~SplitResult() { pg_query_free_split_result(result_); }

  SplitResult(const SplitResult&) = delete;
  SplitResult& operator=(const SplitResult&) = delete;

  const PgQuerySplitResult& value() const { return result_; }

 private:
  PgQuerySplitResult result_;
};

Piece trimmed(std::string_view text, std::size_t begin, std::size_t end) {
  while (begin < end && is_white_space(text[begin])) {
    ++begin;
  }
  while (end > begin && is_white_space(text[end - 1])) {
    --end;
  }
  return {.begin = begin, .end = end};
}

// Walks over the tokens and knows how deep it stands.
class TokenSplitter {
 public:
  TokenSplitter(std::string_view text, const std::vector<Token>& tokens)
      : text_(text), tokens_(tokens) {}

  std::vector<Piece> split() {
    for (const Token& token : tokens_) {
      if (token.kind == TokenKind::comment) {
        continue;
      }
      if (is_symbol(token, ';') && parentheses_ == 0 && blocks_ == 0) {
        finish_piece(token.begin);
      } else {
        enter(token);
      }
    }
    finish_piece(text_.size());
    return std::move(pieces_);
  }

 private:
  bool is_symbol(const Token& token, char symbol) const {
    return token.end - token.begin == 1 && text_[token.begin] == symbol;
  }

  void enter(const Token& token) {
    if (previous_ == nullptr) {
      creates_ = is_word(text_, token, "create");
    }
    if (is_symbol(token, '(')) {
      ++parentheses_;
    }
    if (is_symbol(token, ')')) {
      parentheses_ = std::max(parentheses_ - 1, 0);
    }
    if (token.kind == TokenKind::word && creates_) {
      enter_block(token);
    }
    previous_ = &token;
  }

  // BEGIN and ATOMIC are good column names elsewhere, so only a CREATE may open a body, and not
  // within parentheses (a column `begin` of type `atomic`). Within one, CASE and END are counted
  // unless they stand where only a name can.
  void enter_block(const Token& token) {
    if (blocks_ == 0) {
      if (parentheses_ == 0 && is_word(text_, token, "atomic") &&
          is_word(text_, *previous_, "begin")) {
        blocks_ = 1;
      }
      return;
    }
    if (is_word(text_, *previous_, "as") || is_symbol(*previous_, '.')) {
      return;
    }
    if (is_word(text_, token, "case")) {
      ++blocks_;
    }
    if (is_word(text_, token, "end")) {
      --blocks_;
    }
  }

  void finish_piece(std::size_t end) {
    if (previous_ != nullptr) {
      pieces_.push_back(trimmed(text_, begin_, end));
    }
    begin_ = end + 1;
    parentheses_ = 0;
    blocks_ = 0;
    creates_ = false;
    previous_ = nullptr;
  }

  std::string_view text_;
  const std::vector<Token>& tokens_;
  std::vector<Piece> pieces_;
  std::size_t begin_ = 0;            // of the piece being walked
  const Token* previous_ = nullptr;  // within the piece, comments left out
  bool creates_ = false;             // the piece begins with CREATE
  int parentheses_ = 0;
  int blocks_ = 0;  // BEGIN ATOMIC and the CASEs within it
};

}  // namespace

std::optional<std::vector<Piece>> split_by_parser(const std::string& parseable) {
  const SplitResult result(parseable.c_str());
  if (result.value().error != nullptr) {
    return std::nullopt;
  }
  std::vector<Piece> pieces;
  for (int i = 0; i < result.value().n_stmts; ++i) {
    const PgQuerySplitStmt& statement = *result.value().stmts[i];
    const auto begin = static_cast<std::size_t>(statement.stmt_location);
    const auto length = static_cast<std::size_t>(statement.stmt_len);
    pieces.push_back(trimmed(parseable, begin, begin + length));
  }
  return pieces;
}

std::vector<Piece> split_by_tokens(std::string_view text, const std::vector<Token>& tokens) {
  return TokenSplitter(text, tokens).split();
}

}  // namespace tenantctl::sql
