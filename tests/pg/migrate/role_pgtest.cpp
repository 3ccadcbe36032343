#include <doctest/doctest.h>

#include <string>

#include "migrate/migrator.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

// A role to own things, and one that logs in and may become it.
struct Owned {
  TestDatabase database;
  std::string login = database.second_role();
  std::string owner = database.name() + "_owner";

  Owned() {
    database.execute("CREATE ROLE " + owner + "; ALTER ROLE " + login + " NOINHERIT; GRANT " +
                     owner + " TO " + login + "; GRANT CREATE ON DATABASE " + database.name() +
                     " TO " + owner);
  }
  ~Owned() { database.execute("DROP OWNED BY " + owner + " CASCADE; DROP ROLE " + owner); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  std::string owners() {
    return database.value(
        "SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ',') FROM "
        "pg_class WHERE relnamespace = 'one'::regnamespace");
  }
};

std::string role_of(Session& session) {
  std::string role;
  std::vector<pq::Message> flight;
  flight.push_back({.sql = "SELECT pg_catalog.current_setting('role')",
                    .on_row = [&role](const pq::Row& row) { role = row.text(0); }});
  session.send(std::move(flight));
  return role;
}

}  // namespace

TEST_SUITE("pg/migrate/role") {
  TEST_CASE("what a transaction takes of a pooler's session it gives back, whatever was set") {
    for (const std::string text :
         {"SET LOCAL ROLE NONE;", "SET ROLE NONE;", "RESET ROLE;", "SELECT 1;",
          "SET SESSION AUTHORIZATION DEFAULT;", "SELECT set_config('role', 'none', false);"}) {
      CAPTURE(text);
      Owned owned;
      Session session(owned.database, owned.login);
      const RevisionFolder folder(Scope::tenant, {revision(1, "CREATE TABLE a (id int);" + text),
                                                  revision(2, "CREATE TABLE b (id int);")});
      MigrateOptions options;
      options.server_version = session.connection().server_version();
      options.role = owned.owner;
      options.direct = false;
      const Steps steps{session, folder, "one", options};
      CHECK(steps.fresh().verdict == Verdict::done);
      CHECK(owned.owners() == owned.owner);
      CHECK(role_of(session) == "none");
    }
  }

  TEST_CASE("a session of our own goes on as the role after each revision") {
    for (const std::string text : {"SET ROLE NONE;", "SET SESSION AUTHORIZATION DEFAULT;"}) {
      CAPTURE(text);
      Owned owned;
      Session session(owned.database, owned.login);
      const RevisionFolder folder(Scope::tenant, {revision(1, "CREATE TABLE a (id int);" + text),
                                                  revision(2, "CREATE TABLE b (id int);")});
      MigrateOptions options;
      options.server_version = session.connection().server_version();
      options.role = owned.owner;
      options.table.readers = {owned.login, "nobody_of_that_name"};
      const Steps steps{session, folder, "one", options};
      CHECK(steps.fresh().verdict == Verdict::done);
      CHECK(owned.owners() == owned.owner);
      CHECK(owned.database.value("SELECT has_schema_privilege('" + owned.login +
                                 "', 'one', 'USAGE') AND has_table_privilege('" + owned.login +
                                 "', 'one.tenantctl_version', 'SELECT') AND NOT "
                                 "has_table_privilege('" +
                                 owned.login + "', 'one.a', 'SELECT')") == "t");
    }
  }
}
