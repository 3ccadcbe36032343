#include "base/text.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace tenantctl;

TEST_SUITE("base/text") {
  TEST_CASE("well-formed UTF-8 of every length is accepted") {
    CHECK_FALSE(invalid_utf8(""));
    CHECK_FALSE(invalid_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\x98z"));
    CHECK_FALSE(
        invalid_utf8("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF"));
    CHECK_FALSE(invalid_utf8("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"));
  }

  TEST_CASE("the first byte that is no UTF-8 is named") {
    CHECK(invalid_utf8("ab\xE9") == 2);    // Latin-1
    CHECK(invalid_utf8("\xFF\xFE") == 0);  // UTF-16
    CHECK(invalid_utf8("a\x80") == 1);     // a continuation alone
    CHECK(invalid_utf8("\xC3") == 0);      // cut off
    CHECK(invalid_utf8("\xE2\x82") == 0);
    CHECK(invalid_utf8("\xE2\x82z") == 0);
    CHECK(invalid_utf8("\xF5\x80\x80\x80") == 0);
  }

  TEST_CASE("overlong forms, surrogates and what lies above U+10FFFF are refused") {
    CHECK(invalid_utf8("\xC0\x80") == 0);
    CHECK(invalid_utf8("\xC1\xBF") == 0);
    CHECK(invalid_utf8("\xE0\x9F\xBF") == 0);
    CHECK(invalid_utf8("\xF0\x8F\xBF\xBF") == 0);
    CHECK(invalid_utf8("\xED\xA0\x80") == 0);
    CHECK(invalid_utf8("\xF4\x90\x80\x80") == 0);
  }

  TEST_CASE("what could move a terminal's cursor is escaped") {
    CHECK(escaped("a\x1B[2J\x7F\rb") == "a\\x1b[2J\\x7f\\x0db");
    CHECK(escaped(std::string_view("\0", 1)) == "\\x00");
    CHECK(escaped("\xC2\x85") == "\\u0085");
    CHECK(escaped("x\xE2\x80\xAEy\xE2\x81\xA6") == "x\\u202ey\\u2066");
    CHECK(escaped("\xD8\x9C\xE2\x80\x8F\xE2\x80\xA8") == "\\u061c\\u200f\\u2028");
  }

  TEST_CASE("a name stays on its line") {
    CHECK(escaped_name("a\nb\tc\x1B") == "a\\nb\\tc\\x1b");
    CHECK(escaped_name("caf\xC3\xA9 1") == "caf\xC3\xA9 1");
  }

  TEST_CASE("no line of a message is longer than a person reads") {
    CHECK(with_short_lines("one\ntwo\n") == "one\ntwo\n");
    CHECK(with_short_lines("") == "");
    const std::string shown = with_short_lines("a\n" + std::string(3'000'000, 'x') + "\nb");
    CHECK(shown == "a\n" + std::string(2'000, 'x') + "... (3000000 characters)\nb");
  }

  TEST_CASE("somebody else's words cannot pass for a line of ours") {
    CHECK(told("one") == "one");
    CHECK(told("bad\ntenantctl: all is well\x1B[2J") == "bad\n    tenantctl: all is well\\x1b[2J");
    std::string many = "0";
    for (int i = 1; i < 25; ++i)
      many += "\n" + std::to_string(i);
    CHECK(told(many).ends_with("\n    19\n    ... (5 more lines)"));
    CHECK(told("a\n") == "a\n    ");
  }

  TEST_CASE("a URL is quoted without its password") {
    CHECK(without_credentials("\"postgresql://me:se@cret@host/db\" is not a target") ==
          "\"postgresql://...@host/db\" is not a target");
    CHECK(without_credentials("see https://example.org") == "see https://example.org");
    CHECK(without_credentials("me@host is no ://") == "me@host is no ://");
  }

  TEST_CASE("text that a person can read stays as it is") {
    CHECK(escaped("one\n\ttwo \\ \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\x98") ==
          "one\n\ttwo \\ \xC3\xA9 \xE2\x82\xAC \xF0\x9F\x90\x98");
  }

  TEST_CASE("invalid UTF-8 is escaped byte by byte") {
    CHECK(escaped("\xFF\xC3(") == "\\xff\\xc3(");
  }

  TEST_CASE("the nearest candidate is found through typing mistakes") {
    const std::vector<std::string> commands{"upgrade", "downgrade", "status", "check"};
    CHECK(nearest("upgarde", commands) == "upgrade");
    CHECK(nearest("STATUS", commands) == "status");
    CHECK(nearest("chek", commands) == "check");
    CHECK(nearest("downgraed", commands) == "downgrade");
  }

  TEST_CASE("nothing is near to a word that is something else") {
    CHECK_FALSE(nearest("tenants", {"upgrade", "check"}));
    CHECK_FALSE(nearest("xy", {"up"}));
    CHECK_FALSE(nearest("", {"up"}));
    CHECK_FALSE(nearest("up", {}));
  }

  TEST_CASE("of two candidates as near the first is taken") {
    CHECK(nearest("heat", {"head", "hear"}) == "head");
  }

  TEST_CASE("a glob matches the whole name") {
    CHECK(matches_glob("tenant_42", "tenant_*"));
    CHECK(matches_glob("tenant_42", "*"));
    CHECK(matches_glob("tenant_42", "*_4?"));
    CHECK(matches_glob("tenant_42", "t*n*t*2"));
    CHECK(matches_glob("aaab", "*aab"));
    CHECK(matches_glob("", "**"));
    CHECK(matches_glob("a[b]", "a[b]"));
    CHECK_FALSE(matches_glob("tenant_42", "tenant"));
    CHECK_FALSE(matches_glob("tenant_42", "*_4"));
    CHECK_FALSE(matches_glob("tenant_42", "tenant_42?"));
    CHECK_FALSE(matches_glob("", "?"));
  }

  TEST_CASE("a glob of many stars does not take for ever") {
    CHECK_FALSE(matches_glob(std::string(5000, 'a'), "*a*a*a*a*a*a*a*a*a*b"));
  }

  TEST_CASE("a count brings its noun") {
    CHECK(counted(0, "schema") == "0 schemas");
    CHECK(counted(1, "schema") == "1 schema");
    CHECK(counted(2, "index", "indexes") == "2 indexes");
    CHECK(counted(1, "index", "indexes") == "1 index");
  }

  TEST_CASE("a literal is quoted the same for every server setting") {
    CHECK(quote_literal("") == "''");
    CHECK(quote_literal("O'Neil") == "'O''Neil'");
    CHECK(quote_literal("a\\'b") == "E'a\\\\''b'");
  }

  TEST_CASE("an identifier is quoted") {
    CHECK(quote_identifier("tenant") == "\"tenant\"");
    CHECK(quote_identifier("a\"; DROP") == "\"a\"\"; DROP\"");
  }

  TEST_CASE("characters are counted, not bytes") {
    CHECK(character_count("") == 0);
    CHECK(character_count("a\xC3\xA9\xF0\x9F\x90\x98") == 3);
  }

  TEST_CASE("a beginning has whole characters") {
    const std::string text = "a\xC3\xA9\xF0\x9F\x90\x98";
    CHECK(first_characters(text, 0).empty());
    CHECK(first_characters(text, 1) == "a");
    CHECK(first_characters(text, 2) == "a\xC3\xA9");
    CHECK(first_characters(text, 3) == text);
    CHECK(first_characters(text, 99) == text);
    CHECK(first_characters("", 1).empty());
  }

  TEST_CASE("a text of several lines becomes one line, and stays harmless") {
    CHECK(single_line(" SELECT 1,\n\t  2 \n") == "SELECT 1, 2");
    CHECK(single_line("a\x1B[2J\r\nb") == "a\\x1b[2J\\x0d b");
    CHECK(single_line(" \n ").empty());
  }

  TEST_CASE("columns count a character that may be wide twice") {
    CHECK(column_count("a\xC3\xA9") == 2);
    CHECK(column_count("\xE5\xAE\xA2\xF0\x9F\x90\x98") == 4);
  }

  TEST_CASE("a text is cut to the columns that there are") {
    CHECK(fitted("tenant_acme", 11) == "tenant_acme");
    CHECK(fitted("tenant_acme_2", 12) == "tenant_ac...");
    CHECK(fitted("tenant", 3) == "ten");
    CHECK(fitted("tenant", 0).empty());
    const std::string wide =
        "\xE5\xAE\xA2\xE5\xAE\xA2\xE5\xAE\xA2\xE5\xAE\xA2\xE5\xAE\xA2\xE5\xAE\xA2\xE5\xAE\xA2";
    for (std::size_t most = 0; most < 20; ++most) {
      CHECK(column_count(fitted(wide, most)) <= most);
      CHECK_FALSE(invalid_utf8(fitted(wide, most)));
    }
  }

  TEST_CASE("only ASCII letters are lowered") { CHECK(lowered("AbZ\xC3\x89[") == "abz\xC3\x89["); }
}
