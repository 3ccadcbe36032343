#include "migrate/schema_drop.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <string>

#include "base/text.h"
#include "migrate/migrator.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

// One of everything that stands in the way of dropping, and many tables.
void fill(TestDatabase& database, Session& session, const std::string& schema = "one") {
  const RevisionFolder folder(
      Scope::tenant,
      {revision(1,
                "CREATE TABLE parent (i int GENERATED ALWAYS AS IDENTITY PRIMARY KEY);"
                "CREATE TABLE child (i serial PRIMARY KEY, p int REFERENCES parent);"
                "CREATE VIEW v AS SELECT * FROM child; CREATE VIEW w AS SELECT * FROM v;"
                "CREATE MATERIALIZED VIEW m AS SELECT * FROM w;"
                "CREATE SEQUENCE s; CREATE TABLE d (i int DEFAULT nextval('s'));"
                "CREATE TYPE e AS ENUM ('a'); CREATE TYPE c AS (i int);"
                "CREATE TABLE uses (x e, y c); CREATE DOMAIN dom AS int;"
                "CREATE TABLE part (i int) PARTITION BY RANGE (i);"
                "CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (1) TO (2);"
                "CREATE TABLE base_t (i int); CREATE TABLE derived () INHERITS (base_t);"
                "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
                "CREATE TRIGGER t BEFORE INSERT ON child EXECUTE FUNCTION f();"
                "CREATE TABLE \"it's \"\"odd\"\"\" (i int)")});
  Steps{session, folder, schema}.fresh();
  database.execute(fmt::format(
      "DO $$BEGIN FOR i IN 1..40 LOOP EXECUTE format('CREATE TABLE {}.%I (i int PRIMARY KEY)', "
      "'many ' || i); END LOOP; END$$",
      quote_identifier(schema)));
}

bool schema_exists(TestDatabase& database, const std::string& schema) {
  return database.value(fmt::format("SELECT count(*) FROM pg_namespace WHERE nspname = {}",
                                    quote_literal(schema))) == "1";
}

struct Drop {
  Session& session;
  VersionTable table{SchemaName::existing("one"), {}};

  void run(std::size_t most, pq::Deadline deadline = soon()) const {
    SchemaDrop(session.pipeline(), table, "tenantctl_version").run(most, deadline);
  }
};

}  // namespace

TEST_SUITE("pg/migrate/schema_drop") {
  TEST_CASE("a schema goes in one transaction with everything in it, its neighbour stays") {
    TestDatabase database;
    Session session(database);
    fill(database, session);
    fill(database, session, "two");
    Drop{session}.run(0);
    CHECK_FALSE(schema_exists(database, "one"));
    CHECK(schema_exists(database, "two"));
    CHECK(database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0");
  }

  TEST_CASE("a schema too large for one transaction goes relation by relation") {
    for (const std::size_t most : {1U, 5U, 30U}) {
      CAPTURE(most);
      TestDatabase database;
      Session session(database);
      fill(database, session);
      Drop{session}.run(most);
      CHECK_FALSE(schema_exists(database, "one"));
    }
  }

  TEST_CASE("what stopped half-way says so in its mark and is finished by the same again") {
    TestDatabase database;
    Session session(database);
    fill(database, session);
    Session other(database);
    other.send_sql({"BEGIN", "LOCK TABLE one.\"many 20\""});
    {
      Session first(database);
      CHECK_THROWS_AS((Drop{first}.run(10, pq::Clock::now() + 3s)), pq::ConnectionLost);
    }
    const auto mark =
        Mark::parse(database.value("SELECT obj_description('one.tenantctl_version'::regclass)"));
    REQUIRE(mark);
    CHECK(mark->dropping);
    CHECK(database.value("SELECT to_regclass('one.parent') IS NULL") == "t");
    other.execute("COMMIT");
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE "
        "'DROP TABLE%' AND pid <> pg_backend_pid() AND datname = current_database()");
    // It is told to end, not waited for.
    database.execute(
        "DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory') LOOP "
        "PERFORM pg_sleep(0.02); END LOOP; END $$");
    Drop{session}.run(10);
    CHECK_FALSE(schema_exists(database, "one"));
  }

  TEST_CASE("a schema that another session migrates is not dropped") {
    TestDatabase database;
    Session session(database);
    fill(database, session);
    database.execute(fmt::format("SELECT pg_advisory_lock({}, 'one'::regnamespace::int)",
                                 VersionTable::lock_class));
    CHECK_THROWS_AS(Drop{session}.run(0), UnavailableError);
    CHECK_THROWS_AS(Drop{session}.run(5), UnavailableError);
    CHECK(database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'one' AND tablename "
                         "LIKE 'many %'") == "40");
  }

  TEST_CASE("a schema that is not there is an error") {
    TestDatabase database;
    Session session(database);
    CHECK_THROWS_AS(Drop{session}.run(0), Error);
  }

  TEST_CASE("the room for locks is that of the server") {
    TestDatabase database;
    Session session(database);
    const VersionTable table(SchemaName::existing("one"), {});
    SchemaDrop drop(session.pipeline(), table, "tenantctl_version");
    CHECK(std::to_string(drop.capacity(soon())) ==
          database.value("SELECT current_setting('max_locks_per_transaction')::int * "
                         "(current_setting('max_connections')::int + "
                         "current_setting('max_prepared_transactions')::int) / 4"));
    CHECK(drop.relation_count(soon()) == 0);
  }
}
