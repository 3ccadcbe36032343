#include <doctest/doctest.h>

#include <string>

#include "sql/script.h"

using namespace tenantctl::sql;

namespace {

// Without the spaces that take the word's place.
std::string squeezed(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || !out.ends_with(' ')) {
      out += c;
    }
  }
  return out;
}

}  // namespace

TEST_SUITE("sql/without_concurrently") {
  TEST_CASE("the word goes and everything else stays where it was") {
    const std::string text = "CREATE INDEX CONCURRENTLY i ON t (a)";
    const std::string plain = without_concurrently(text);
    CHECK(plain == "CREATE INDEX              i ON t (a)");
    CHECK(plain.size() == text.size());
  }

  TEST_CASE("every statement that knows the word loses it") {
    const auto plain = [](const std::string& text) { return squeezed(without_concurrently(text)); };
    CHECK(plain("create unique index concurrently i on t (a)") == "create unique index i on t (a)");
    CHECK(plain("DROP INDEX /* a */ CONCURRENTLY i") == "DROP INDEX /* a */ i");
    CHECK(plain("REINDEX INDEX CONCURRENTLY i") == "REINDEX INDEX i");
    CHECK(plain("REINDEX (VERBOSE) TABLE CONCURRENTLY t") == "REINDEX (VERBOSE) TABLE t");
    CHECK(plain("REINDEX (CONCURRENTLY) INDEX i") == "REINDEX INDEX i");
    CHECK(plain("REINDEX (CONCURRENTLY TRUE, VERBOSE) INDEX i") == "REINDEX ( VERBOSE) INDEX i");
    CHECK(plain("REINDEX (VERBOSE, CONCURRENTLY on) INDEX i") == "REINDEX (VERBOSE ) INDEX i");
  }

  TEST_CASE("names and strings that hold the word keep it") {
    const std::string text = "CREATE INDEX \"concurrently\" ON t ((a = 'concurrently'))";
    CHECK(without_concurrently(text) == text);
  }
}
