#include <doctest/doctest.h>

#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "support/json_schema.h"
#include "support/process.h"
#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A tenant with everything that a rename could break, and rows in it.
struct FullProject : Project {
  FullProject() {
    write("shared/0001_x.sql",
          "CREATE TABLE plan (id int PRIMARY KEY); INSERT INTO plan VALUES "
          "(1);");
    write("tenant/0001_a.sql",
          "CREATE TYPE mood AS ENUM ('fine', 'bad');"
          "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, m mood, "
          "plan int REFERENCES shared.plan, twice int GENERATED ALWAYS AS (plan * 2) STORED, "
          "t text DEFAULT 'x' CHECK (t <> 'y'));"
          "CREATE TABLE b (a int REFERENCES a, at timestamptz) PARTITION BY RANGE (at);"
          "CREATE TABLE b_1 PARTITION OF b DEFAULT;"
          "CREATE INDEX i ON a (lower(t)) WHERE plan > 0;"
          "CREATE FUNCTION count_a() RETURNS bigint LANGUAGE plpgsql SET search_path FROM CURRENT "
          "AS $$BEGIN RETURN 1; END$$;"
          "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';"
          "ALTER FUNCTION count_a RESET search_path;"
          "CREATE VIEW v AS SELECT a.id, one() AS one FROM a JOIN b ON b.a = a.id;"
          "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;"
          "CREATE TRIGGER touch BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION touch();"
          "ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (plan > 0);"
          "COMMENT ON TABLE a IS 'all of them';");
    must({"upgrade", "--scope", "shared"});
    must({"tenant", "create", "acme"});
    fill("acme");
  }

  void fill(const std::string& schema) {
    database.execute("INSERT INTO " + schema +
                     ".a (m, plan, t) SELECT 'fine', 1, E'tab\\t' || i "
                     "|| E'\\n\\\\.' FROM generate_series(1, 100) i; INSERT INTO " +
                     schema + ".b SELECT id, now() FROM " + schema + ".a");
  }

  // What is in a tenant, but for its name.
  std::string sum_of(const std::string& schema) {
    return database.value(
        "SELECT md5(string_agg(a::text, ',' ORDER BY id)) || (SELECT count(*) "
        "FROM " +
        schema + ".v) FROM " + schema + ".a a");
  }
};

// An older pg_dump refuses a newer server, and so do we.
bool lacks_programs(Project& project) {
  const auto told = run_process({"pg_dump", "--version"}).out;
  const auto at = told.find_first_of("0123456789");
  const int have = at == std::string::npos ? 0 : std::stoi(told.substr(at));
  const int server =
      std::stoi(project.database.value("SELECT current_setting('server_version_num')")) / 10000;
  if (have >= server)
    return false;
  MESSAGE("pg_dump is of PostgreSQL " << have << ", the server of " << server << ": not tried");
  return true;
}

}  // namespace

TEST_SUITE("cli/tenant clone") {
  TEST_CASE("the copy is whole, its own, and at the same revision") {
    FullProject project;
    if (lacks_programs(project))
      return;
    project.must({"registry", "init", "--adopt"});
    const auto run =
        project.run({"tenant", "clone", "acme", "twin", "--tier", "gold", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "tenant-clone") == "");
    CHECK(project.sum_of("twin") == project.sum_of("acme"));
    CHECK(fault(project.run({"check", "--deep"}), 0) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    CHECK(project.database.value("SELECT state || ' ' || tier FROM tenantctl.tenant WHERE slug = "
                                 "'twin'") == "ready gold");
    // Nothing of the one leads into the other.
    CHECK(project.database.value(
              "SELECT count(*) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_class r "
              "ON r.oid = d.refobjid WHERE d.classid = 'pg_class'::regclass AND d.refclassid = "
              "'pg_class'::regclass AND c.relnamespace = 'twin'::regnamespace AND r.relnamespace = "
              "'acme'::regnamespace") == "0");
    CHECK(project.database.value("SELECT count(*) FROM pg_constraint WHERE conrelid = "
                                 "'twin.a'::regclass AND confrelid = 'shared.plan'::regclass") ==
          "1");
    project.fill("twin");
    CHECK(project.database.value("SELECT count(*) FROM acme.a") == "100");
    CHECK(project.database.value("SELECT max(s) FROM twin.a") == "200");
    project.write("tenant/0002_b.sql", "ALTER TABLE a ADD more int;");
    CHECK(fault(project.run({"upgrade-all"}), 0, {"2 applied"}) == "");
  }

  TEST_CASE("writers of the live tenant are neither seen half nor kept waiting") {
    FullProject project;
    if (lacks_programs(project))
      return;
    project.database.execute("BEGIN; INSERT INTO acme.a (m, plan) VALUES ('bad', 1)");
    CHECK(fault(project.run({"tenant", "clone", "acme", "twin"}), 0, {"made twin from acme\n"}) ==
          "");
    project.database.execute("INSERT INTO acme.a (m, plan) VALUES ('bad', 1); COMMIT");
    CHECK(project.database.value("SELECT count(*) FROM twin.a") == "100");
    CHECK(project.database.value("SELECT count(*) FROM acme.a") == "102");
  }

  TEST_CASE("texts that say the old name keep it from being made, unless forced") {
    FullProject project;
    if (lacks_programs(project))
      return;
    project.must({"registry", "init", "--adopt"});
    project.database.execute(
        "CREATE FUNCTION acme.body() RETURNS bigint LANGUAGE sql AS "
        "'SELECT count(*) FROM acme.a'");
    const auto run = project.run({"tenant", "clone", "acme", "twin", "-o", "json"});
    CHECK(run.exit_code == 1);
    CHECK(judged(run, "tenant-clone") == "");
    CHECK(json::parse(run.out)["texts"] ==
          json::array({{{"kind", "function"}, {"name", "twin.body()"}}}));
    CHECK_FALSE(project.has_schema("twin"));
    CHECK(project.database.value("SELECT string_agg(slug, ',') FROM tenantctl.tenant") == "acme");
    CHECK(project.sum_of("acme") != "");
    CHECK(fault(project.run({"tenant", "clone", "acme", "twin", "--force"}), 0,
                {"made twin from acme", "1 stored text says the name", "function twin.body()"}) ==
          "");
    CHECK(project.sum_of("twin") == project.sum_of("acme"));
  }

  TEST_CASE("rights are copied, unless they are the tenant's own role's") {
    FullProject project;
    if (lacks_programs(project))
      return;
    const auto role = project.database.second_role();
    project.database.execute("GRANT USAGE ON SCHEMA acme TO " + role +
                             "; GRANT SELECT ON acme.a TO " + role);
    project.must({"tenant", "clone", "acme", "one"});
    project.must({"tenant", "clone", "acme", "two", "--no-grants"});
    project.must({"registry", "init", "--adopt"});
    project.database.execute("UPDATE tenantctl.tenant SET runtime_role = '" + role +
                             "' WHERE slug = 'acme'");
    project.must({"tenant", "clone", "acme", "three"});
    const auto may = [&](const std::string& schema) {
      return project.database.value("SELECT has_schema_privilege('" + role + "', '" + schema +
                                    "', 'USAGE') AND has_table_privilege('" + role + "', '" +
                                    schema + ".a', 'SELECT')");
    };
    CHECK(may("one") == "t");
    CHECK(may("two") == "f");
    CHECK(may("three") == "f");
  }

  TEST_CASE("the copy can have a runtime role of its own") {
    FullProject project;
    if (lacks_programs(project))
      return;
    project.must({"registry", "init", "--adopt"});
    project.must({"tenant", "clone", "acme", "twin", "--runtime-role", "per-tenant"});
    const auto role =
        project.database.value("SELECT runtime_role FROM tenantctl.tenant WHERE slug = 'twin'");
    CHECK(role == "rt_" + project.database.name() + "_twin");
    CHECK(project.database.value("SELECT has_schema_privilege('" + role +
                                 "', 'twin', 'USAGE') AND has_table_privilege('" + role +
                                 "', 'twin.a', 'SELECT') AND NOT has_schema_privilege('" + role +
                                 "', 'acme', 'USAGE')") == "t");
    project.must({"tenant", "export", "twin", "--file", "twin.tenant"});
    project.must({"tenant", "import", "twin.tenant", "--as", "other"});
    CHECK(project.database.value("SELECT has_schema_privilege('" + role + "', 'other', 'USAGE') " +
                                 "OR has_table_privilege('" + role + "', 'other.a', 'SELECT')") ==
          "f");
    project.must({"tenant", "drop", "twin", "--purge", "--yes"});
    CHECK(project.database.value("SELECT count(*) FROM pg_roles WHERE rolname = '" + role + "'") ==
          "0");
  }

  TEST_CASE("what is taken, migrated, not there, or of too old programs is refused") {
    FullProject project;
    if (lacks_programs(project))
      return;
    project.must({"tenant", "create", "other"});
    const auto clone = [&](const std::string& from, const std::string& to) {
      return project.run({"tenant", "clone", from, to});
    };
    CHECK(fault(clone("acme", "other"), 2, {"there already: other"}) == "");
    CHECK(fault(clone("acme", "Big"), 2, {"not a plain name"}) == "");
    CHECK(fault(clone("nope", "new"), 2, {"no such schema"}) == "");
    CHECK(fault(clone("shared", "new"), 2, {"holds the shared scope"}) == "");
    project.database.execute(
        "BEGIN; SELECT pg_advisory_xact_lock(1952670769, "
        "'acme'::regnamespace::oid::int)");
    CHECK(fault(clone("acme", "new"), 3, {"another session is migrating"}) == "");
    project.database.execute("ROLLBACK");
    const auto folder = project.tool.folder().path() / "old";
    std::filesystem::create_directory(folder);
    std::ofstream(folder / "pg_dump") << "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n";
    CHECK(fault(project.run({"tenant", "clone", "acme", "new", "--pg-bin", folder.string()}), 2,
                {"there is no"}) == "");
    for (const auto* const name : {"pg_dump", "psql"}) {
      std::ofstream(folder / name) << "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n";
      ::chmod((folder / name).c_str(), 0755);
    }
    CHECK(fault(project.run({"tenant", "clone", "acme", "new", "--pg-bin", folder.string()}), 2,
                {"is of PostgreSQL 9, the server of", "HINT: --pg-bin"}) == "");
    CHECK_FALSE(project.has_schema("new"));
  }

  TEST_CASE("killed or interrupted in the middle, nothing is left") {
    FullProject project;
    if (lacks_programs(project))
      return;
    project.must({"registry", "init", "--adopt"});
    for (const int signal : {SIGKILL, SIGINT}) {
      CAPTURE(signal);
      // The dump waits for the table.
      project.database.execute("BEGIN; LOCK TABLE acme.a IN ACCESS EXCLUSIVE MODE");
      auto process = project.tool.start({"tenant", "clone", "acme", "twin"});
      const std::string waiting =
          "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'acme.a'::regclass";
      for (int i = 0; i < 100 && project.database.value(waiting) == "0"; ++i)
        project.database.value("SELECT pg_sleep(0.1)");
      process.kill(signal);
      const auto run = process.wait();
      CHECK(run.exit_code == (signal == SIGINT ? 130 : -1));
      project.database.execute("ROLLBACK");
      const std::string others =
          "SELECT count(*) FROM pg_stat_activity WHERE datname = "
          "current_database() AND pid <> pg_backend_pid()";
      for (int i = 0; i < 100 && project.database.value(others) != "0"; ++i)
        project.database.value("SELECT pg_sleep(0.1)");
      CHECK(project.database.value(others) == "0");
      CHECK_FALSE(project.has_schema("twin"));
    }
    CHECK(fault(project.run({"tenant", "clone", "acme", "twin"}), 0) == "");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }
}

TEST_SUITE("cli/tenant export") {
  TEST_CASE("a tenant goes through a file into another database, and under another name") {
    FullProject project;
    if (lacks_programs(project))
      return;
    const auto run =
        project.run({"tenant", "export", "acme", "--file", "acme.tenant", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "tenant-export") == "");
    const auto file = project.tool.folder().path() / "acme.tenant";
    const auto head = content_of(file).substr(0, 4096);
    CHECK(contains(head, "tenantctl tenant export 1\nslug: \nschema: acme\n"));
    CHECK(contains(head, "mark: tenantctl 1 scope=tenant head=1 "));
    struct stat status {};
    CHECK(::stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0600);
    const auto sum = project.sum_of("acme");
    CHECK(fault(project.run({"tenant", "import", "acme.tenant", "--as", "twin"}), 0,
                {"made twin from acme\n"}) == "");
    CHECK(project.sum_of("twin") == sum);
    CHECK(fault(project.run({"tenant", "import", "acme.tenant"}), 2, {"there already: acme"}) ==
          "");
    FullProject other;
    other.must({"registry", "init"});
    other.must({"tenant", "drop", "acme", "--purge", "--yes"});
    const auto imported = other.run({"tenant", "import", file.string(), "-o", "json"});
    CHECK(fault(imported, 0) == "");
    CHECK(judged(imported, "tenant-import") == "");
    CHECK(other.sum_of("acme") == sum);
    CHECK(fault(other.run({"check", "--deep"}), 0) == "");
    CHECK(fault(other.run({"registry", "check"}), 0) == "");
    other.must({"tenant", "import", file.string(), "--as", "third"});
    CHECK(fault(project.run({"tenant", "export", "acme", "--file", "acme.tenant"}), 2,
                {"is there already"}) == "");
  }

  TEST_CASE("a file that is cut, changed or none is refused before anything is done") {
    FullProject project;
    if (lacks_programs(project))
      return;
    project.must({"tenant", "export", "acme", "--file", "acme.tenant"});
    const auto whole = content_of(project.tool.folder().path() / "acme.tenant");
    const auto refused = [&](const std::string& bytes, std::string_view part) {
      project.tool.folder().write("bad.tenant", bytes);
      return fault(project.run({"tenant", "import", "bad.tenant", "--as", "twin"}), 2,
                   {part, "HINT:"});
    };
    CHECK(refused(whole.substr(0, whole.size() - 1), "is damaged") == "");
    auto changed = whole;
    changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
    CHECK(refused(changed, "is damaged") == "");
    CHECK(refused(whole.substr(0, 100), "is no tenant that tenantctl exported") == "");
    CHECK(refused("", "is no tenant that tenantctl exported") == "");
    auto later = whole;
    later.replace(0, 25, "tenantctl tenant export 9");
    CHECK(refused(later, "format 9") == "");
    CHECK(fault(project.run({"tenant", "import", "nothing"}), 2, {"cannot read"}) == "");
    CHECK_FALSE(project.has_schema("twin"));
  }

  TEST_CASE("what the other side lacks leaves nothing behind, and is told") {
    FullProject project;
    if (lacks_programs(project))
      return;
    const auto role = project.database.second_role();
    project.database.execute("GRANT SELECT ON acme.a TO " + role);
    project.must({"tenant", "export", "acme", "--file", "acme.tenant"});
    const auto file = (project.tool.folder().path() / "acme.tenant").string();
    Project other;
    other.write_abc();
    other.must({"registry", "init"});
    CHECK(fault(other.run({"tenant", "import", file, "--no-grants"}), 1,
                {"schema \"shared\" does not exist", "Nothing was kept"}) == "");
    CHECK_FALSE(other.has_schema("acme"));
    CHECK(other.database.value("SELECT count(*) FROM tenantctl.tenant") == "0");
  }

  TEST_CASE("a role that is gone is named, with what to say instead") {
    Project project;
    if (lacks_programs(project))
      return;
    project.write("tenant/0001_notes.sql", "CREATE TABLE notes (id int);", "DROP TABLE notes;");
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme"});
    const std::string role = project.database.name() + "_guest";
    project.database.execute("CREATE ROLE " + role + "; GRANT SELECT ON acme.notes TO " + role);
    project.must({"tenant", "export", "acme", "--file", "acme.tenant"});
    project.must({"tenant", "drop", "acme", "--purge", "--yes"});
    project.database.execute("DROP ROLE " + role);
    CHECK(fault(project.run({"tenant", "import", "acme.tenant"}), 1,
                {"a role that the tenant granted something to is not here", role, "--no-grants",
                 "--runtime-role", "Nothing was kept"}) == "");
    CHECK_FALSE(project.has_schema("acme"));
    project.must(
        {"tenant", "import", "acme.tenant", "--no-grants", "--runtime-role", "per-tenant"});
    const auto runtime = project.database.value("SELECT runtime_role FROM tenantctl.tenant");
    CHECK(project.database.value("SELECT has_table_privilege('" + runtime +
                                 "', 'acme.notes', 'SELECT')") == "t");
    project.must({"tenant", "export", "acme", "--file", "again.tenant"});
    project.must({"tenant", "drop", "acme", "--purge", "--yes"});
    project.must({"tenant", "import", "again.tenant"});
  }

  TEST_CASE("names with capitals and quotation marks, and a password, pass through the programs") {
    Project project;
    if (lacks_programs(project))
      return;
    project.write_abc();
    project.create_tenants(1);
    const std::string odd = "Big \"One\".a'b\\*$x";
    project.database.execute(
        "ALTER SCHEMA t001 RENAME TO \"Big \"\"One\"\".a'b\\*$x\"; "
        "INSERT INTO \"Big \"\"One\"\".a'b\\*$x\".a VALUES (7)");
    CHECK(fault(project.run({"tenant", "export", odd, "--file", "odd"}), 0) == "");
    CHECK(fault(project.run({"tenant", "import", "odd", "--as", "plain"}), 0) == "");
    CHECK(fault(project.run({"tenant", "clone", odd, std::string(63, 'x')}), 0) == "");
    CHECK(project.database.value("SELECT id FROM plain.a") == "7");
    CHECK(project.revision_of(std::string(63, 'x')) == "0003_c");
    const auto& role = project.database.second_role();
    project.database.execute("GRANT CREATE ON DATABASE " + project.database.name() + " TO " + role);
    project.tool.set_variable("DATABASE_URL", project.database.conninfo_as(role));
    project.must({"tenant", "create", "own"});
    CHECK(fault(project.run({"tenant", "clone", "own", "twin"}), 0) == "");
    CHECK(project.database.value("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = "
                                 "'twin.a'::regclass") == role);
  }
}
