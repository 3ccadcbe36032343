#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/project.h"

using namespace tenantctl::testing;

TEST_SUITE("cli/status") {
  TEST_CASE("ten tenants in three versions are three lines and the laggards' names") {
    Project project;
    project.create_tenants(10);
    project.write_abc();
    project.must({"upgrade-all", "--exclude", "t001", "--exclude", "t002", "--exclude", "t003"});
    project.must({"upgrade", "0002", "--schema", "t001", "--schema", "t002"});
    CHECK(project.run({"status"}).out ==
          "tenant scope: 3 revisions, head 0003_c\n"
          "REVISION  SCHEMAS  BEHIND\n"
          "0003_c          7    head\n"
          "0002_b          2       1\n"
          "base            1       3\n"
          "\n"
          "0002_b:\n"
          "  t001, t002\n"
          "\n"
          "base:\n"
          "  t003\n");
    const auto laggards = project.run({"status", "--only-behind"});
    CHECK(fault(laggards, 0, {"0002_b          2"}) == "");
    CHECK_FALSE(contains(laggards.out, "\n0003_c"));
    CHECK(fault(project.run({"status", "--all"}), 0, {"0003_c:\n  t004, t005"}) == "");
  }

  TEST_CASE("both scopes are shown, a shared schema that is not there too") {
    Project project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    CHECK(fault(project.run({"status"}), 0,
                {"shared scope: 1 revision, head 0001_x", "missing: the first upgrade makes it",
                 "tenant scope: 0 revisions, head base", "no schema"}) == "");
    CHECK(fault(project.run({"check"}), 4) == "");
    project.must({"upgrade-all"});
    CHECK(fault(project.run({"check"}), 0) == "");
  }

  TEST_CASE("--deep names the marks that lie and the rows that do not add up; stamp mends both") {
    Project project;
    project.write_abc();
    project.write("tenant/repeatable/v.sql", "CREATE OR REPLACE VIEW v AS SELECT 1 AS one;");
    project.create_tenants(5);
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    project.database.execute(
        "DELETE FROM t002.tenantctl_version WHERE revision = 3;"
        "UPDATE t004.tenantctl_version SET checksum = 'sha256:0' WHERE revision = 2");
    CHECK(fault(project.run({"check"}), 0) == "");
    const auto found = project.run({"check", "--deep"});
    CHECK(fault(found, 4,
                {"the mark lies: rows say 0002_b (2 revisions), the mark 0003_c (3 revisions)",
                 "):\n  t002\n", "does not add up at revision 0002_b", "):\n  t004\n"}) == "");
    CHECK(fault(project.run({"status", "--deep"}), 0,
                {"0002_b          1       1  the mark lies"}) == "");
    const auto json = nlohmann::json::parse(
        project.run({"status", "--deep", "--output", "json", "--only-behind"}).out);
    const auto& groups = json["scopes"][0]["groups"];
    REQUIRE(groups.size() == 2);
    CHECK(groups[0]["state"] == "broken");
    CHECK(groups[1]["state"] == "lying");
    CHECK(groups[1]["behind"] == 1);
    CHECK(groups[1]["schemas"] == nlohmann::json::array({"t002"}));
    project.must({"stamp", "head", "--schema", "t002", "--schema", "t004"});
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
  }

  TEST_CASE("check is exit 4 as long as something is pending") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    CHECK(fault(project.run({"check"}), 0) == "");
    project.must({"downgrade", "-1", "--schema", "t002", "--yes"});
    CHECK(fault(project.run({"check"}), 4, {"0002_b:\n  t002\n"}) == "");
    CHECK(fault(project.run({"check", "--tenants", "t001"}), 0) == "");
    CHECK(fault(project.run({"check", "--output", "json"}), 4) == "");
  }

  TEST_CASE("a version table under somebody else's hand is foreign and never written") {
    Project project;
    project.write_abc();
    project.create_tenants(2);
    project.database.execute(
        "CREATE FUNCTION public.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER evil BEFORE INSERT ON t002.tenantctl_version FOR EACH ROW EXECUTE FUNCTION "
        "public.evil()");
    project.write("tenant/0004_d.sql", "CREATE TABLE d (id int);");
    CHECK(fault(project.run({"upgrade-all"}), 1, {"1 applied, 1 foreign", "t002: foreign"}) == "");
    CHECK(project.revision_of("t002") == "0003_c");
    CHECK(fault(project.run({"check"}), 4, {"foreign"}) == "");
  }
}

TEST_SUITE("cli/current") {
  TEST_CASE("a schema's place is read from its table") {
    Project project;
    project.create_tenants(2);
    project.write_abc();
    project.must({"upgrade", "0002", "--schema", "t001"});
    CHECK(project.run({"current", "--schema", "t001", "-s", "t002"}).out ==
          "t001  0002_b  2 applied, 1 pending\n"
          "t002  base    0 applied, 3 pending\n");
    CHECK(fault(project.run({"current", "--schema", "nope"}), 2, {"does not exist"}) == "");
    CHECK(fault(project.run({"current", "--schema", "public"}), 2, {"has no version table"}) == "");
    CHECK(fault(project.run({"current"}), 2, {"current needs a schema"}) == "");
  }

  TEST_CASE("the shared scope has a place of its own") {
    Project project;
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.must({"upgrade-all"});
    CHECK(project.run({"current", "--scope", "shared"}).out ==
          "shared  0001_x  1 applied, 0 pending\n");
  }
}

TEST_SUITE("cli/history") {
  TEST_CASE("the folder is listed without a server") {
    Project project;
    project.write_abc();
    project.write_raw("tenant/0004_index.sql",
                      "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY i ON c (id);\n");
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    CHECK(project.run({"history"}).out ==
          "0001  a\n0002  b\n0003  c\n0004  index  irreversible, no transaction\n");
    CHECK(project.run({"history", "--scope", "shared"}).out == "no revision in the shared scope\n");
  }

  TEST_CASE("beside a schema it says what is applied, pending and edited") {
    Project project;
    project.write_abc();
    project.create_tenants(1);
    project.must({"downgrade", "-1", "--schema", "t001", "--yes"});
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id bigint);", "DROP TABLE a;");
    CHECK(project.run({"history", "--schema", "t001"}).out ==
          "0001  a  applied, edited since\n0002  b  applied\n0003  c  pending\n");
    CHECK(fault(project.run({"history", "-s", "t001", "-s", "t002"}), 2, {"one schema"}) == "");
  }
}

TEST_SUITE("cli/show") {
  TEST_CASE("a revision is shown with its SQL") {
    Project project;
    project.write_abc();
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    CHECK(fault(project.run({"show", "2"}), 0,
                {"revision  0002_b\n", "file      migrations/tenant/versions/0002_b.sql\n",
                 "checksum  sha256:", "-- migrate:up\nCREATE TABLE b (id int);\n",
                 "-- migrate:down\nDROP TABLE b;\n"}) == "");
    CHECK(fault(project.run({"show", "1", "--scope", "shared"}), 0, {"none: irreversible"}) == "");
    CHECK(fault(project.run({"show", "0009"}), 2, {"is called \"0009\""}) == "");
    CHECK(fault(project.run({"show", "head"}), 2, {"\"head\" is no revision"}) == "");
  }
}
