#include "sql/scan.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/text.h"
#include "sql/location.h"

namespace tenantctl::sql {

namespace {

struct FreeTokens {
  void operator()(PgQuery__ScanResult* result) const {
    pg_query__scan_result__free_unpacked(result, nullptr);
  }
};

// Owns what pg_query_scan returns by value.
class ScanResult {
 public:
  explicit ScanResult(const char* text) : result_(pg_query_scan(text)) {}
  ~ScanResult() { pg_query_free_scan_result(result_); }

  ScanResult(const ScanResult&) = delete;
  ScanResult& operator=(const ScanResult&) = delete;

  const PgQueryError* error() const { return result_.error; }

  std::unique_ptr<PgQuery__ScanResult, FreeTokens> unpack() const {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(result_.pbuf.data);
    return std::unique_ptr<PgQuery__ScanResult, FreeTokens>(
        pg_query__scan_result__unpack(nullptr, result_.pbuf.len, bytes));
  }

 private:
  PgQueryScanResult result_;
};

TokenKind kind_of(const PgQuery__ScanToken& token, char first) {
  switch (token.token) {
    case PG_QUERY__TOKEN__SQL_COMMENT:
    case PG_QUERY__TOKEN__C_COMMENT:
      return TokenKind::comment;
    case PG_QUERY__TOKEN__IDENT:
      return first == '"' ? TokenKind::quoted_identifier : TokenKind::word;
    case PG_QUERY__TOKEN__SCONST:
      return first == '\'' ? TokenKind::string : TokenKind::other;
    default:  // the token codes are libpg_query's, some 450 of them
      return token.keyword_kind == PG_QUERY__KEYWORD_KIND__NO_KEYWORD ? TokenKind::other
                                                                      : TokenKind::word;
  }
}

// libpg_query ends U&'..' and U&".." tokens too early (tried: before their first quote). Comments
// are tokens too, so only white space lies between a token's end and the next one.
void mend_ends(std::string_view text, std::vector<Token>& tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    std::size_t end = i + 1 < tokens.size() ? tokens[i + 1].begin : text.size();
    while (end > tokens[i].end && is_white_space(text[end - 1])) {
      --end;
    }
    if (tokens[i].kind == TokenKind::other) {
      tokens[i].end = end;
    }
  }
}

void append_tokens(const ScanResult& result, std::string_view text, std::size_t offset,
                   std::vector<Token>& tokens) {
  const auto unpacked = result.unpack();
  if (!unpacked) {
    throw Error("libpg_query's tokens cannot be read");
  }
  for (std::size_t i = 0; i < unpacked->n_tokens; ++i) {
    const PgQuery__ScanToken& token = *unpacked->tokens[i];
    const std::size_t begin = offset + static_cast<std::size_t>(token.start);
    const std::size_t end = offset + static_cast<std::size_t>(token.end);
    tokens.push_back({.begin = begin, .end = end, .kind = kind_of(token, text[begin])});
  }
}

// libpg_query quotes the whole rest of the text behind its own words.
std::string own_words(std::string_view message) {
  return std::string(message.substr(0, message.find(" at or near ")));
}

bool is_number_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '.' || c == '$' || static_cast<unsigned char>(c) >= 0x80U;
}

// Where the number ends that libpg_query calls junk, or nothing if `error` is about something else.
std::optional<std::size_t> newer_number_end(const PgQueryError& error, std::string_view text,
                                            std::size_t begin) {
  if (!std::string_view(error.message).starts_with("trailing junk after")) {
    return std::nullopt;
  }
  std::size_t end = begin;
  while (end < text.size() && is_number_byte(text[end])) {
    ++end;
  }
  return end == begin ? std::nullopt : std::optional(end);
}

bool is_name_byte(char c) { return is_number_byte(c) && c != '.' && c != '$'; }

// The placeholder whose colon is `colon` and whose quoted name is `quoted`, if that is what they
// are. The letters of a name are psql's; a doubled quote is no letter.
std::optional<Placeholder> placeholder_at(std::string_view text, const Token& colon,
                                          const Token& quoted) {
  const bool identifier = quoted.kind == TokenKind::quoted_identifier;
  if (!identifier && quoted.kind != TokenKind::string) {
    return std::nullopt;
  }
  const char quote = identifier ? '"' : '\'';
  const std::size_t name_begin = quoted.begin + 1;
  std::size_t name_end = name_begin;
  while (name_end < quoted.end && is_name_byte(text[name_end])) {
    ++name_end;
  }
  if (name_end == name_begin || name_end >= quoted.end || text[name_end] != quote) {
    return std::nullopt;
  }
  const std::size_t end = name_end + 1;
  if (end < quoted.end && text[end] == quote) {
    return std::nullopt;
  }
  return Placeholder{.begin = colon.begin,
                     .end = end,
                     .name = std::string(text.substr(name_begin, name_end - name_begin)),
                     .identifier = identifier};
}

bool is_lone_colon(std::string_view text, const Token& token) {
  return token.end - token.begin == 1 && text[token.begin] == ':';
}

}  // namespace

std::vector<Token> scan(const std::string& text) {
  std::vector<Token> tokens;
  std::size_t offset = 0;
  while (true) {
    const ScanResult rest(text.c_str() + offset);
    if (rest.error() == nullptr) {
      append_tokens(rest, text, offset, tokens);
      mend_ends(text, tokens);
      return tokens;
    }
    const auto character = static_cast<std::size_t>(std::max(rest.error()->cursorpos, 1));
    const std::string_view unread = std::string_view(text).substr(offset);
    const std::size_t fault = offset + Location::at_character(unread, character).byte();
    const auto number_end = newer_number_end(*rest.error(), text, fault);
    if (!number_end) {
      throw SyntaxError(own_words(rest.error()->message), fault);
    }

    // A failed scan returns no tokens at all, so those before the number are asked for again.
    const ScanResult before(text.substr(offset, fault - offset).c_str());
    if (before.error() != nullptr) {
      throw SyntaxError(own_words(before.error()->message), offset);
    }
    append_tokens(before, text, offset, tokens);
    tokens.push_back({.begin = fault, .end = *number_end, .kind = TokenKind::newer_number});
    offset = *number_end;
  }
}

std::vector<Placeholder> placeholders_of(std::string_view text, const std::vector<Token>& tokens) {
  std::vector<Placeholder> placeholders;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (!is_lone_colon(text, tokens[i]) || tokens[i].end != tokens[i + 1].begin) {
      continue;
    }
    if (auto placeholder = placeholder_at(text, tokens[i], tokens[i + 1])) {
      placeholders.push_back(std::move(*placeholder));
    }
  }
  return placeholders;
}

std::string parseable(std::string text, const std::vector<Token>& tokens,
                      const std::vector<Placeholder>& placeholders) {
  for (const Token& token : tokens) {
    if (token.kind != TokenKind::newer_number) {
      continue;
    }
    for (std::size_t i = token.begin; i < token.end; ++i) {
      if (text[i] != '$') {
        text[i] = '1';
      }
    }
  }
  for (const Placeholder& placeholder : placeholders) {
    text[placeholder.begin] = ' ';
  }
  return text;
}

bool is_word(std::string_view text, const Token& token, std::string_view word) {
  return token.kind == TokenKind::word && token.end - token.begin == word.size() &&
         lowered(text.substr(token.begin, word.size())) == word;
}

}  // namespace tenantctl::sql
