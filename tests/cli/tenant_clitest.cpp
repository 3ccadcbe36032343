#include <doctest/doctest.h>

#include "support/project.h"

using namespace tenantctl::testing;

TEST_SUITE("cli/tenant create") {
  TEST_CASE("a tenant is made at the newest revision, by a role that owns no superuser's rights") {
    Project project;
    project.write_abc();
    const auto& role = project.database.second_role();
    project.database.execute("GRANT CREATE ON DATABASE " + project.database.name() + " TO " + role);
    project.tool.set_variable("DATABASE_URL", project.database.conninfo_as(role));
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    const auto run = project.run({"tenant", "create", "acme"});
    CHECK(fault(run, 0, {"tenant   acme: applied, at 0003_c (3 revisions)\n"}) == "");
    CHECK(run.err == "");
    CHECK(project.database.value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = "
                                 "'acme.c'::regclass") == role);
    project.database.execute("DROP SCHEMA acme CASCADE; REVOKE CREATE ON DATABASE " +
                             project.database.name() + " FROM " + role);
    CHECK(project.run({"tenant", "create", "acme"}).exit_code == 1);
  }

  TEST_CASE("a failure leaves no schema behind, whichever revision fails") {
    Project project;
    project.write_abc();
    project.write_raw("tenant/0004_index.sql",
                      "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON c (id);\n");
    project.write("tenant/0005_bad.sql", "SELECT 1 / 0;");
    const auto run = project.run({"tenant", "create", "acme", "other"});
    CHECK(fault(run, 1,
                {"2 failed", "division by zero", "0005_bad.sql:2",
                 "HINT: Nothing of the tenant was kept.\n"}) == "");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK_FALSE(project.has_schema("other"));
    CHECK(fault(project.run({"tenant", "create", "acme"}), 1,
                {"tenant   acme: failed, at base\n"}) == "");
    project.remove("tenant/0005_bad.sql");
    CHECK(fault(project.run({"tenant", "create", "acme"}), 0) == "");
  }

  TEST_CASE("a connection lost behind a COMMIT of the tenant's own does not end it half-made") {
    Project project;
    project.write_abc();
    project.database.execute("CREATE SEQUENCE public.visits");
    project.write("tenant/0004_lost.sql",
                  "SELECT CASE WHEN nextval('public.visits') = 1 "
                  "THEN pg_terminate_backend(pg_backend_pid()) END;");
    CHECK(fault(project.run({"tenant", "create", "acme"}), 0,
                {"tenant   acme: applied, at 0004_lost"}) == "");
    CHECK(project.database.value("SELECT last_value FROM public.visits") == "2");
    CHECK(project.revision_of("acme") == "0004_lost");
    // What was made before the loss is known from the rows alone, and taken away as well.
    project.write("tenant/0005_bad.sql", "SELECT 1 / 0;");
    project.database.execute("ALTER SEQUENCE public.visits RESTART");
    CHECK(fault(project.run({"tenant", "create", "other"}), 1,
                {"division by zero", "HINT: Nothing of the tenant was kept.\n"}) == "");
    CHECK_FALSE(project.has_schema("other"));
  }

  TEST_CASE("what is there already is not touched") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.database.execute("CREATE SCHEMA old; CREATE TABLE old.precious (id int)");
    CHECK(fault(project.run({"tenant", "create", "t001"}), 2,
                {"there already", "HINT: tenantctl upgrade --schema"}) == "");
    CHECK(fault(project.run({"tenant", "create", "old"}), 2, {"HINT:", "tenant adopt"}) == "");
    CHECK(fault(project.run({"tenant", "create", "fresh", "old"}), 2) == "");
    CHECK_FALSE(project.has_schema("fresh"));
    CHECK(project.has_table("old", "precious"));
    CHECK_FALSE(project.has_table("old", "tenantctl_version"));
    CHECK(project.revision_of("t001") == "0003_c");
  }

  TEST_CASE("bad names are refused before any connection") {
    Project project;
    project.write_abc();
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    const auto create = [&](const std::string& name) {
      return project.run({"tenant", "create", name});
    };
    CHECK(fault(create(std::string(64, 'x')), 2, {"has 64 bytes", "HINT: PostgreSQL keeps 63"}) ==
          "");
    CHECK(fault(create("pg_x"), 2, {"\"pg_x\" is reserved"}) == "");
    CHECK(fault(create("information_schema"), 2, {"is reserved"}) == "");
    CHECK(fault(create("Upper"), 2, {"\"Upper\" is not a plain name"}) == "");
    CHECK(fault(create("public"), 2, {"\"public\" is reserved"}) == "");
    CHECK(fault(create("shared"), 2, {"shared holds the shared scope"}) == "");
    CHECK(fault(create("a\"b"), 2, {"is not a plain name"}) == "");
    CHECK(fault(create("a'b"), 2, {"is not a plain name"}) == "");
    CHECK(fault(create("a;b"), 2) == "");
    for (const char* name : {"../../etc/x", "a.b", "$user", "a\xe2\x80\xae", "\xd0\xb0\x63me"})
      CHECK(fault(create(name), 2) == "");
    CHECK(fault(create("9a"), 2) == "");
    CHECK(fault(create(""), 2) == "");
    CHECK(fault(create("\u00e4"), 2, {"is not a plain name"}) == "");
    CHECK(fault(create("a\x1b[2J"), 2) == "");
    CHECK_FALSE(contains(create("a\x1b[2J").err, "\x1b"));
  }

  TEST_CASE("thousands come by number, behind the highest there is") {
    Project project;
    project.write_abc();
    project.database.execute("CREATE SCHEMA co_00007; CREATE SCHEMA coX00900");
    CHECK(fault(project.run({"tenant", "create", "--count", "150", "--prefix", "co_"}), 0,
                {"tenants  150 applied (150 schemas in "}) == "");
    CHECK(project.revision_of("co_00008") == "0003_c");
    CHECK(project.revision_of("co_00157") == "0003_c");
    CHECK_FALSE(project.has_schema("co_00158"));
    CHECK(fault(project.run({"tenant", "create", "--count", "1", "--prefix", "co_"}), 0,
                {"tenant   co_00158: applied"}) == "");
  }

  TEST_CASE("names come from a file or standard input, and are all or nothing") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    CHECK(fault(project.run({"tenant", "create", "--from-file", "-"}, "# new\nacme\n\nother \n"), 0,
                {"tenants  2 applied"}) == "");
    CHECK(project.revision_of("other") == "0003_c");
    CHECK(fault(project.run({"tenant", "create", "--from-file", "-"}, "fresh\nt001\nacme\n"), 2,
                {"there already: acme, t001\n", "Nothing was made."}) == "");
    CHECK(fault(project.run({"tenant", "create", "--from-file", "-"}, "fresh\nBad\n"), 2,
                {"\"Bad\" is not a plain name"}) == "");
    CHECK_FALSE(project.has_schema("fresh"));
    CHECK(fault(project.run({"tenant", "create", "--from-file", "nowhere"}), 2,
                {"cannot read the file nowhere"}) == "");
    CHECK(fault(project.run({"tenant", "create", "--from-file", "-"}, "\n"), 2,
                {"names no schema"}) == "");
  }

  TEST_CASE("names come one way only, and a series needs a prefix that may be a name") {
    Project project;
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    const auto create = [&](std::vector<std::string> args) {
      args.insert(args.begin(), {"tenant", "create"});
      return project.run(args);
    };
    CHECK(fault(create({}), 2, {"tenant create needs a name"}) == "");
    CHECK(fault(create({"--count", "5"}), 2, {"--count and --prefix belong together"}) == "");
    CHECK(fault(create({"--prefix", "x"}), 2, {"--count and --prefix belong together"}) == "");
    CHECK(fault(create({"acme", "--count", "5", "--prefix", "x"}), 2, {"named twice"}) == "");
    CHECK(fault(create({"acme", "--from-file", "f"}), 2, {"named twice"}) == "");
    CHECK(fault(create({"--count", "0", "--prefix", "x"}), 2) == "");
    CHECK(fault(create({"--count", "5", "--prefix", "Big"}), 2, {"not a plain name"}) == "");
    CHECK(fault(create({"--count", "5", "--prefix", "pg_"}), 2, {"is reserved"}) == "");
  }

  TEST_CASE("63 bytes are a name, whole") {
    Project project;
    const std::string name(63, 'x');
    project.must({"tenant", "create", name});
    CHECK(project.has_schema(name));
    CHECK(project.run({"tenant", "list"}).out == name + "  base  ok\n");
  }
}

TEST_SUITE("cli/tenant list") {
  TEST_CASE("every tenant stands there with its revision and state") {
    Project project;
    project.create_tenants(3);
    project.write_abc();
    project.must({"upgrade", "2", "--schema", "t002"});
    project.database.execute("COMMENT ON TABLE t003.tenantctl_version IS NULL");
    CHECK(project.run({"tenant", "list"}).out ==
          "t001  base    ok\n"
          "t002  0002_b  ok\n"
          "t003  -       unmarked\n");
    CHECK(project.run({"tenant", "list", "--tenants", "*2"}).out == "t002  0002_b  ok\n");
  }
}

TEST_SUITE("cli/tenant drop") {
  TEST_CASE("it asks, refuses without a terminal, and --yes answers") {
    Project project;
    project.write_abc();
    project.create_tenants(3);
    CHECK(fault(project.run({"tenant", "drop", "t001"}, "yes\n"), 2,
                {"tenant drop asks before it acts", "HINT: Give --yes"}) == "");
    const auto asked = [&](const std::string& text) {
      return project.tool.run_in_terminal({"tenant", "drop", "t001"},
                                          {{"Type yes to go on: ", text}});
    };
    CHECK(fault(asked("no\n"), 2, {"Drop t001 with everything in it?", "nothing was dropped"}) ==
          "");
    CHECK(project.has_table("t001", "c"));
    CHECK(fault(asked("yes\n"), 0, {"dropped t001"}) == "");
    CHECK_FALSE(project.has_schema("t001"));
    CHECK(project.run({"tenant", "drop", "t002", "t003", "--yes"}).out ==
          "dropped t002\ndropped t003\n");
    CHECK(project.run({"tenant", "list"}).out == "");
  }

  TEST_CASE("what is no tenant stays") {
    Project project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.must({"upgrade-all"});
    project.create_tenants(1);
    project.database.execute(
        "CREATE SCHEMA old; CREATE SCHEMA odd; CREATE TABLE odd.tenantctl_version (n int);"
        "CREATE SCHEMA other; CREATE TABLE other.tenantctl_version (LIKE t001.tenantctl_version);"
        "ALTER TABLE other.tenantctl_version ENABLE ROW LEVEL SECURITY");
    const auto drop = [&](const std::string& name) {
      return project.run({"tenant", "drop", "t001", name, "--yes"});
    };
    CHECK(fault(drop("old"), 2, {"\"old\" is no tenant: it has no version table of ours"}) == "");
    CHECK(fault(drop("odd"), 2, {"\"odd\" is no tenant: its version table cannot be read"}) == "");
    CHECK(fault(drop("other"), 2, {"\"other\" is no tenant"}) == "");
    CHECK(fault(drop("nope"), 2, {"\"nope\" is no tenant: there is no such schema"}) == "");
    CHECK(fault(drop("public"), 2) == "");
    CHECK(fault(drop("pg_catalog"), 2) == "");
    CHECK(fault(drop("shared"), 2, {"shared holds the shared scope"}) == "");
    for (const auto* const schema : {"t001", "old", "odd", "other", "shared", "public"})
      CHECK(project.has_schema(schema));
  }
}

TEST_SUITE("cli/tenant adopt") {
  TEST_CASE("existing schemas get an empty version table, others stay as they are") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.database.execute(
        "CREATE SCHEMA tenant_a; CREATE SCHEMA tenant_b; CREATE SCHEMA tenantless");
    CHECK(fault(project.run({"tenant", "adopt", "--like", "tenant\\_%"}), 0, {"2 applied"}) == "");
    CHECK(project.revision_of("tenant_a") == "base");
    CHECK_FALSE(project.has_table("tenantless", "tenantctl_version"));
    CHECK(fault(project.run({"tenant", "adopt", "--like", "t%"}), 0, {"1 applied, 3 unchanged"}) ==
          "");
    CHECK(project.revision_of("t001") == "0003_c");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"3 applied, 1 unchanged"}) == "");
  }

  TEST_CASE("--at tells where they stand already") {
    Project project;
    project.write_abc();
    project.database.execute(
        "CREATE SCHEMA old; CREATE TABLE old.a (id int); CREATE TABLE old.b (id int)");
    CHECK(fault(project.run({"tenant", "adopt", "--schema", "old", "--at", "0002"}), 0,
                {"at 0002_b"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"old: applied, at 0003_c (1 revision)"}) == "");
  }

  TEST_CASE("what it cannot mean is refused") {
    Project project;
    CHECK(fault(project.run({"tenant", "adopt"}), 2, {"adopt needs --like or --schema"}) == "");
    CHECK(fault(project.run({"tenant", "adopt", "--like", "x%"}), 2, {"no schema is like 'x%'"}) ==
          "");
    CHECK(fault(project.run({"tenant", "adopt", "--schema", "nope"}), 2, {"does not exist"}) == "");
    CHECK(fault(project.run({"tenant", "adopt", "--schema", "pg_catalog"}), 2) == "");
  }

  TEST_CASE("neither public nor PostgreSQL's own schemas are swept up by a pattern") {
    Project project;
    project.database.execute("CREATE SCHEMA old");
    CHECK(fault(project.run({"tenant", "adopt", "--like", "%"}), 0) == "");
    CHECK(project.has_table("old", "tenantctl_version"));
    CHECK(project.database.value("SELECT count(*) FROM pg_tables WHERE tablename = "
                                 "'tenantctl_version' AND schemaname LIKE 'pg\\_%'") == "0");
    CHECK_FALSE(project.has_table("public", "tenantctl_version"));
  }
}
