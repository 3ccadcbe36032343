#include "revision/markers.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace tenantctl;

namespace {

std::size_t marker_count(std::string_view text) { return markers_of(lines_of(text)).size(); }

std::size_t mistake_count(std::string_view text) { return mistaken_markers(lines_of(text)).size(); }

}  // namespace

TEST_SUITE("revision/markers") {
  TEST_CASE("lines are numbered and know where they start") {
    const auto lines = lines_of("a\n\nbc\n");
    REQUIRE(lines.size() == 3);
    CHECK(lines[2].number == 3);
    CHECK(lines[2].begin == 3);
    CHECK(lines[2].text == "bc");
    CHECK(lines_of("").empty());
    CHECK(lines_of("a").size() == 1);
  }

  TEST_CASE("words are what stands between white space") {
    CHECK(words_of(" a\tbc \r") == std::vector<std::string_view>{"a", "bc"});
    CHECK(words_of(" ").empty());
  }

  TEST_CASE("a marker is found with its options") {
    const auto markers =
        markers_of(lines_of("-- migrate:up transaction:false  x:y\n--migrate:down\n"));
    REQUIRE(markers.size() == 2);
    CHECK(markers[0].up);
    CHECK(markers[0].options == std::vector<std::string_view>{"transaction:false", "x:y"});
    CHECK_FALSE(markers[1].up);
    CHECK(markers[1].line.number == 2);
  }

  TEST_CASE("a marker counts inside a string too") {
    CHECK(marker_count("SELECT $$\n-- migrate:up\n$$") == 1);
  }

  TEST_CASE("what is written differently is no marker") {
    for (const std::string_view text :
         {" -- migrate:up", "-- migrate:upp", "-- Migrate:up", "-- migrate: up",
          "-- migrate:", "- migrate:up", "SELECT 1 -- migrate:up", "/* migrate:up */", "--"}) {
      CAPTURE(text);
      CHECK(marker_count(text) == 0);
    }
  }

  TEST_CASE("what can only be meant as a marker is a mistake") {
    for (const std::string_view text :
         {" -- migrate:up", "-- migrate:upp", "-- Migrate:Down", "-- migrate: up",
          "-- migrate:donw", "-- migrate:", "-- MIGRATE:UP transaction:false"}) {
      CAPTURE(text);
      CHECK(mistake_count(text) == 1);
    }
  }

  TEST_CASE("markers and prose are no mistakes") {
    for (const std::string_view text :
         {"-- migrate:up", "-- migrate: moves the totals", "-- migrate:up and more words",
          "-- we migrate:up", "-- migrate:invoices", "SELECT 1"}) {
      CAPTURE(text);
      CHECK(mistake_count(text) == 0);
    }
  }
}
