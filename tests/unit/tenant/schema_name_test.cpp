#include "tenant/schema_name.h"

#include <doctest/doctest.h>

#include <string>

#include "base/error.h"

using namespace tenantctl;

namespace {

std::string complaint(std::string_view text, bool create = false) {
  try {
    static_cast<void>(create ? SchemaName::create(text) : SchemaName::existing(text));
  } catch (const UsageError& error) {
    CHECK_FALSE(error.hint().empty());
    return error.what();
  }
  return "";
}

}  // namespace

TEST_SUITE("tenant/schema_name") {
  TEST_CASE("a schema that exists may have any name that PostgreSQL holds") {
    for (const std::string name :
         {"acme", "Acme Ltd", "a\"b", "1", "public", "pgx", "a$b", "\xC3\xA9t\xC3\xA9", "a\nb"}) {
      CAPTURE(name);
      CHECK(SchemaName::existing(name).text() == name);
    }
  }

  TEST_CASE("what PostgreSQL would cut is refused, because two names would become one") {
    CHECK(complaint(std::string(63, 'a')).empty());
    CHECK(complaint(std::string(64, 'a')) ==
          "schema name \"" + std::string(64, 'a') + "\" has 64 bytes");
    std::string wide;
    for (int i = 0; i < 32; ++i)
      wide += "\xC3\xA9";
    CHECK(complaint(wide).ends_with("has 64 bytes"));
  }

  TEST_CASE("what is no name at all is refused") {
    CHECK(complaint("") == "schema name \"\" is empty");
    CHECK(complaint(std::string_view("a\0b", 3)) ==
          "schema name \"a\\x00b\" is not valid UTF-8 text");
    CHECK(complaint("caf\xE9") == "schema name \"caf\\xe9\" is not valid UTF-8 text");
  }

  TEST_CASE("reserved names are refused in any case") {
    for (const std::string name : {"pg_catalog", "PG_x", "pg_", "information_schema",
                                   "Information_Schema", "tenantctl", "TENANTCTL"}) {
      CAPTURE(name);
      CHECK(complaint(name) == "schema name \"" + name + "\" is reserved");
      CHECK_FALSE(complaint(name, true).empty());
    }
    CHECK(complaint("tenantctl_1").empty());
  }

  TEST_CASE("a new schema's name is plain") {
    for (const std::string name : {"a", "acme", "tenant_00042", "a1_"}) {
      CHECK(SchemaName::create(name).text() == name);
    }
    for (const std::string name : {"Acme", "1a", "_a", "a-b", "a b", "a.b", "\xC3\xA9", "a\"b"}) {
      CAPTURE(name);
      CHECK(complaint(name, true) == "schema name \"" + name + "\" is not a plain name");
    }
  }

  TEST_CASE("public is no tenant's, but it exists") {
    CHECK(complaint("public", true) == "schema name \"public\" is reserved");
    CHECK(complaint("public").empty());
  }

  TEST_CASE("a name is always quoted when it is sent") {
    CHECK(SchemaName::existing("acme").quoted() == "\"acme\"");
    CHECK(SchemaName::existing("a\"b").quoted() == "\"a\"\"b\"");
  }

  TEST_CASE("names compare by bytes") {
    CHECK(SchemaName::existing("a") == SchemaName::existing("a"));
    CHECK(SchemaName::existing("A") < SchemaName::existing("a"));
  }
}
