#include "sql/scan.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace tenantctl::sql;

namespace {

std::vector<std::string> texts(const std::string& text) {
  std::vector<std::string> out;
  for (const Token& token : scan(text)) {
    out.push_back(text.substr(token.begin, token.end - token.begin));
  }
  return out;
}

std::vector<std::string> names(const std::string& text) {
  std::vector<std::string> out;
  for (const Placeholder& placeholder : placeholders_of(text, scan(text))) {
    out.push_back((placeholder.identifier ? "i " : "l ") + placeholder.name);
  }
  return out;
}

std::string neutral(const std::string& text) {
  const auto tokens = scan(text);
  return parseable(text, tokens, placeholders_of(text, tokens));
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_SUITE("sql/scan") {
  TEST_CASE("tokens are byte ranges, comments among them") {
    CHECK(texts("select '\xC3\xA9' -- c\n, /* d */ x") ==
          Strings{"select", "'\xC3\xA9'", "-- c", ",", "/* d */", "x"});
    CHECK(texts("").empty());
  }

  TEST_CASE("each token has its kind") {
    const auto tokens = scan("SELECT \"a\", 'b', E'c', 1 -- d");
    const std::vector kinds{TokenKind::word,   TokenKind::quoted_identifier,
                            TokenKind::other,  TokenKind::string,
                            TokenKind::other,  TokenKind::other,
                            TokenKind::other,  TokenKind::other,
                            TokenKind::comment};
    REQUIRE(tokens.size() == kinds.size());
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      CHECK(tokens[i].kind == kinds[i]);
    }
  }

  TEST_CASE("strings and names with U& end at their last quote") {
    CHECK(texts("U&'\\0041;' , U&\"a\" ; U&'x'") ==
          Strings{"U&'\\0041;'", ",", "U&\"a\"", ";", "U&'x'"});
  }

  TEST_CASE("a lone CR ends a line comment") {
    CHECK(texts("-- a\rselect") == Strings{"-- a", "select"});
  }

  TEST_CASE("numbers of newer servers do not stop the scan") {
    CHECK(texts("select 0x1F, 1_000 , 0b11, 0o17,'a'") ==
          Strings{"select", "0x1F", ",", "1_000", ",", "0b11", ",", "0o17", ",", "'a'"});
    CHECK(scan("0x1F").front().kind == TokenKind::newer_number);
    CHECK(texts("$1abc 100x") == Strings{"$1abc", "100x"});
  }

  TEST_CASE("text after a newer number is where it was, accents or not") {
    CHECK(texts("'\xC3\xA9' 1_0 '\xC3\xA9' 2_0 z") ==
          Strings{"'\xC3\xA9'", "1_0", "'\xC3\xA9'", "2_0", "z"});
  }

  TEST_CASE("what never ends is an error that says where it starts") {
    const auto fault = [](const std::string& text) {
      try {
        scan(text);
      } catch (const SyntaxError& error) {
        return std::to_string(error.byte()) + " " + error.what();
      }
      return std::string();
    };
    CHECK(fault("select 'a") == "7 unterminated quoted string");
    CHECK(fault("select '\xC3\xA9', \"a") == "13 unterminated quoted identifier");
    CHECK(fault("/* /* */") == "0 unterminated /* comment");
    CHECK(fault("$a$ $b$") == "0 unterminated dollar-quoted string");
    CHECK(fault("select 1_0, 'a") == "12 unterminated quoted string");
    CHECK(fault("select \"\"") == "7 zero-length delimited identifier");
    CHECK(fault("b'01") == "0 unterminated bit string literal");
  }

  TEST_CASE("a placeholder is a colon with a quoted name right behind it") {
    CHECK(names("select * from :\"schema\".t where n = :'tenant'") ==
          Strings{"i schema", "l tenant"});
    CHECK(names(":\"a\":\"b\":'c'") == Strings{"i a", "i b", "l c"});
    CHECK(names(":'caf\xC3\xA9'") == Strings{"l caf\xC3\xA9"});
    CHECK(names("'a':::\"type\"") == Strings{"i type"});
    CHECK(names("f(a => :'x', b :=:'y')") == Strings{"l x", "l y"});
    CHECK(names(":'a'\n'b'") == Strings{"l a"});
  }

  TEST_CASE("strings, comments, casts and odd names hold no placeholder") {
    CHECK(names("':\"a\"' -- :\"a\"\n/* :'a' */ $$ :'a' $$ x::\"a\"").empty());
    CHECK(names(": \"a\" :E'a' :'a b' :'a''b' :\"a\"\"b\" :'' :a :1 :").empty());
  }

  TEST_CASE("the parser's copy has every byte at its place") {
    CHECK(neutral("select :\"a\", :'b', 0x1F, $1abc") == "select  \"a\",  'b', 1111, $1111");
    CHECK(neutral("select 1") == "select 1");
  }

  TEST_CASE("a word is recognised in any case, unquoted") {
    const std::string text = "CoPy \"copy\"";
    const auto tokens = scan(text);
    CHECK(is_word(text, tokens[0], "copy"));
    CHECK_FALSE(is_word(text, tokens[0], "cop"));
    CHECK_FALSE(is_word(text, tokens[1], "copy"));
  }
}
