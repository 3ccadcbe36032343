#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

// A product that keeps its tenants in shared tables: authors, their notes, what all have in common.
struct RowsProject : Project {
  RowsProject() {
    write("tenant/0001_notes.sql",
          "CREATE TABLE authors (id int PRIMARY KEY, name text UNIQUE);\n"
          "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
          "author int REFERENCES authors, parent bigint REFERENCES notes, body text);\n"
          "CREATE TABLE countries (code text PRIMARY KEY);\n"
          "CREATE VIEW titles AS SELECT body FROM notes;",
          "DROP VIEW titles; DROP TABLE notes, authors, countries;");
    must({"registry", "init"});
    must({"gate", "install"});
  }

  Finished create(std::vector<std::string> more) const {
    std::vector<std::string> words{"tenant", "create"};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(), {"--isolation", "rows"});
    return run(words);
  }

  std::string id_of(const std::string& slug) const {
    return database.value("SELECT id FROM tenantctl.tenant WHERE slug = '" + slug + "'");
  }

  // Rows of a tenant as the tables themselves have them.
  void write_rows(const std::string& slug, int count) const {
    const std::string id = "'" + id_of(slug) + "'";
    database.execute(
        "INSERT INTO rows.authors (id, name, tenant_id) SELECT n + (SELECT count(*) "
        "FROM rows.authors), '" +
        slug + "' || n, " + id + " FROM generate_series(1, " + std::to_string(count) + ") n");
    database.execute(
        "INSERT INTO rows.notes (author, body, tenant_id) SELECT id, name, tenant_id "
        "FROM rows.authors WHERE tenant_id = " +
        id);
    database.execute(
        "UPDATE rows.notes SET parent = (SELECT min(id) FROM rows.notes WHERE "
        "tenant_id = " +
        id + ") WHERE tenant_id = " + id);
  }

  void protect(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"rows", "protect", "--common", "countries"});
    must(more);
    must({"upgrade-all"});
  }
};

constexpr auto rows_registered =
    "SELECT COALESCE(string_agg(slug || ' ' || isolation || ' ' || schema_name || ' ' || state, "
    "',' "
    "ORDER BY slug), '') FROM tenantctl.tenant";

}  // namespace

TEST_SUITE("cli/rows tenants") {
  TEST_CASE("the first makes the home, the others are a row each") {
    RowsProject project;
    CHECK(fault(project.create({"acme"}), 2, {"no home of shared rows", "--home"}) == "");
    const auto first = project.create({"acme", "--home", "rows", "-o", "json"});
    CHECK(first.exit_code == 0);
    CHECK(judged(first, "tenant-create") == "");
    CHECK(json::parse(first.out)["home_is_new"] == true);
    CHECK(project.revision_of("rows") == "0001_notes");
    CHECK(fault(project.create({"beta", "gamma"}), 0, {"ready beta\nready gamma\n"}) == "");
    CHECK(fault(project.create({"--count", "3", "--prefix", "t"}), 0, {"ready t00003\n"}) == "");
    CHECK(project.database.value(rows_registered) ==
          "acme rows rows ready,beta rows rows ready,gamma rows rows ready,t00001 rows rows ready,"
          "t00002 rows rows ready,t00003 rows rows ready");
    CHECK(project.database.value("SELECT count(*) FROM pg_class WHERE relname = "
                                 "'tenantctl_version'") == "1");
  }

  TEST_CASE("slugs that are taken, twice or none change nothing") {
    RowsProject project;
    project.create({"acme", "--home", "rows"});
    CHECK(fault(project.create({"beta", "acme"}), 2, {"registered already", "HINT:"}) == "");
    CHECK(fault(project.create({"beta", "beta"}), 2, {"named twice"}) == "");
    CHECK(fault(project.create({"No Slug"}), 2, {"is no slug"}) == "");
    CHECK(fault(project.run({"tenant", "create", "one", "--home", "rows"}), 2, {"--isolation"}) ==
          "");
    CHECK(fault(project.run({"tenant", "create", "rows"}), 2, {"there already"}) == "");
    CHECK(project.database.value(rows_registered) == "acme rows rows ready");
  }

  TEST_CASE("a tenant's own schema is no home, an unregistered one at a version may become one") {
    RowsProject project;
    project.must({"tenant", "create", "own"});
    CHECK(fault(project.create({"acme", "--home", "own"}), 2, {"for itself"}) == "");
    project.database.execute("CREATE SCHEMA bare");
    CHECK(fault(project.create({"acme", "--home", "bare"}), 2, {"no version table"}) == "");
    project.must({"tenant", "adopt", "--schema", "bare"});
    CHECK(fault(project.create({"acme", "--home", "bare"}), 0, {"home bare is ready"}) == "");
    CHECK(project.revision_of("bare") == "0001_notes");
  }

  TEST_CASE("a home whose revision fails has no tenant, and is finished later") {
    RowsProject project;
    project.write("tenant/0002_bad.sql", "SELECT 1 / 0;");
    CHECK(fault(project.create({"acme", "--home", "rows"}), 1, {"division by zero"}) == "");
    CHECK(project.database.value(rows_registered) == "");
    CHECK(fault(project.run({"registry", "check"}), 4, {"rows: a home"}) == "");
    project.write("tenant/0002_bad.sql", "SELECT 1;");
    CHECK(fault(project.create({"acme"}), 0, {"home rows is ready", "ready acme"}) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("the home is upgraded once, and no command takes it for a tenant") {
    RowsProject project;
    project.create({"acme", "beta", "--home", "rows"});
    project.must({"tenant", "create", "own"});
    project.write("tenant/0002_more.sql", "CREATE TABLE more (id int);", "DROP TABLE more;");
    const auto run = project.run({"upgrade-all", "-o", "json"});
    CHECK(json::parse(run.out)["tenants"]["counts"]["applied"] == 2);
    CHECK(project.revision_of("rows") == "0002_more");
    CHECK(fault(project.run({"registry", "check"}), 0, {"agree"}) == "");
    CHECK(fault(project.run({"registry", "init", "--adopt"}), 0, {"0 tenants adopted"}) == "");
    const auto list = project.run({"tenant", "list", "-o", "json"});
    CHECK(judged(list, "tenant-list") == "");
    CHECK(json::parse(list.out)["tenants"][1]["state"] == "home");
    project.database.execute("DELETE FROM tenantctl.place");
    CHECK(fault(project.run({"registry", "check"}), 4, {"acme: shares rows"}) == "");
  }

  TEST_CASE("the gate lets them in, and not when suspended") {
    RowsProject project;
    project.create({"acme", "--home", "rows"});
    CHECK(project.database.value("BEGIN; SELECT tenantctl.enter('acme')") == project.id_of("acme"));
    CHECK(project.database.value("SELECT current_schema()") == "rows");
    project.database.execute("ROLLBACK");
    project.must({"tenant", "suspend", "acme"});
    CHECK_THROWS_WITH(project.database.execute("BEGIN; SELECT tenantctl.enter('acme')"),
                      doctest::Contains("suspended"));
  }
}

TEST_SUITE("cli/rows drop") {
  TEST_CASE("a dropped tenant's rows go from all tables, with counts, and nobody else's") {
    RowsProject project;
    project.create({"acme", "beta", "--home", "rows"});
    project.protect();
    project.write_rows("acme", 3);
    project.write_rows("beta", 2);
    CHECK(fault(project.run({"tenant", "drop", "acme", "--yes", "--purge"}), 2,
                {"rows.countries", "--common", "Nothing was dropped"}) == "");
    const auto run = project.run(
        {"tenant", "drop", "acme", "--yes", "--purge", "--common", "countries", "-o", "json"});
    CHECK(run.exit_code == 0);
    CHECK(judged(run, "tenant-drop") == "");
    CHECK(json::parse(run.out)["tenants"][0]["tables"] ==
          json::parse(R"([{"table": "authors", "rows": 3}, {"table": "notes", "rows": 3}])"));
    CHECK(project.database.value("SELECT count(*) FROM rows.notes") == "2");
    CHECK(project.database.value(rows_registered) == "beta rows rows ready");
    CHECK(fault(project.run({"tenant", "drop", "rows", "--yes"}), 2, {"nothing is kept of it"}) ==
          "");
    CHECK(fault(project.run({"tenant", "drop", "rows", "--yes", "--purge"}), 1,
                {"tenants live there"}) == "");
    project.must({"tenant", "drop", "beta", "rows", "--yes", "--purge", "--common", "countries"});
    CHECK_FALSE(project.has_schema("rows"));
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("as an owner whom row security binds, in batches") {
    RowsProject project;
    const std::string owner = project.database.second_role();
    project.create({"acme", "beta", "--home", "rows"});
    project.protect();
    project.write_rows("acme", 1);
    project.write_rows("beta", 2);
    project.database.execute(
        "INSERT INTO rows.authors (id, name, tenant_id) SELECT 1000 + n, 'bulk' || n, '" +
        project.id_of("acme") + "' FROM generate_series(1, 25000) n");
    project.database.execute(
        "ALTER SCHEMA rows OWNER TO " + owner + "; ALTER TABLE rows.authors OWNER TO " + owner +
        "; ALTER TABLE rows.notes OWNER TO " + owner +
        "; ALTER TABLE rows.tenantctl_version OWNER TO " + owner +
        "; ALTER SCHEMA tenantctl OWNER TO " + owner +
        "; DO $$DECLARE one text; BEGIN FOR one IN "
        "SELECT format('TABLE %s', c.oid::regclass) FROM pg_class c "
        "WHERE c.relnamespace = 'tenantctl'::regnamespace AND c.relkind = 'r' "
        "UNION ALL SELECT format('FUNCTION %s', p.oid::regprocedure) FROM pg_proc p "
        "WHERE p.pronamespace = 'tenantctl'::regnamespace "
        "LOOP EXECUTE format('ALTER %s OWNER TO " +
        owner + "', one); END LOOP; END$$");
    project.tool.set_variable("DATABASE_URL", project.database.conninfo_as(owner));
    CHECK(
        fault(project.run({"tenant", "drop", "acme", "--yes", "--purge", "--common", "countries"}),
              0, {"purged acme: 25002 rows in 2 tables of rows\n", "authors  25001"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM rows.authors") == "2");
  }

  TEST_CASE("who had entered before is waited for, and what it wrote goes too") {
    RowsProject project;
    project.create({"acme", "--home", "rows"});
    project.protect();
    project.database.execute("BEGIN");
    project.database.execute("SELECT tenantctl.enter('acme')");
    CHECK(fault(project.run({"tenant", "drop", "acme", "--yes", "--purge", "--common", "countries",
                             "--lock-wait", "300ms"}),
                1, {"1 transaction is open", "un the command again"}) == "");
    project.database.execute("INSERT INTO authors (id, name) VALUES (7, 'late')");
    project.database.execute("COMMIT");
    CHECK(
        fault(project.run({"tenant", "drop", "acme", "--yes", "--purge", "--common", "countries"}),
              0, {"1 row in"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM rows.authors") == "0");
  }

  TEST_CASE("dropped without --purge, its rows stay, the gate is shut, and it comes back") {
    RowsProject project;
    project.create({"acme", "beta", "--home", "rows"});
    project.protect();
    project.write_rows("acme", 3);
    project.must({"tenant", "suspend", "beta", "--reason", "unpaid"});
    CHECK(fault(project.run({"tenant", "drop", "acme", "beta", "--yes"}), 0,
                {"dropped acme\ndropped beta\n"}) == "");
    CHECK_THROWS_WITH(project.database.execute("BEGIN; SELECT tenantctl.enter('acme')"),
                      doctest::Contains("deleting"));
    project.database.execute("ROLLBACK");
    CHECK(project.database.value("SELECT count(*) FROM rows.notes") == "3");
    CHECK(fault(project.run({"tenant", "drop", "acme", "--yes"}), 0,
                {"unchanged acme: dropped already"}) == "");
    CHECK_FALSE(contains(project.must({"tenant", "list"}), "acme"));
    CHECK(fault(project.run({"tenant", "list", "--state", "deleting"}), 0,
                {"acme", "beta", "dropped"}) == "");
    CHECK(fault(project.run({"tenant", "show", "acme"}), 0, {"rows of schema rows", "dropped"}) ==
          "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(fault(project.run({"tenant", "drop", "rows", "--yes", "--purge"}), 1,
                {"tenants live there"}) == "");
    CHECK(fault(project.run({"tenant", "undrop", "acme", "beta"}), 0,
                {"restored acme\nrestored beta\n"}) == "");
    CHECK(project.database.value("SELECT string_agg(slug || ' ' || state, ',' ORDER BY slug) "
                                 "FROM tenantctl.tenant") == "acme ready,beta suspended");
    CHECK(project.database.value("SELECT metadata #>> '{tenantctl,reason}' FROM tenantctl.tenant "
                                 "WHERE slug = 'beta'") == "unpaid");
    CHECK(project.database.value("BEGIN; SELECT tenantctl.enter('acme')") == project.id_of("acme"));
    project.database.execute("ROLLBACK");
    CHECK(fault(project.run({"tenant", "undrop", "acme"}), 2, {"was dropped"}) == "");
    project.must({"tenant", "drop", "acme", "--yes"});
    CHECK(fault(project.run({"tenant", "purge", "acme", "--yes", "--common", "countries"}), 2,
                {"has a grace of 7 days"}) == "");
    CHECK(fault(project.run({"tenant", "purge", "--grace", "0s", "--yes", "--common", "countries"}),
                0, {"purged acme: 6 rows in 2 tables of rows"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM rows.notes") == "0");
    CHECK(project.database.value(rows_registered) == "beta rows rows suspended");
  }

  TEST_CASE("a purge of rows that is killed cannot be undone, and goes on") {
    RowsProject project;
    project.create({"acme", "--home", "rows"});
    project.protect();
    project.write_rows("acme", 3);
    project.must({"tenant", "drop", "acme", "--yes"});
    project.database.execute("BEGIN; LOCK TABLE rows.authors IN SHARE MODE");
    auto process =
        project.tool.start({"tenant", "purge", "acme", "--all", "--yes", "--common", "countries"});
    const std::string waiting =
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'rows.authors'::regclass";
    for (int i = 0; i < 100 && project.database.value(waiting) == "0"; ++i)
      project.database.value("SELECT pg_sleep(0.1)");
    CHECK(project.database.value(waiting) == "1");
    process.kill(SIGKILL);
    process.wait();
    project.database.execute("ROLLBACK");
    CHECK(fault(project.run({"tenant", "undrop", "acme"}), 1, {"its purge has begun"}) == "");
    CHECK(fault(project.run({"registry", "check"}), 4,
                {"acme: provisioning, deleting or moving"}) == "");
    CHECK(fault(project.run({"tenant", "purge", "--yes", "--common", "countries"}), 0,
                {"purged acme"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM rows.authors") == "0");
    CHECK(project.database.value(rows_registered) == "");
  }

  TEST_CASE("a tenant of shared rows is renamed in the registry, and nothing moves") {
    RowsProject project;
    project.create({"acme", "beta", "--home", "rows"});
    project.protect();
    project.write_rows("acme", 3);
    const auto id = project.id_of("acme");
    const auto run = project.run({"tenant", "rename", "acme", "acme-corp", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "tenant-rename") == "");
    CHECK(json::parse(run.out)["isolation"] == "rows");
    CHECK(project.id_of("acme-corp") == id);
    CHECK(project.database.value("SELECT name FROM tenantctl.tenant WHERE slug = 'acme-corp'") ==
          "acme-corp");
    CHECK(project.database.value("BEGIN; SELECT tenantctl.enter('acme-corp')") == id);
    CHECK(project.database.value("SELECT count(*) FROM notes") == "3");
    project.database.execute("ROLLBACK");
    CHECK_THROWS(project.database.execute("BEGIN; SELECT tenantctl.enter('acme')"));
    project.database.execute("ROLLBACK");
    CHECK(fault(project.run({"tenant", "rename", "acme-corp", "beta"}), 2,
                {"registered already"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "acme-corp", "Big"}), 2, {"is no slug"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "acme-corp", "x", "--slug", "y"}), 2,
                {"by its slug alone"}) == "");
    CHECK(fault(project.run({"tenant", "rename", "rows", "other"}), 2, {"a home of shared rows"}) ==
          "");
    for (const std::string verb : {"clone", "export"}) {
      const auto args = verb == "clone"
                            ? std::vector<std::string>{"tenant", verb, "beta", "twin"}
                            : std::vector<std::string>{"tenant", verb, "beta", "--file", "f"};
      CHECK(fault(project.run(args), 2, {"shares the tables of schema rows", "COPY (SELECT"}) ==
            "");
    }
  }
}

TEST_SUITE("cli/rows protect") {
  TEST_CASE("a home without rows needs one revision, and the audit is green behind it") {
    RowsProject project;
    project.create({"acme", "--home", "rows"});
    CHECK(fault(project.run({"audit", "isolation"}), 4, {"R1"}) == "");
    const auto run = project.run({"rows", "protect", "--common", "countries", "-o", "json"});
    CHECK(judged(run, "rows-protect") == "");
    CHECK(json::parse(run.out)["tables"] == json{"authors", "notes"});
    CHECK(json::parse(run.out)["files"].size() == 1);
    CHECK(fault(project.run({"rows", "protect"}), 2, {"not at the folder's head"}) == "");
    project.must({"upgrade-all"});
    CHECK(fault(project.run({"audit", "isolation", "--ignore", "R1:rows.countries"}), 0) == "");
    CHECK(fault(project.run({"rows", "protect", "--common", "countries"}), 0,
                {"nothing to protect"}) == "");
    project.must({"downgrade", "0001", "--schema", "rows", "--yes"});
    CHECK(project.database.value("SELECT count(*) FROM pg_attribute WHERE attname = "
                                 "'tenant_id' AND attrelid = 'rows.notes'::regclass") == "0");
  }

  TEST_CASE("filled tables go the long way, and each row says whose it is") {
    RowsProject project;
    project.create({"acme", "beta", "--home", "rows"});
    project.must({"tenant", "create", "own"});
    for (const std::string schema : {"rows", "own"}) {
      project.database.execute("INSERT INTO " + schema +
                               ".authors SELECT n, 'n' || n FROM "
                               "generate_series(1, 25000) n; INSERT INTO " +
                               schema + ".notes (author, body) VALUES (1, 'a'), (2, 'b')");
    }
    CHECK(fault(project.run({"rows", "protect", "--common", "countries"}), 2,
                {"authors, notes", "--backfill-tenant"}) == "");
    CHECK(fault(project.run(
                    {"rows", "protect", "--common", "countries", "--backfill-tenant", "nobody"}),
                2, {"no tenant"}) == "");
    const auto run = project.run(
        {"rows", "protect", "--common", "countries", "--backfill-tenant", "acme", "-o", "json"});
    REQUIRE(run.exit_code == 0);
    CHECK(json::parse(run.out)["files"].size() == 6);
    const std::string warnings = json::parse(run.out)["warnings"].dump();
    for (const auto* part : {"primary key authors_pkey", "unique authors_name_key", "notes_author_",
                             "sequence notes_id_seq"})
      CHECK_MESSAGE(contains(warnings, part), warnings);
    project.must({"upgrade-all"});
    CHECK(fault(project.run({"audit", "isolation", "--ignore", "R1:rows.countries"}), 0) == "");
    CHECK(project.database.value("SELECT count(*) FROM rows.authors WHERE tenant_id = '" +
                                 project.id_of("acme") + "'") == "25000");
    CHECK(project.database.value("SELECT count(*) FROM own.authors WHERE tenant_id = '" +
                                 project.id_of("own") + "'") == "25000");
    CHECK(project.database.value("SELECT count(*) FROM pg_constraint WHERE conname LIKE "
                                 "'%_tenant_check'") == "0");
    project.must({"downgrade-all", "0001", "--yes"});
    project.must({"upgrade-all"});
    project.must({"tenant", "create", "late"});
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("rows that no expression knows stop the backfill, and it goes on when they are known") {
    RowsProject project;
    project.create({"acme", "--home", "rows"});
    project.database.execute("INSERT INTO rows.authors VALUES (1, 'acme'), (2, 'beta')");
    project.must({"rows", "protect", "--common", "countries", "--backfill",
                  "SELECT t.id FROM tenantctl.tenant t WHERE t.slug = authors.name"});
    CHECK(fault(project.run({"upgrade-all"}), 1, {"whose rows rows.authors holds"}) == "");
    project.create({"beta", "--home", "rows"});
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(project.database.value("SELECT count(DISTINCT tenant_id) FROM rows.authors") == "2");
  }

  TEST_CASE("nobody entered sees nothing, a tenant its own, the administrator all") {
    RowsProject project;
    const std::string app = project.database.second_role();
    project.create({"acme", "beta", "--home", "rows"});
    project.protect();
    project.write_rows("acme", 1);
    project.write_rows("beta", 2);
    const std::string admin = project.database.name() + "_admin";
    project.must({"gate", "install", "--runtime-role", app, "--admin-role", admin});
    project.database.execute("GRANT USAGE ON SCHEMA rows TO " + app + ", " + admin +
                             "; GRANT SELECT, INSERT, DELETE ON ALL TABLES IN SCHEMA rows TO " +
                             app + ", " + admin);
    const auto seen = [&](const std::string& role, const std::string& before) {
      project.database.execute("BEGIN; SET LOCAL ROLE " + role + "; " + before);
      const std::string count = project.database.value("SELECT count(*) FROM rows.notes");
      project.database.execute("ROLLBACK");
      return count;
    };
    CHECK(seen(app, "") == "0");
    CHECK(seen(app, "SET LOCAL tenantctl.tenant_id = ''") == "0");
    CHECK(seen(app, "SELECT tenantctl.enter('beta')") == "2");
    CHECK(seen(app, "SELECT tenantctl.enter('beta'); DELETE FROM rows.notes") == "0");
    CHECK(seen(admin, "") == "3");
    CHECK(seen(admin, "DELETE FROM rows.notes") == "3");
    CHECK_THROWS_WITH(seen(app, "INSERT INTO rows.authors (id) VALUES (99)"),
                      doctest::Contains("no tenant has been entered"));
    project.database.execute("ROLLBACK");
    CHECK_THROWS_WITH(seen(app,
                           "SELECT tenantctl.enter('beta'); INSERT INTO rows.authors (id, "
                           "tenant_id) VALUES (99, '" +
                               project.id_of("acme") + "')"),
                      doctest::Contains("row-level security"));
    project.database.execute("ROLLBACK; DROP OWNED BY " + admin + "; DROP ROLE " + admin);
  }

  TEST_CASE("partitions, views and sequences are named or taken along") {
    RowsProject project;
    project.write("tenant/0002_events.sql",
                  "CREATE TABLE events (at date NOT NULL, n int, PRIMARY KEY (at, n)) PARTITION BY "
                  "RANGE (at); CREATE TABLE events_26 PARTITION OF events FOR VALUES FROM "
                  "('2026-01-01') TO ('2027-01-01'); CREATE MATERIALIZED VIEW totals AS SELECT "
                  "count(*) FROM events;");
    project.create({"acme", "--home", "rows"});
    project.database.execute("INSERT INTO rows.events VALUES ('2026-05-05', 1)");
    const auto run =
        project.run({"rows", "protect", "--common", "countries", "--backfill-tenant", "acme"});
    CHECK(fault(run, 0,
                {"events: policies hold on the partitioned table",
                 "totals: a materialized view"}) == "");
    project.must({"upgrade-all"});
    CHECK(project.database.value("SELECT tenant_id FROM rows.events_26") == project.id_of("acme"));
    CHECK(fault(project.run({"audit", "isolation", "--ignore", "R1:rows.countries"}), 0) == "");
    if (std::stoi(project.database.value("SHOW server_version_num")) >= 150000) {
      CHECK(project.database.value("SELECT array_to_string(reloptions, ',') FROM pg_class WHERE "
                                   "relname = 'titles'") == "security_invoker=true");
    }
  }
}
