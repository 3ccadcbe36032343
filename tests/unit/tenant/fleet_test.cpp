#include "tenant/fleet.h"

#include <doctest/doctest.h>

#include <string>

#include "sql/script.h"

using namespace tenantctl;

TEST_SUITE("tenant/fleet") {
  TEST_CASE("a schema is found by its name") {
    Fleet fleet;
    fleet.comments = {"one"};
    fleet.schemas = {{.schema = "B"}, {.schema = "a"}, {.schema = "c"}};
    REQUIRE(fleet.find("a") != nullptr);
    CHECK(fleet.find("a") == &fleet.schemas[1]);
    CHECK(fleet.comment_of(*fleet.find("c")) == "one");
    CHECK(fleet.find("b") == nullptr);
    CHECK(fleet.find("d") == nullptr);
    CHECK(Fleet().find("a") == nullptr);
  }

  TEST_CASE("owners that are trusted are literals in one condition") {
    for (const Lookup lookup : {Lookup::one, Lookup::all}) {
      const std::string condition = ownership_condition({"o'neill", "x"}, lookup);
      CHECK(condition.find("IN (CURRENT_USER::pg_catalog.text, 'o''neill', 'x')") !=
            std::string::npos);
      CHECK(sql::Script::read("SELECT FROM c, n WHERE " + condition).parsed());
    }
  }
}
