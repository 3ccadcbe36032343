#include <doctest/doctest.h>

#include "support/project.h"

using namespace tenantctl::testing;

TEST_SUITE("cli/upgrade") {
  TEST_CASE("the seeds' command lines run as written") {
    const TestDatabase database;
    const Tool tool(database.conninfo());
    const std::vector<std::vector<std::string>> lines{
        {"revision", "initial", "--schema", "shared", "--scope", "shared"},
        {"upgrade", "--schema", "shared", "--scope", "shared"},
        {"revision", "initial", "--schema", "tenant1", "--scope", "tenant"},
        {"upgrade", "--schema", "tenant1", "--scope", "tenant", "--create"},
        {"upgrade", "--schema", "tenant2", "--scope", "tenant", "--create"}};
    for (const auto& line : lines) {
      CAPTURE(line.back());
      CHECK(fault(tool.run(line), 0) == "");
    }
    CHECK(fault(tool.run({"tenant", "list"}), 0, {"tenant1  ", "tenant2  ", "_initial  ok"}) == "");
    CHECK(fault(tool.run({"check"}), 0) == "");
  }

  TEST_CASE("a named schema goes to the head, and only that one") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    CHECK(fault(project.run({"upgrade", "--schema", "t001"}), 0,
                {"tenant   t001: applied, at 0003_c (3 revisions)\n"}) == "");
    CHECK(project.has_table("t001", "c"));
    CHECK(project.revision_of("t002") == "base");
    CHECK(fault(project.run({"upgrade", "--schema", "t001"}), 0,
                {"tenant   t001: unchanged, at 0003_c\n"}) == "");
  }

  TEST_CASE("several schemas are named one by one") {
    Project project;
    project.create_tenants(3);
    project.write_abc();
    CHECK(fault(project.run({"upgrade", "-s", "t001", "--schema", "t003"}), 0,
                {"tenants  2 applied (2 schemas in "}) == "");
    CHECK(project.revision_of("t001") == "0003_c");
    CHECK(project.revision_of("t002") == "base");
    CHECK(project.revision_of("t003") == "0003_c");
  }

  TEST_CASE("the shared scope's first upgrade makes its schema") {
    Project project;
    project.write("shared/0001_orgs.sql", "CREATE TABLE orgs (id int);");
    CHECK(fault(project.run({"upgrade", "--scope", "shared"}), 0,
                {"shared   shared: applied, at 0001_orgs (1 revision)\n"}) == "");
    CHECK(project.has_table("shared", "orgs"));
    CHECK(fault(project.run({"upgrade", "--scope", "shared", "--shared-schema", "common"}), 0) ==
          "");
    CHECK(project.has_table("common", "orgs"));
  }

  TEST_CASE("a missing schema is not made unasked") {
    Project project;
    project.write_abc();
    CHECK(fault(project.run({"upgrade", "--schema", "acme"}), 2,
                {"schema \"acme\" does not exist",
                 "HINT: tenantctl tenant create acme makes it; so does --create."}) == "");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(fault(project.run({"upgrade", "--schema", "acme", "--create"}), 0,
                {"acme: applied, at 0003_c"}) == "");
    CHECK(project.has_table("acme", "c"));
  }

  TEST_CASE("a schema without a version table is not migrated unasked") {
    Project project;
    project.write_abc();
    project.database.execute("CREATE SCHEMA old");
    CHECK(fault(project.run({"upgrade", "--schema", "old"}), 2,
                {"schema \"old\" has no version table",
                 "HINT: tenantctl tenant adopt --schema old gives it one; so does --create."}) ==
          "");
    CHECK_FALSE(project.has_table("old", "tenantctl_version"));
    CHECK(fault(project.run({"upgrade", "--schema", "old", "--create"}), 0) == "");
    CHECK(project.revision_of("old") == "0003_c");
  }

  TEST_CASE("one missing schema among several stops the command before anything is touched") {
    Project project;
    project.create_tenants(1);
    project.write_abc();
    CHECK(fault(project.run({"upgrade", "--schema", "t001", "--schema", "nope"}), 2,
                {"schema \"nope\" does not exist"}) == "");
    CHECK(project.revision_of("t001") == "base");
  }

  TEST_CASE("a scope that the schema is not of is refused") {
    Project project;
    project.create_tenants(1);
    CHECK(fault(project.run({"upgrade", "--schema", "t001", "--scope", "shared"}), 2,
                {"schema t001 is not of the shared scope, shared is", "HINT:"}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "shared", "--scope", "tenant"}), 2,
                {"schema shared holds the shared scope", "HINT: Say --scope shared."}) == "");
    CHECK(fault(project.run({"upgrade", "--schema", "shared", "--schema", "t001"}), 2,
                {"shared holds the shared scope"}) == "");
    CHECK(fault(project.run({"upgrade"}), 2, {"upgrade needs a schema", "upgrade-all"}) == "");
  }

  TEST_CASE("--create makes no schema of a bad name") {
    Project project;
    for (const auto* const name : {"pg_x", "Upper", "public", "with space", "a\"b"}) {
      CAPTURE(name);
      CHECK(fault(project.run({"upgrade", "--create", "--schema", name}), 2) == "");
    }
  }

  TEST_CASE("a revision outside a transaction builds an index concurrently") {
    Project project;
    project.write_raw("tenant/0001_a.sql", "-- migrate:up\nCREATE TABLE a (id int);\n");
    project.write_raw("tenant/0002_index.sql",
                      "-- migrate:up transaction:false\n"
                      "CREATE INDEX CONCURRENTLY a_id ON a (id);\n");
    project.create_tenants(3);
    CHECK(project.database.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'a_id'") ==
          "3");
  }

  TEST_CASE("placeholders are the schema's names and the command line's values") {
    Project project;
    project.write("tenant/0001_a.sql",
                  "CREATE TABLE :\"schema\".a (t text);\n"
                  "INSERT INTO a VALUES (:'schema'), (:'colour'), (':\"schema\"');");
    project.must({"tenant", "create", "acme", "--var", "colour=deep red"});
    CHECK(
        project.database.value("SELECT string_agg(t, '|' ORDER BY t COLLATE \"C\") FROM acme.a") ==
        ":\"schema\"|acme|deep red");
    CHECK(fault(project.run({"tenant", "create", "other", "--var", "colour"}), 2,
                {"a --var is not name=value"}) == "");
  }

  TEST_CASE("an unqualified name never falls through to public, unless that is asked") {
    Project project;
    project.database.execute("CREATE TABLE public.outside (id int)");
    project.write("tenant/0001_a.sql", "INSERT INTO outside VALUES (1);");
    CHECK(fault(project.run({"tenant", "create", "acme"}), 1,
                {"relation \"outside\" does not exist"}) == "");
    CHECK(fault(project.run({"tenant", "create", "acme", "--search-path-extra", "public"}), 0) ==
          "");
  }
}

TEST_SUITE("cli/target") {
  TEST_CASE("upgrade stops where it is told") {
    Project project;
    project.create_tenants(1);
    project.write_abc();
    const auto upgrade = [&](const std::string& target) {
      return project.run({"upgrade", target, "--schema", "t001"});
    };
    CHECK(fault(upgrade("+1"), 0, {"at 0001_a (1 revision)"}) == "");
    CHECK(fault(upgrade("2"), 0, {"at 0002_b (1 revision)"}) == "");
    CHECK(fault(upgrade("0002"), 0, {"unchanged, at 0002_b"}) == "");
    CHECK(fault(upgrade("0003_c"), 0, {"at 0003_c (1 revision)"}) == "");
    CHECK(fault(upgrade("head"), 0, {"unchanged, at 0003_c"}) == "");
  }

  TEST_CASE("a prefix names a revision if only one begins so") {
    Project project;
    project.create_tenants(1);
    project.write("tenant/20260101000000_a.sql", "CREATE TABLE a (id int);");
    project.write("tenant/20260201000000_b.sql", "CREATE TABLE b (id int);");
    project.write("tenant/20260202000000_c.sql", "CREATE TABLE c (id int);");
    const auto upgrade = [&](const std::string& target) {
      return project.run({"upgrade", target, "--schema", "t001"});
    };
    CHECK(fault(upgrade("202602"), 2,
                {"\"202602\" could be 2 revisions", "20260201000000_b, 20260202000000_c"}) == "");
    CHECK(fault(upgrade("202603"), 2, {"no tenant revision is called \"202603\""}) == "");
    CHECK(project.revision_of("t001") == "base");
    CHECK(fault(upgrade("20260201"), 0, {"at 20260201000000_b (2 revisions)"}) == "");
  }

  TEST_CASE("what is no target is refused before any connection") {
    Project project;
    project.write_abc();
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    const auto upgrade = [&](const std::string& target) {
      return project.run({"upgrade", target, "--schema", "t001"});
    };
    CHECK(fault(upgrade("haed"), 2, {"\"haed\" is not a target", "Did you mean head?"}) == "");
    CHECK(fault(upgrade("+0"), 2, {"\"+0\" is not a target"}) == "");
    CHECK(fault(upgrade("+x"), 2, {"is not a target", "HINT: A target is head, base,"}) == "");
    CHECK(fault(project.run({"upgrade-all", "0009"}), 2,
                {"no tenant revision is called \"0009\""}) == "");
  }

  TEST_CASE("neither command goes the other's way") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    CHECK(fault(project.run({"upgrade", "-1", "--schema", "t001"}), 2,
                {"HINT: Use tenantctl downgrade to go back."}) == "");
    CHECK(fault(project.run({"upgrade", "base", "--schema", "t001"}), 2) == "");
    CHECK(fault(project.run({"downgrade", "+1", "--schema", "t001", "--yes"}), 2) == "");
    CHECK(project.revision_of("t001") == "0003_c");
  }
}

TEST_SUITE("cli/history rules") {
  TEST_CASE("an edited revision stops the schema by name, and can be accepted") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id bigint);");
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    CHECK(fault(project.run({"upgrade-all"}), 1,
                {"2 schemas: revision 0002_b was edited after being applied", "t001, t002",
                 "HINT: Restore the file", "tenantctl accept-checksum"}) == "");
    CHECK_FALSE(project.has_table("t001", "d"));
    CHECK(fault(project.run({"check"}), 4, {"revision 0002_b was edited"}) == "");

    CHECK(fault(project.run({"accept-checksum", "2", "--schema", "t001"}), 0, {"t001: applied"}) ==
          "");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"t002: revision 0002_b was edited"}) == "");
    CHECK(project.has_table("t001", "d"));
    CHECK(fault(project.run({"accept-checksum", "0002_b", "--all"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"accept-checksum", "2", "--all"}), 0, {"2 unchanged"}) == "");
  }

  TEST_CASE("only a revision that is in the folder can be accepted") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    CHECK(fault(project.run({"accept-checksum", "9", "--all"}), 2, {"is called \"9\""}) == "");
    CHECK(fault(project.run({"accept-checksum", "head", "--all"}), 2, {"is no revision"}) == "");
    CHECK(fault(project.run({"accept-checksum", "2"}), 2, {"needs a schema"}) == "");
    CHECK(fault(project.run({"accept-checksum", "2", "--all", "--schema", "t001"}), 2,
                {"--all and --schema exclude each other"}) == "");
  }

  TEST_CASE("a vanished revision stops the schema by name") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.remove("tenant/0002_b.sql");
    CHECK(fault(project.run({"upgrade-all"}), 1,
                {"t001: revision 0002_b was applied", "not in the folder", "HINT: Restore"}) == "");
    CHECK(fault(project.run({"status"}), 0, {"revision 0002_b was applied"}) == "");
  }

  TEST_CASE("a late revision stops the schema by name, unless it is allowed") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    project.write("tenant/0003_c.sql", "CREATE TABLE c (id int);", "DROP TABLE c;");
    project.create_tenants(1);
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "DROP TABLE b;");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"0002_b", "--allow-out-of-order"}) == "");
    CHECK_FALSE(project.has_table("t001", "b"));
    CHECK(fault(project.run({"upgrade-all", "--allow-out-of-order"}), 0, {"t001: applied"}) == "");
    CHECK(project.has_table("t001", "b"));
    CHECK(project.database.value("SELECT string_agg(name, ' ' ORDER BY position) FROM "
                                 "t001.tenantctl_version") == "0001_a 0003_c 0002_b");
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"unchanged"}) == "");
    // The last applied goes first.
    CHECK(fault(project.run({"downgrade", "-1", "--schema", "t001", "--yes"}), 0) == "");
    CHECK_FALSE(project.has_table("t001", "b"));
    CHECK(project.has_table("t001", "c"));
  }

  TEST_CASE("rows that somebody changed are noticed once the mark does not tell") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.database.execute(
        "UPDATE t001.tenantctl_version SET revision = 7, name = '0007_x' "
        "WHERE position = 2; COMMENT ON TABLE t001.tenantctl_version IS NULL");
    const auto run = project.run({"upgrade-all"});
    CHECK(fault(run, 1, {"t001: "}) == "");
    CHECK(fault(project.run({"check"}), 4) == "");
  }

  TEST_CASE("a lost mark is written again") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    const std::string mark =
        "SELECT obj_description('t001.tenantctl_version'::regclass, 'pg_class')";
    const auto before = project.database.value(mark);
    project.database.execute("COMMENT ON TABLE t001.tenantctl_version IS 'mine'");
    CHECK(fault(project.run({"status"}), 0, {"unmarked"}) == "");
    CHECK(fault(project.run({"check"}), 4) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(project.database.value(mark) == before);
    CHECK(fault(project.run({"check"}), 0) == "");
  }
}
