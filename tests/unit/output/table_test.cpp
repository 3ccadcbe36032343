#include "output/table.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

using namespace tenantctl;

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string table(const Rows& rows, const std::vector<std::size_t>& right = {}) {
  std::ostringstream out;
  write_table(out, rows, right);
  return out.str();
}

}  // namespace

TEST_SUITE("output/table") {
  TEST_CASE("columns are as wide as their widest cell, without blanks at the end") {
    CHECK(table({{"a", "b"}, {"long", "c"}, {"d", ""}}) == "a     b\nlong  c\nd\n");
  }

  TEST_CASE("columns of numbers end at the same place") {
    CHECK(table({{"N", "x"}, {"100", "y"}}, {0}) == "  N  x\n100  y\n");
  }

  TEST_CASE("rows may have different lengths") {
    CHECK(table({{"a"}, {"bb", "c"}, {}}) == "a\nbb  c\n\n");
    CHECK(table({}).empty());
  }

  TEST_CASE("characters count, not bytes") {
    CHECK(table({{"\xC3\xA9", "x"}, {"ab", "y"}}) == "\xC3\xA9   x\nab  y\n");
  }

  TEST_CASE("names are wrapped at the width and indented") {
    CHECK(wrapped_names({"aaaa", "bbbb", "cccc"}, "  ", 14, 9) == "  aaaa, bbbb,\n  cccc\n");
    CHECK(wrapped_names({"aaaa"}, "  ", 14, 9) == "  aaaa\n");
    CHECK(wrapped_names({}, "  ", 14, 9) == "  \n");
  }

  TEST_CASE("a name that is too long has a line of its own") {
    CHECK(wrapped_names({"a", std::string_view("bbbbbbbbbb"), "c"}, "  ", 6, 9) ==
          "  a,\n  bbbbbbbbbb,\n  c\n");
  }

  TEST_CASE("more names than asked for are counted") {
    CHECK(wrapped_names({"a", "b", "c", "d"}, "  ", 80, 2) == "  a, b and 2 more\n");
  }

  TEST_CASE("a name cannot move the terminal's cursor") {
    CHECK(wrapped_names({"a\x1B[2J"}, "", 80, 9) == "a\\x1b[2J\n");
  }
}
