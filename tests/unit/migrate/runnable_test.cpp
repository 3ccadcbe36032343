#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "migrate/plan.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

std::string file_with(const std::string& sql, const std::string& options = {}) {
  return "-- migrate:up" + options + "\nSELECT 1;\n  " + sql + ";\nSELECT 2;\n";
}

// What is said about a revision that holds `sql`, or nothing.
std::string runnable_complaint(const std::string& sql, const std::string& options = {}) {
  const Revision revision = revision_of(3, file_with(sql, options));
  try {
    check_runnable(revision, revision.up);
  } catch (const UsageError& error) {
    REQUIRE(error.place());
    CHECK(error.place()->file == "versions/0003_r3.sql");
    CHECK(error.place()->line == 3);
    CHECK(error.place()->column == 3);
    CHECK(error.place()->text == "  " + sql + ";");
    CHECK_FALSE(error.hint().empty());
    const std::string beginning = "revision 0003_r3 holds a statement that ";
    REQUIRE(std::string(error.what()).starts_with(beginning));
    return std::string(error.what()).substr(beginning.size());
  }
  return "";
}

}  // namespace

TEST_SUITE("migrate/runnable") {
  TEST_CASE("what ends the transaction is refused where it stands") {
    for (const std::string sql :
         {"COMMIT", "BEGIN", "END", "ROLLBACK", "SAVEPOINT a", "RELEASE a", "ABORT",
          "COMMIT AND CHAIN", "PREPARE TRANSACTION 'a'", "SET TRANSACTION READ ONLY",
          "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"}) {
      CAPTURE(sql);
      CHECK(runnable_complaint(sql) == "controls the transaction");
      CHECK(runnable_complaint(sql, " transaction:false") == "controls the transaction");
    }
  }

  TEST_CASE("a stream would lose the connection") {
    for (const std::string sql : {"COPY a FROM STDIN", "COPY a TO STDOUT"}) {
      CHECK(runnable_complaint(sql) == "streams data to or from the client");
    }
    CHECK(runnable_complaint("COPY a FROM '/tmp/a'").empty());
  }

  TEST_CASE("psql's own commands are refused") {
    const Revision revision = revision_of(3, "-- migrate:up\n\\echo a\n");
    CHECK_THROWS_WITH_AS(check_runnable(revision, revision.up),
                         "revision 0003_r3 holds a statement that is a psql command", UsageError);
  }

  TEST_CASE("the session is reset between schemas, not in a revision") {
    CHECK(runnable_complaint("DISCARD ALL") == "resets the session");
    CHECK(runnable_complaint("DISCARD PLANS", " transaction:false") == "resets the session");
  }

  TEST_CASE("another role is for a transaction only, where the close takes it back") {
    CHECK(runnable_complaint("SET SESSION AUTHORIZATION bob").empty());
    CHECK(runnable_complaint("SET ROLE bob").empty());
    for (const std::string sql : {"SET SESSION AUTHORIZATION bob", "SET ROLE bob"}) {
      CAPTURE(sql);
      CHECK(runnable_complaint(sql, " transaction:false") ==
            "changes the session's role outside a transaction");
    }
  }

  TEST_CASE("what cannot be in a transaction needs transaction:false") {
    for (const std::string sql :
         {"CREATE INDEX CONCURRENTLY i ON a (b)", "DROP INDEX CONCURRENTLY i",
          "REINDEX INDEX CONCURRENTLY i", "VACUUM a", "CREATE DATABASE d"}) {
      CAPTURE(sql);
      CHECK(runnable_complaint(sql) == "cannot run inside a transaction");
      CHECK(runnable_complaint(sql, " transaction:false").empty());
    }
  }

  TEST_CASE("everything else may run") {
    for (const std::string sql : {"SET CONSTRAINTS ALL IMMEDIATE", "SET LOCAL work_mem = '1MB'",
                                  "DO $$ BEGIN END $$", "CREATE INDEX i ON a (b)"}) {
      CAPTURE(sql);
      CHECK(runnable_complaint(sql).empty());
    }
  }

  TEST_CASE("a comment before the statement is not the place") {
    const Revision revision = revision_of(3, "-- migrate:up\n-- why\nCOMMIT;\n");
    try {
      check_runnable(revision, revision.up);
      FAIL("not refused");
    } catch (const UsageError& error) {
      CHECK(error.place()->line == 3);
    }
  }

  TEST_CASE("a section leaves traces if one of its statements does") {
    const auto traces = [](const std::string& sql) {
      return leaves_traces(revision_of(1, file_with(sql)).up);
    };
    CHECK(traces("SET work_mem = '1MB'"));
    CHECK(traces("CREATE TEMP TABLE a ()"));
    CHECK_FALSE(traces("CREATE TABLE a ()"));
    CHECK_FALSE(leaves_traces(revision_of(1, "-- migrate:up\n").up));
  }
}
