#include "revision/file_name.h"

#include <doctest/doctest.h>

#include <string>

using namespace tenantctl;

TEST_SUITE("revision/file_name") {
  TEST_CASE("a name is digits, a slug and .sql") {
    const auto name = FileName::parse("0012_backfill_total.sql");
    REQUIRE(name);
    CHECK(name->number == 12);
    CHECK(name->digits == "0012");
    CHECK(name->slug == "backfill_total");
    CHECK(FileName::parse("20261120101600_a.B-2.sql")->number == 20261120101600);
    CHECK(FileName::parse("999999999999999999_a.sql")->number == 999999999999999999);
    CHECK(FileName::parse("0_a.sql")->number == 0);
  }

  TEST_CASE("anything else is no revision's name") {
    for (const std::string name :
         {"0003-x.sql", "x.sql", "0001_a.SQL", "0001_a.sql.bak", "0001_.sql", "_a.sql", ".sql",
          "0001.sql", "0001__a.sql", "0001_-a.sql", "0001_a b.sql", "0001_\xC3\xA9.sql",
          "1234567890123456789_a.sql", "+1_a.sql", "0x1_a.sql", "1_a.sql\n", ""}) {
      CAPTURE(name);
      CHECK_FALSE(FileName::parse(name));
    }
  }

  TEST_CASE("a repeatable's name is a slug") {
    CHECK(repeatable_name("invoice_totals.sql") == "invoice_totals");
    CHECK(repeatable_name("0012_a.B-2.sql") == "0012_a.B-2");
    for (const std::string name :
         {".sql", "_a.sql", "a.SQL", "a", "a b.sql", "-a.sql", "\xC3\xA9.sql", "a.sql.bak", ""}) {
      CAPTURE(name);
      CHECK_FALSE(repeatable_name(name));
    }
  }

  TEST_CASE("a repeatable's number follows from its name, today and always") {
    CHECK(repeatable_number("invoice_totals") == -1094272248518993482);
    CHECK(repeatable_number("a") < 0);
    CHECK(repeatable_number("a") != repeatable_number("A"));
  }

  TEST_CASE("hidden files and files of other sorts are nobody's revision") {
    CHECK(is_unrelated(".0001_a.sql"));
    CHECK(is_unrelated("README.md"));
    CHECK(is_unrelated(""));
    CHECK_FALSE(is_unrelated("a.SQL"));
    CHECK_FALSE(is_unrelated("0001_a.sql.bak"));
    CHECK_FALSE(is_unrelated("0001"));
  }
}
