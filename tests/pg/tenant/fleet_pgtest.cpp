#include "tenant/fleet.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/text.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using State = FoundSchema::State;

namespace {

FleetQuery table_named(const std::string& name) {
  FleetQuery query;
  query.version_table = name;
  return query;
}

FleetQuery trusting(const std::vector<std::string>& owners) {
  FleetQuery query;
  query.owners = owners;
  return query;
}

FleetQuery asking(const std::string& tenants_query) {
  FleetQuery query;
  query.tenants_query = tenants_query;
  return query;
}

void create(TestDatabase& database, const std::string& schema) {
  database.execute("CREATE SCHEMA " + quote_identifier(schema));
  database.execute(VersionTable(SchemaName::existing(schema), {}).create_table().sql);
}

Fleet fleet_of(Session& session, const FleetQuery& query = {}) {
  return read_fleet(session.pipeline(), query, "shared", soon());
}

State state_in(const Fleet& fleet, const std::string& schema) {
  const FoundSchema* found = fleet.find(schema);
  REQUIRE_MESSAGE(found != nullptr, schema);
  return found->state;
}

std::vector<std::string> names_in(const Fleet& fleet) {
  std::vector<std::string> names;
  for (const FoundSchema& found : fleet.schemas)
    names.push_back(found.schema);
  return names;
}

const std::vector<std::string> odd_names{"it's",
                                         "a \"quoted\" one",
                                         "with space",
                                         "Großkunde",
                                         "客户",
                                         "50%",
                                         "back\\slash",
                                         "dollar$tenantctl$",
                                         "semi;colon",
                                         "--comment",
                                         "new\nline",
                                         "MiXed",
                                         std::string(63, 'x'),
                                         "e\u0301",
                                         " ",
                                         "a.b"};

}  // namespace

TEST_SUITE("pg/tenant/fleet") {
  TEST_CASE("an empty database has an empty fleet") {
    TestDatabase database;
    Session session(database);
    CHECK(fleet_of(session).schemas.empty());
  }

  TEST_CASE("version tables are found by name, marked or not, and sorted by bytes") {
    TestDatabase database;
    Session session(database);
    for (const char* schema : {"b", "a", "Z", "c"})
      create(database, schema);
    database.execute(
        "COMMENT ON TABLE a.tenantctl_version IS 'same';"
        "COMMENT ON TABLE b.tenantctl_version IS 'same';"
        "COMMENT ON COLUMN c.tenantctl_version.name IS 'not the mark';"
        "CREATE SCHEMA other; CREATE TABLE other.t ()");
    const Fleet fleet = fleet_of(session);
    CHECK(names_in(fleet) == std::vector<std::string>{"Z", "a", "b", "c"});
    CHECK(fleet.comment_of(*fleet.find("a")) == "same");
    CHECK(fleet.find("a")->comment == fleet.find("b")->comment);
    CHECK(fleet.comment_of(*fleet.find("c")).empty());
    CHECK(fleet.comments.size() == 2);
    CHECK(fleet.find("other") == nullptr);
    for (const FoundSchema& found : fleet.schemas)
      CHECK(found.state == State::ours);
  }

  TEST_CASE("the version table's name is the caller's") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE SCHEMA s; CREATE TABLE s.\"it's \"\"mine\"\"\" ()");
    const Fleet fleet = fleet_of(session, table_named("it's \"mine\""));
    CHECK(state_in(fleet, "s") == State::ours);
  }

  TEST_CASE("a table with somebody else's hand in it is foreign") {
    TestDatabase database;
    Session session(database);
    for (const char* schema :
         {"trigger", "constraint", "rule", "security", "child", "parent", "partition"})
      database.execute(fmt::format("CREATE SCHEMA {}", quote_identifier(schema)));
    create(database, "good");
    database.execute(
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE TABLE \"trigger\".tenantctl_version (i int);"
        "CREATE TRIGGER t BEFORE INSERT ON \"trigger\".tenantctl_version EXECUTE FUNCTION f();"
        "CREATE TABLE \"constraint\".tenantctl_version (i int);"
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON \"constraint\".tenantctl_version "
        "FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE TABLE rule.tenantctl_version (i int);"
        "CREATE RULE r AS ON INSERT TO rule.tenantctl_version DO ALSO NOTHING;"
        "CREATE TABLE security.tenantctl_version (i int);"
        "ALTER TABLE security.tenantctl_version ENABLE ROW LEVEL SECURITY;"
        "CREATE TABLE parent.tenantctl_version (i int);"
        "CREATE TABLE child.tenantctl_version () INHERITS (parent.tenantctl_version);"
        "CREATE TABLE public.p (i int) PARTITION BY LIST (i);"
        "CREATE TABLE partition.tenantctl_version PARTITION OF p DEFAULT");
    const Fleet fleet = fleet_of(session);
    CHECK(state_in(fleet, "good") == State::ours);
    for (const char* schema :
         {"trigger", "constraint", "rule", "security", "child", "parent", "partition"}) {
      CAPTURE(schema);
      CHECK(state_in(fleet, schema) == State::foreign);
    }
  }

  TEST_CASE("what is no ordinary table but has the name is foreign, not overlooked") {
    TestDatabase database;
    Session session(database);
    database.execute(
        "CREATE SCHEMA a; CREATE VIEW a.tenantctl_version AS SELECT 1;"
        "CREATE SCHEMA b; CREATE MATERIALIZED VIEW b.tenantctl_version AS SELECT 1;"
        "CREATE SCHEMA c; CREATE SEQUENCE c.tenantctl_version;"
        "CREATE SCHEMA d; CREATE TABLE d.tenantctl_version (i int) "
        "PARTITION BY LIST (i);"
        "CREATE SCHEMA e; CREATE TYPE e.tenantctl_version AS (i int);"
        "CREATE SCHEMA i; CREATE TABLE i.t (i int);"
        "CREATE INDEX tenantctl_version ON i.t (i)");
    const Fleet fleet = fleet_of(session);
    for (const char* schema : {"a", "b", "c", "d", "e"}) {
      CAPTURE(schema);
      CHECK(state_in(fleet, schema) == State::foreign);
    }
  }

  TEST_CASE("another role's table or schema is foreign unless the role is trusted") {
    TestDatabase database;
    const std::string role = database.second_role();
    Session session(database);
    create(database, "table_of_other");
    database.execute("ALTER TABLE table_of_other.tenantctl_version OWNER TO " + role);
    create(database, "schema_of_other");
    database.execute("ALTER SCHEMA schema_of_other OWNER TO " + role);
    create(database, "all_of_other");
    database.execute("ALTER SCHEMA all_of_other OWNER TO " + role);
    database.execute("ALTER TABLE all_of_other.tenantctl_version OWNER TO " + role);
    const Fleet strict = fleet_of(session);
    const Fleet with_owners = fleet_of(session, trusting({"nobody's", role}));
    for (const char* schema : {"table_of_other", "schema_of_other", "all_of_other"}) {
      CAPTURE(schema);
      CHECK(state_in(strict, schema) == State::foreign);
      CHECK(state_in(with_owners, schema) == State::ours);
    }
  }

  TEST_CASE("what a superuser made is foreign to an ordinary role, its own is not") {
    TestDatabase database;
    const std::string role = database.second_role();
    create(database, "one");
    create(database, "two");
    database.execute("ALTER SCHEMA two OWNER TO " + role);
    database.execute("ALTER TABLE two.tenantctl_version OWNER TO " + role);
    Session session(database, role);
    const Fleet fleet = fleet_of(session);
    CHECK(state_in(fleet, "one") == State::foreign);
    CHECK(state_in(fleet, "two") == State::ours);
  }

  TEST_CASE("public belongs to whoever owns the database") {
    TestDatabase database;
    Session session(database);
    create(database, "x");
    database.execute(VersionTable(SchemaName::existing("public"), {}).create_table().sql);
    CHECK(state_in(fleet_of(session), "public") == State::ours);
    database.execute("ALTER SCHEMA public OWNER TO " + database.second_role());
    CHECK(state_in(fleet_of(session), "public") == State::foreign);
  }

  TEST_CASE("odd names arrive byte by byte") {
    TestDatabase database;
    Session session(database);
    for (const std::string& name : odd_names)
      create(database, name);
    const Fleet fleet = fleet_of(session);
    CHECK(fleet.schemas.size() == odd_names.size());
    for (const std::string& name : odd_names) {
      CAPTURE(name);
      CHECK(state_in(fleet, name) == State::ours);
    }
    const Fleet named = read_schemas(session.pipeline(), {}, odd_names, soon());
    CHECK(names_in(named) == names_in(fleet));
  }

  TEST_CASE("temporary tables of that name are nobody's tenant") {
    TestDatabase database;
    Session session(database);
    session.execute("CREATE TEMP TABLE tenantctl_version ()");
    CHECK(fleet_of(session).schemas.empty());
  }

  TEST_CASE("the application's own query says who the tenants are") {
    TestDatabase database;
    Session session(database);
    create(database, "one");
    create(database, "not_named");
    create(database, "shared");
    database.execute(
        "CREATE SCHEMA bare; CREATE TABLE public.customer (name text);"
        "INSERT INTO customer VALUES ('one'), ('one'), ('bare'), ('lost'), (NULL)");
    const Fleet fleet = fleet_of(session, asking("SELECT name FROM public.customer; \n"));
    CHECK(names_in(fleet) == std::vector<std::string>{"bare", "lost", "one", "shared"});
    CHECK(state_in(fleet, "one") == State::ours);
    CHECK(state_in(fleet, "shared") == State::ours);
    CHECK(state_in(fleet, "bare") == State::bare);
    CHECK(state_in(fleet, "lost") == State::missing);
  }

  TEST_CASE("a tenants query may end in a comment and name its schema in any text type") {
    TestDatabase database;
    Session session(database);
    create(database, "one");
    for (const char* query :
         {"SELECT 'one' -- the only one", "SELECT 'one'::name", "SELECT 'one'::varchar(10)",
          "VALUES ('one')", "WITH w AS (SELECT 'one' AS n) SELECT n FROM w ORDER BY n LIMIT 1",
          "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = 'one' /* ; */ ;;"}) {
      CAPTURE(query);
      CHECK(state_in(fleet_of(session, asking(query)), "one") == State::ours);
    }
  }

  TEST_CASE("a tenants query that cannot be run is a usage error") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE TABLE public.t (i int)");
    for (const char* query : {"SELECT nonsense", "SELECT", "DELETE FROM public.t RETURNING i",
                              "SELECT 1; SELECT 2", "SELECT 'a') AS x; DROP TABLE public.t; --"}) {
      CAPTURE(query);
      CHECK_THROWS_AS(fleet_of(session, asking(query)), UsageError);
    }
    CHECK(database.value("SELECT count(*) FROM public.t") == "0");
    CHECK(fleet_of(session).schemas.empty());
  }

  TEST_CASE("only the named schemas are read, the missing ones said to be so") {
    TestDatabase database;
    Session session(database);
    create(database, "one");
    create(database, "two");
    database.execute("CREATE SCHEMA bare");
    const Fleet fleet =
        read_schemas(session.pipeline(), {}, {"two", "bare", "gone", "two"}, soon());
    CHECK(names_in(fleet) == std::vector<std::string>{"bare", "gone", "two"});
    CHECK(state_in(fleet, "bare") == State::bare);
    CHECK(state_in(fleet, "gone") == State::missing);
    CHECK(read_schemas(session.pipeline(), {}, {}, soon()).schemas.empty());
  }

  TEST_CASE("schema names are matched by LIKE, the server's own left out") {
    TestDatabase database;
    Session session(database);
    database.execute(
        "CREATE SCHEMA tenant_1; CREATE SCHEMA tenant_2; CREATE SCHEMA tenantx3;"
        "CREATE SCHEMA tenantctl; CREATE SCHEMA \"50%\"; CREATE SCHEMA other");
    const auto like = [&](const std::string& pattern) {
      return read_schema_names(session.pipeline(), pattern, soon());
    };
    CHECK(like("tenant\\_%") == std::vector<std::string>{"tenant_1", "tenant_2"});
    CHECK(like("tenant_%") == std::vector<std::string>{"tenant_1", "tenant_2", "tenantx3"});
    CHECK(like("50\\%") == std::vector<std::string>{"50%"});
    CHECK(like("%").size() == 5);
    CHECK(like("none").empty());
  }
}
