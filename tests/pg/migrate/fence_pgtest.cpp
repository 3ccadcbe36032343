#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "migrate/migrator.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

RevisionFolder transactional() {
  return {
      Scope::tenant,
      {revision(1, "CREATE TABLE a (i int)", "DROP TABLE a"), revision(2, "CREATE TABLE b ()")}};
}

RevisionFolder autocommit() {
  return {Scope::tenant,
          {revision(1, "CREATE TABLE a (i int)", "DROP TABLE a"),
           autocommit_revision(2, "CREATE INDEX CONCURRENTLY b ON a (i)")}};
}

/// Plans for a schema at revision 1, lets something happen, and migrates by the old plan.
struct Late {
  TestDatabase& database;
  Session& session;

  Outcome after(const std::string& event, const RevisionFolder& folder,
                const std::string& schema) const {
    Steps{session, folder, schema}.fresh("1");
    const Plan plan = plan_upgrade(folder, session.history(schema), Target::head());
    database.execute(event);
    return session.migrate(schema, plan);
  }
};

std::string lock(const std::string& schema) {
  return fmt::format("SELECT pg_advisory_lock({}, oid::int) FROM pg_namespace WHERE nspname = '{}'",
                     VersionTable::lock_class, schema);
}

}  // namespace

TEST_SUITE("pg/migrate/fence") {
  TEST_CASE("a schema whose lock another session holds is busy") {
    TestDatabase database;
    Session session(database);
    const Late late{database, session};
    const RevisionFolder folders[] = {transactional(), autocommit()};
    for (const RevisionFolder& folder : folders) {
      const std::string schema = &folder == folders ? "one" : "two";
      const Outcome outcome = late.after(lock(schema), folder, schema);
      CHECK(outcome.verdict == Verdict::busy);
      CHECK(outcome.failure->sqlstate == refusal::busy);
      CHECK(session.history(schema).size() == 1);
      database.execute("SELECT pg_advisory_unlock_all()");
      CHECK(Steps{session, folder, schema}.upgrade().verdict == Verdict::done);
    }
  }

  TEST_CASE("the lock goes with the schema's oid, so another schema's lock is no matter") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE SCHEMA other");
    database.execute(lock("other"));
    const RevisionFolder folder = transactional();
    CHECK(Steps{session, folder}.fresh().verdict == Verdict::done);
  }

  TEST_CASE("no lock is left behind, whatever the end") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder good = autocommit();
    const RevisionFolder bad(
        Scope::tenant, {revision(1, "CREATE TABLE a (i int)"),
                        autocommit_revision(2, "CREATE INDEX CONCURRENTLY b ON nonsense (i)")});
    CHECK(Steps{session, good, "one"}.fresh().verdict == Verdict::done);
    // In a schema of the same plan the index would be built plainly, within its transaction.
    CHECK(Steps{session, bad, "two"}.fresh("1").verdict == Verdict::done);
    CHECK(Steps{session, bad, "two"}.upgrade().verdict == Verdict::failed);
    CHECK(database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0");
  }

  TEST_CASE("a schema that was dropped or renamed is gone") {
    TestDatabase database;
    Session session(database);
    const Late late{database, session};
    CHECK(late.after("DROP SCHEMA a CASCADE", transactional(), "a").verdict == Verdict::gone);
    CHECK(late.after("DROP SCHEMA b CASCADE", autocommit(), "b").verdict == Verdict::gone);
    CHECK(late.after("ALTER SCHEMA c RENAME TO d", transactional(), "c").verdict == Verdict::gone);
    CHECK(session.history("d").size() == 1);
  }

  TEST_CASE("rows that changed since the plan was made are moved") {
    TestDatabase database;
    Session session(database);
    const Late late{database, session};
    int number = 0;
    for (const char* event :
         {"DELETE FROM s{}.tenantctl_version", "UPDATE s{}.tenantctl_version SET digest = 'x'",
          "UPDATE s{}.tenantctl_version SET state = 'running', statement = 'up:0'",
          "INSERT INTO s{}.tenantctl_version (position, revision, name, checksum, digest, state, "
          "origin, tool_version) VALUES (2, 2, 'n', 'c', 'd', 'applied', 'run', 'v')",
          "DROP TABLE s{}.tenantctl_version"}) {
      const std::string schema = fmt::format("s{}", ++number);
      CAPTURE(event);
      CHECK(late.after(fmt::format(fmt::runtime(event), number),
                       number % 2 == 0 ? transactional() : autocommit(), schema)
                .verdict == Verdict::moved);
      CHECK(database.value(fmt::format("SELECT to_regclass('{}.b') IS NULL", schema)) == "t");
    }
  }

  TEST_CASE("a schema that somebody else made first is moved") {
    TestDatabase database;
    Session session(database);
    const RevisionFolder folder = transactional();
    const Plan with_schema = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::schema});
    const Plan with_table = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::table});
    database.execute("CREATE SCHEMA one");
    CHECK(session.migrate("one", with_schema).verdict == Verdict::moved);
    CHECK(session.migrate("one", with_table).verdict == Verdict::done);
    CHECK(session.migrate("one", with_table).verdict == Verdict::moved);
    CHECK(session.migrate("two", with_table).verdict == Verdict::gone);
  }

  TEST_CASE("a hand in the version table after the plan was made is foreign and nothing fires") {
    TestDatabase database;
    const std::string role = database.second_role();
    Session session(database);
    const Late late{database, session};
    database.execute(
        "CREATE SEQUENCE public.fired;"
        "CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS "
        "$$BEGIN PERFORM nextval('public.fired'); RETURN NEW; END$$");
    int number = 0;
    for (const char* event :
         {"CREATE TRIGGER t BEFORE INSERT OR UPDATE ON {}.tenantctl_version FOR EACH ROW EXECUTE "
          "FUNCTION public.fire()",
          "CREATE RULE r AS ON INSERT TO {}.tenantctl_version DO ALSO SELECT nextval("
          "'public.fired')",
          "ALTER TABLE {}.tenantctl_version ENABLE ROW LEVEL SECURITY",
          "CREATE TABLE {0}.child () INHERITS ({0}.tenantctl_version)",
          "ALTER TABLE {}.tenantctl_version OWNER TO {}", "ALTER SCHEMA {} OWNER TO {}",
          "ALTER TABLE {0}.tenantctl_version RENAME TO x; CREATE VIEW {0}.tenantctl_version AS "
          "SELECT *, nextval('public.fired') FROM {0}.x"}) {
      const std::string schema = fmt::format("s{}", ++number);
      CAPTURE(event);
      const Outcome outcome = late.after(fmt::format(fmt::runtime(event), schema, role),
                                         number % 2 == 0 ? transactional() : autocommit(), schema);
      CHECK(outcome.verdict == Verdict::foreign);
      CHECK(database.value(fmt::format("SELECT to_regclass('{}.b') IS NULL", schema)) == "t");
    }
    CHECK(database.value("SELECT is_called FROM public.fired") == "f");
  }

  TEST_CASE("a trusted owner's version table is written") {
    TestDatabase database;
    const std::string role = database.second_role();
    Session session(database);
    const RevisionFolder folder = transactional();
    Steps one{session, folder};
    one.fresh("1");
    database.execute("ALTER SCHEMA one OWNER TO " + role +
                     "; ALTER TABLE one.tenantctl_version OWNER TO " + role);
    CHECK(one.upgrade().verdict == Verdict::foreign);
    one.options.table.owners = {role};
    CHECK(one.upgrade().verdict == Verdict::done);
  }

  TEST_CASE("a role that owns its schema needs no superuser") {
    TestDatabase database;
    const std::string role = database.second_role();
    database.execute(fmt::format("GRANT CREATE ON DATABASE {} TO {}", database.name(), role));
    Session session(database, role);
    const RevisionFolder folder = autocommit();
    const Steps one{session, folder};
    CHECK(one.fresh().verdict == Verdict::done);
    CHECK(database.value("SELECT DISTINCT applied_by FROM one.tenantctl_version") == role);
  }
}
