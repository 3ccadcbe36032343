#include "migrate/version_table.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "migrate/migrator.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

TEST_SUITE("pg/migrate/version_table") {
  TEST_CASE("every schema name that PostgreSQL allows goes up and down") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(
        Scope::tenant,
        {revision(1, "CREATE TABLE a (n text); INSERT INTO :\"schema\".a VALUES (:'tenant')",
                  "DROP TABLE :\"schema\".a"),
         revision(2, "SET CONSTRAINTS ALL IMMEDIATE; CREATE TABLE b ()", "DROP TABLE b"),
         autocommit_revision(3, "CREATE INDEX CONCURRENTLY ON a (n)", "VACUUM a")});
    for (const std::string& schema : std::vector<std::string>{"it's",        "a \"quoted\" one",
                                                              "with space",  "Großkunde",
                                                              "客户",        "50%s {} {0}",
                                                              "back\\slash", "a\\",
                                                              "$tenantctl$", "$tenantctl_$",
                                                              "semi;colon",  "--comment",
                                                              "/* c",        "new\nline\ttab",
                                                              "MiXed",       std::string(63, 'x'),
                                                              "e\u0301",     " ",
                                                              "a.b",         ":schema",
                                                              ":'tenant'",   "select",
                                                              "1st",         "public"}) {
      CAPTURE(schema);
      const Steps one{session, folder, schema};
      if (schema == "public") {
        const Plan plan = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::table});
        CHECK(session.migrate(schema, plan).verdict == Verdict::done);
      } else {
        const Outcome outcome = one.fresh();
        CHECK_MESSAGE(outcome.verdict == Verdict::done,
                      (outcome.failure ? outcome.failure->message : ""));
      }
      CHECK(is_same(session.history(schema), history_of(folder, 3)));
      CHECK(database.value(fmt::format("SELECT n FROM {}.a", quote_identifier(schema))) == schema);
      CHECK(one.downgrade("base").verdict == Verdict::done);
      CHECK(session.history(schema).empty());
    }
  }

  TEST_CASE("the version table may have an odd name as well") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant, {revision(1, "CREATE TABLE a ()", "DROP TABLE a")});
    for (const std::string& name : std::vector<std::string>{
             "it's \"mine\"", "Versions", std::string(63, 'v'), "a$tenantctl$", "back\\slash"}) {
      CAPTURE(name);
      MigrateOptions options;
      options.table.name = name;
      const std::string schema = "s " + name.substr(0, 40);
      const Plan plan = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::schema});
      CHECK(session.migrate(schema, plan, options).verdict == Verdict::done);
      CHECK(database.value(fmt::format("SELECT count(*) FROM {}.{}", quote_identifier(schema),
                                       quote_identifier(name))) == "1");
    }
  }

  TEST_CASE("a table that was made by hand in the same name refuses wrong rows") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder(Scope::tenant, {revision(1, "SELECT 1")});
    Steps{session, folder}.fresh();
    const std::string insert =
        "INSERT INTO one.tenantctl_version (position, revision, name, "
        "checksum, digest, state, origin, tool_version, guard) VALUES ";
    for (const char* row : {"(0, 2, 'n', 'c', 'd', 'applied', 'run', 'v', NULL)",
                            "(2, 1, 'n', 'c', 'd', 'applied', 'run', 'v', NULL)",
                            "(2, 2, 'n', 'c', 'd', 'odd', 'run', 'v', NULL)",
                            "(2, 2, 'n', 'c', 'd', 'applied', 'odd', 'v', NULL)",
                            "(2, 2, 'n', 'c', 'd', 'applied', 'run', 'v', 0)"}) {
      CAPTURE(row);
      CHECK_THROWS(database.execute(insert + row));
    }
  }

  TEST_CASE("the lock alone tells gone and busy apart") {
    TestDatabase database;
    Session session(database);
    const VersionTable table(SchemaName::existing("one"), {});
    const auto code = [&]() -> std::string {
      std::vector<pq::Message> flight;
      flight.push_back(table.lock());
      const auto answer = session.send(std::move(flight));
      if (answer.failure() == nullptr)
        return "";
      const auto refusal = own_refusal(*answer.failure()->error);
      return refusal ? std::string(refusal->code) : "another error";
    };
    CHECK(code() == refusal::gone);
    database.execute("CREATE SCHEMA one");
    CHECK(code().empty());
    database.execute(fmt::format("SELECT pg_advisory_lock({}, 'one'::regnamespace::int)",
                                 VersionTable::lock_class));
    CHECK(code() == refusal::busy);
  }
}
