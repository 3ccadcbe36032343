#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "support/database.h"
#include "support/rollout_bench.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

// Tenants whose revisions all reach for the same objects outside of their schemas.
struct SharedObjects {
  SharedObjects() {
    database.execute(
        "CREATE SCHEMA common; CREATE TABLE common.a (i int PRIMARY KEY);"
        "CREATE TABLE common.b (i int PRIMARY KEY)");
    create_journal(database);
  }

  Report run(const std::vector<Revision>& revisions, std::size_t schemas) {
    RolloutBench bench(database, {Scope::tenant, revisions});
    bench.options.jobs = 4;
    bench.options.worker.depth = 4;
    bench.options.patience.tries = 20;
    return bench.run(schema_names(schemas));
  }

  TestDatabase database;
};

void check_applied(const Report& report, std::size_t schemas) {
  for (const SchemaReport& one : report.schemas) {
    CHECK_MESSAGE(one.result == Result::applied, one.schema,
                  (one.failure ? one.failure->sqlstate + " " + one.failure->message : ""));
  }
  CHECK(report.schemas.size() == schemas);
}

std::size_t tries(const Report& report) {
  std::size_t sum = 0;
  for (const SchemaReport& one : report.schemas)
    sum += one.tries;
  return sum;
}

}  // namespace

TEST_SUITE("pg/rollout/shared_objects") {
  TEST_CASE("foreign keys from many tenants to one shared table all come to be") {
    SharedObjects shared;
    const Revision table = revision(1, "CREATE TABLE c (a int, b int)");
    shared.run({table}, 24);
    const std::string key = "ALTER TABLE c ADD FOREIGN KEY (a) REFERENCES common.a;\n";
    const std::string slow = "SELECT pg_sleep(0.02);\n" + journal(2);
    check_applied(shared.run({table, revision(2, key + slow)}, 24), 24);
    // In one schema at a time nobody waits for anybody.
    const Report serial =
        shared.run({table, revision(2, key + slow),
                    revision(3, "-- tenantctl: serial\n" + key + "SELECT pg_sleep(0.02);\n")},
                   24);
    check_applied(serial, 24);
    CHECK(tries(serial) == 0);
    CHECK(shared.database.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND "
                                "confrelid = 'common.a'::regclass") == "48");
    CHECK(journal_counts(shared.database) == "24 rows, 0 doubled");
  }

  TEST_CASE("tenants that take two shared tables in opposite orders all get through") {
    SharedObjects shared;
    shared.database.execute("ALTER DATABASE " + shared.database.name() +
                            " SET deadlock_timeout = '20ms'");
    const Revision table = revision(1, "CREATE TABLE c (a int, b int)");
    shared.run({table}, 16);
    // Odd schemas begin with the one, even ones with the other.
    const std::string keys =
        "DO $$DECLARE n int := right(current_schema, 1)::int; x text := "
        "CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END; y text := CASE n % 2 WHEN 0 THEN 'b' ELSE 'a' "
        "END; BEGIN EXECUTE format('ALTER TABLE c ADD FOREIGN KEY (%1$s) REFERENCES common.%1$s', "
        "x); PERFORM pg_sleep(0.05); EXECUTE format('ALTER TABLE c ADD FOREIGN KEY (%1$s) "
        "REFERENCES common.%1$s', y); END$$;\n";
    const ServerLog log;
    check_applied(shared.run({table, revision(2, keys + journal(2))}, 16), 16);
    CHECK_FALSE(log.lines("deadlock detected").empty());
    CHECK(journal_counts(shared.database) == "16 rows, 0 doubled");
    CHECK(shared.database.value("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND "
                                "confrelid IN ('common.a'::regclass, 'common.b'::regclass)") ==
          "32");
  }

  TEST_CASE("grants, functions and roles that all tenants change at once fail none of them") {
    SharedObjects shared;
    const std::string role = shared.database.second_role();
    const ServerLog log;
    const Report report = shared.run(
        {revision(1, "GRANT USAGE ON SCHEMA common TO " + role +
                         ";\n"
                         "CREATE OR REPLACE FUNCTION common.f() RETURNS int LANGUAGE sql AS "
                         "'SELECT 1';\n"
                         "ALTER ROLE " +
                         role + " SET work_mem = '5MB';\nSELECT pg_sleep(0.01);\n" + journal(1))},
        40);
    check_applied(report, 40);
    // They did meet: PostgreSQL calls it an internal error, XX000.
    CHECK_FALSE(log.lines("tuple concurrently updated").empty());
    CHECK(tries(report) > 0);
    CHECK(journal_counts(shared.database) == "40 rows, 0 doubled");
  }

  TEST_CASE("what IF NOT EXISTS makes outside of the tenants is made once, and fails none") {
    SharedObjects shared;
    const ServerLog log;
    check_applied(shared.run({revision(1,
                                       "CREATE SCHEMA IF NOT EXISTS extra;\nSELECT pg_sleep(0.3);\n"
                                       "CREATE TABLE IF NOT EXISTS extra.t (i int);\n" +
                                           journal(1))},
                             12),
                  12);
    CHECK_FALSE(log.lines("pg_namespace_nspname_index").empty());
    CHECK(journal_counts(shared.database) == "12 rows, 0 doubled");
  }
}
