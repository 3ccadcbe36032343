#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "migrate/migrator.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

Failure failure_of(const std::string& text, const std::string& schema = "one",
                   const std::string& options = {}) {
  TestDatabase database;
  Session session(database);
  const RevisionFolder folder(Scope::tenant, {revision(1, text, "", options)});
  const Outcome outcome = Steps{session, folder, schema}.fresh();
  REQUIRE(outcome.failure);
  return *outcome.failure;
}

std::string place(const Failure& failure) {
  REQUIRE(failure.place);
  return fmt::format("{}:{}:{} {}", failure.place->file, failure.place->line, failure.place->column,
                     failure.place->text);
}

}  // namespace

TEST_SUITE("pg/migrate/failure") {
  TEST_CASE("a fault is shown at file, line and column") {
    const Failure failure = failure_of("CREATE TABLE a ();\n\nSELECT 1,\n  nonsense\nFROM a;");
    CHECK(place(failure) == "versions/0001_r1.sql:5:3   nonsense");
    CHECK(failure.sqlstate == "42703");
    CHECK(failure.revision == "0001_r1");
    CHECK(failure.message ==
          "upgrade of revision 0001_r1 failed: column \"nonsense\" does not exist");
  }

  TEST_CASE("characters, not bytes, are counted before the fault") {
    CHECK(place(failure_of("SELECT 'äöü客户𝄞'; SELECT 'äöü客户𝄞', nonsense;")) ==
          "versions/0001_r1.sql:2:35 SELECT 'äöü客户𝄞'; SELECT 'äöü客户𝄞', nonsense;");
  }

  TEST_CASE("comments before a statement belong to it and move no place") {
    CHECK(place(failure_of("/* Größe */ -- é\n-- ü\n/* ß */ SELECT nonsense")) ==
          "versions/0001_r1.sql:4:16 /* ß */ SELECT nonsense");
  }

  TEST_CASE("a placeholder before the fault moves no place") {
    const std::string line = "SELECT :'schema', 1 AS :\"tenant\", nonsense, :'tenant'";
    CHECK(place(failure_of(line, "a \"quoted\" schema, it's é")) ==
          fmt::format("versions/0001_r1.sql:2:{} {}", line.find("nonsense") + 1, line));
  }

  TEST_CASE("a fault in a placeholder is shown where the placeholder stands") {
    CHECK(place(failure_of("SELECT 'é', 1; SELECT * FROM :\"schema\"", "no such table")) ==
          "versions/0001_r1.sql:2:30 SELECT 'é', 1; SELECT * FROM :\"schema\"");
  }

  TEST_CASE("an error without a position is shown at its statement") {
    const std::string text = "SELECT 1;\n  DO $$BEGIN\n  RAISE 'no luck';\nEND$$;";
    const Failure failure = failure_of(text);
    CHECK(place(failure) == "versions/0001_r1.sql:3:3   DO $$BEGIN");
    CHECK(failure.sqlstate == "P0001");
  }

  TEST_CASE("a syntax error that only the server finds has its place") {
    CHECK(place(failure_of("SELECT 1;\nCREATE TABEL é ();")) ==
          "versions/0001_r1.sql:3:8 CREATE TABEL é ();");
  }

  TEST_CASE("a fault outside a transaction has its place too") {
    CHECK(
        place(failure_of("CREATE TABLE a ();\nSELECT 'é', nonsense", "one", "transaction:false")) ==
        "versions/0001_r1.sql:3:13 SELECT 'é', nonsense");
  }

  TEST_CASE("lines are counted as in a file with CRLF and a BOM") {
    std::vector<Finding> findings;
    std::vector<Finding> warnings;
    const Revision revision = read_revision(
        "v/0001_r1.sql", Scope::tenant,
        "\xEF\xBB\xBF-- migrate:up\r\nSELECT 1;\r\nSELECT 'é', nonsense;\r\n", findings, warnings);
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant, {revision});
    const Outcome outcome = Steps{session, folder}.fresh();
    REQUIRE(outcome.failure);
    CHECK(place(*outcome.failure) == "v/0001_r1.sql:3:13 SELECT 'é', nonsense;");
  }

  TEST_CASE("detail and hint of the server are kept") {
    const Failure failure = failure_of(
        "CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)");
    CHECK(failure.message.find("Key (i)=(1) already exists") != std::string::npos);
    CHECK(failure_of("DO $$BEGIN RAISE 'x' USING HINT = 'do that'; END$$").hint == "do that");
  }

  TEST_CASE("known mistakes get a hint that says what to do") {
    const auto hint = [](const std::string& text) { return failure_of(text).hint; };
    CHECK(hint("SELECT citext_nonsense(1)").find("search-path-extra") != std::string::npos);
    CHECK(hint("CREATE TABLE a (c nosuchtype)").find("search-path-extra") != std::string::npos);
    CHECK(hint("SET LOCAL statement_timeout = 50; SELECT pg_sleep(5)").find("cancelled") !=
          std::string::npos);
  }

  TEST_CASE("a new enum value used in the transaction that adds it gets a hint") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant,
                                {revision(1, "CREATE TYPE e AS ENUM ('a')"),
                                 revision(2, "ALTER TYPE e ADD VALUE 'b'; SELECT 'b'::e")});
    const Outcome outcome = Steps{session, folder}.fresh();
    REQUIRE(outcome.failure);
    CHECK(outcome.failure->sqlstate == "55P04");
    CHECK(outcome.failure->hint.find("split the revision") != std::string::npos);
  }

  TEST_CASE("a lock that is not given in time is contention, a full disk ends the run") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE TABLE public.t (i int)");
    Session other(database);
    other.send_sql({"BEGIN", "LOCK TABLE public.t"});
    const RevisionFolder locked(Scope::tenant, {revision(1, "SELECT * FROM public.t")});
    Steps one{session, locked};
    one.options.lock_timeout = std::chrono::milliseconds(50);
    const Outcome outcome = one.fresh();
    CHECK(outcome.verdict == Verdict::contention);
    CHECK(outcome.failure->sqlstate == "55P03");
    const RevisionFolder full(Scope::tenant,
                              {revision(1, "DO $$BEGIN RAISE USING ERRCODE = '53100'; END$$")});
    CHECK(Steps{session, full}.fresh().verdict == Verdict::exhausted);
  }
}
