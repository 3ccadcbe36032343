#include "sql/location.h"

#include <doctest/doctest.h>

using namespace tenantctl::sql;

TEST_SUITE("sql/location") {
  TEST_CASE("a byte has the line and column that a person counts") {
    const auto location = Location::at_byte("one\ntwo\nthree", 6);
    CHECK(location.byte() == 6);
    CHECK(location.line() == 2);
    CHECK(location.column() == 3);
    CHECK(location.line_text() == "two");
  }

  TEST_CASE("an accent before the place moves the byte but not the column") {
    const std::string_view text = "SELECT '\xC3\xA9', x";
    CHECK(Location::at_byte(text, 13).column() == 13);
    CHECK(text[13] == 'x');
    CHECK(Location::at_character(text, 13).byte() == 13);
    CHECK(Location::at_character("\xC3\xA9\n\xC3\xA9z", 4).column() == 2);
    CHECK(Location::at_character("\xC3\xA9\n\xC3\xA9z", 4).line() == 2);
  }

  TEST_CASE("a byte within a character has that character's column plus one") {
    CHECK(Location::at_byte("\xC3\xA9", 1).column() == 2);
  }

  TEST_CASE("a position past the end means the end") {
    CHECK(Location::at_byte("ab", 9).byte() == 2);
    CHECK(Location::at_character("ab", 9).byte() == 2);
    CHECK(Location::at_character("ab", 9).column() == 3);
    CHECK(Location::at_byte("", 0).line() == 1);
  }

  TEST_CASE("character zero, a position that the server did not give, is the start") {
    CHECK(Location::at_character("ab", 0).byte() == 0);
  }

  TEST_CASE("a line's text has no line end") {
    CHECK(Location::at_byte("a\r\nb", 0).line_text() == "a");
    CHECK(Location::at_byte("a\n", 2).line_text().empty());
    CHECK(Location::at_byte("a\n", 1).line_text() == "a");
  }
}
