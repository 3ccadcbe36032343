#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "support/project.h"

using namespace tenantctl::testing;

namespace {

void set_mark(Project& project, const std::string& schema, const std::string& change) {
  const std::string mark = project.database.value(
      fmt::format("SELECT regexp_replace(obj_description('{}.tenantctl_version'::regclass), {})",
                  schema, change));
  project.database.execute(
      fmt::format("COMMENT ON TABLE {}.tenantctl_version IS '{}'", schema, mark));
}

}  // namespace

TEST_SUITE("cli/foreign") {
  TEST_CASE("a mark changed to the other scope hides no tenant") {
    Project project;
    project.write_abc();
    project.create_tenants(3);
    set_mark(project, "t002", "'scope=tenant', 'scope=shared'");
    CHECK(fault(project.run({"check"}), 4, {"t002", "another scope"}) == "");
    CHECK(fault(project.run({"check", "--deep"}), 4, {"t002", "another scope"}) == "");
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
  }

  TEST_CASE("without rows a mark of the other scope is reported and nothing is written") {
    Project project;
    project.create_tenants(2);
    set_mark(project, "t002", "'scope=tenant', 'scope=shared'");
    project.write_abc();
    CHECK(fault(project.run({"upgrade-all"}), 1, {"t002", "holds the shared scope"}) == "");
    CHECK_FALSE(project.has_table("t002", "a"));
    CHECK(project.has_table("t001", "a"));
  }

  TEST_CASE("what others planted is foreign, and never written") {
    Project project;
    project.write_abc();
    project.create_tenants(9);
    const std::string role = project.database.second_role();
    const std::string mark =
        project.database.value("SELECT obj_description('t001.tenantctl_version'::regclass)");
    project.database.execute(
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "ALTER SCHEMA t001 OWNER TO " +
        role + ";ALTER TABLE t002.tenantctl_version OWNER TO " + role +
        ";CREATE TRIGGER t BEFORE INSERT ON t003.tenantctl_version FOR EACH ROW EXECUTE FUNCTION "
        "public.f();"
        "CREATE RULE r AS ON INSERT TO t004.tenantctl_version DO ALSO NOTHING;"
        "ALTER TABLE t005.tenantctl_version ENABLE ROW LEVEL SECURITY;"
        "DROP TABLE t006.tenantctl_version; CREATE TABLE t006.tenantctl_version (a int) PARTITION "
        "BY RANGE (a); COMMENT ON TABLE t006.tenantctl_version IS '" +
        mark +
        "';"
        "DROP TABLE t007.tenantctl_version; CREATE VIEW t007.tenantctl_version AS SELECT 1 AS a;"
        "COMMENT ON VIEW t007.tenantctl_version IS '" +
        mark + "';ALTER TABLE t008.tenantctl_version SET UNLOGGED;");
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"1 applied, 8 foreign"}) == "");
    for (int i = 1; i <= 8; ++i)
      CHECK_FALSE(project.has_table(fmt::format("t00{}", i), "d"));
    CHECK(project.has_table("t009", "d"));
    // Whoever is named may own; what is wrong in another way stays so.
    CHECK(fault(project.run({"upgrade-all", "--owner", role}), 1, {"2 applied"}) == "");
  }

  TEST_CASE("a version table of other columns is reported and not written") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.database.execute(
        "DROP TABLE t002.tenantctl_version; CREATE TABLE t002.tenantctl_version (position int)");
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"t002", "1 applied"}) == "");
    CHECK_FALSE(project.has_table("t002", "d"));
  }

  TEST_CASE("event triggers of others are named before the run, ours are not") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);");
    const std::string role = project.database.second_role();
    project.database.execute(
        "ALTER ROLE " + role +
        " SUPERUSER;"
        "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER ours ON ddl_command_end EXECUTE FUNCTION public.e();"
        "CREATE EVENT TRIGGER theirs ON ddl_command_end WHEN TAG IN ('COMMENT') EXECUTE FUNCTION "
        "public.e(); ALTER EVENT TRIGGER theirs OWNER TO " +
        role +
        ";CREATE EVENT TRIGGER away ON ddl_command_end EXECUTE FUNCTION public.e(); ALTER EVENT "
        "TRIGGER away OWNER TO " +
        role + "; ALTER EVENT TRIGGER away DISABLE;");
    project.tool.set_variable("TENANTCTL_QUIET", "false");
    const auto run = project.run({"upgrade-all"});
    CHECK(fault(run, 0, {"theirs (of " + role + ")"}) == "");
    CHECK_FALSE(contains(run.err, "ours (of"));
    CHECK_FALSE(contains(run.err, "away (of"));
    project.database.execute("DROP EVENT TRIGGER theirs; DROP EVENT TRIGGER away");
  }
}
