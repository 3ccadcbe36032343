#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/move_project.h"
#include "support/process.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

// Rows, schema, database, schema, rows: after each step the server is asked, not the tool.
void go_round(MoveProject& project) {
  project.fill("acme", 30);
  project.fill("beta", 5);
  const std::string before = project.hashes("", "home");
  CHECK(contains(before, "customers 30 "));
  CHECK(contains(before, "invoices 31 "));
  CHECK(contains(before, "teams 1 "));
  CHECK(contains(before, "members 1 "));
  CHECK(contains(before, "events 9 "));

  const auto run = project.run({"tenant", "move", "acme", "--to", "schema", "-o", "json"});
  CHECK(fault(run, 0) == "");
  CHECK(judged(run, "tenant-move") == "");
  CHECK(project.place() == "schema ready acme");
  CHECK(project.hashes("", "acme") == before);
  CHECK(project.ask("", {"SELECT nextval('acme.tickets')"}) ==
        project.ask("", {"SELECT last_value + 1 FROM home.tickets"}));
  CHECK(project.as_tenant("acme", "SELECT count(*) FROM customers") == "f\n30");
  project.confirm();
  CHECK(contains(project.hashes("", "home"), "customers 0 "));
  CHECK(project.ask("", {"SELECT count(*) FROM home.customers"}) == "5");

  const std::string own = project.name_of("acme");
  project.move("database");
  CHECK(project.place() == "database ready tenant " + own);
  CHECK(project.hashes(own, "tenant") == before);
  project.confirm();
  CHECK_FALSE(project.has_schema("acme"));
  project.must({"registry", "check"});
  project.must({"check"});

  project.move("schema");
  CHECK(project.hashes("", "acme") == before);
  project.confirm();
  CHECK(project.ask("", {"SELECT count(*) FROM pg_database WHERE datname = '" + own + "'"}) == "0");

  project.ask("", {"SELECT setval('acme.tickets', 1000)"});
  project.move("rows");
  CHECK(project.place() == "rows ready home");
  CHECK(project.hashes("", "home") == before);
  CHECK(project.ask("", {"SELECT nextval('home.tickets')"}) == "1001");
  project.confirm();
  CHECK(project.ask("", {"SELECT count(*) FROM home.customers"}) == "35");
  CHECK(project.moves() == "0");
  project.must({"registry", "check"});
}

}  // namespace

TEST_SUITE("cli/move") {
  TEST_CASE("a tenant goes from rows to schema, database, schema and back, and every row with it") {
    MoveProject project;
    go_round(project);
  }

  TEST_CASE("so it does where row security binds the migrating role") {
    MoveProject project(MoveProject::Role::owner);
    go_round(project);
  }

  TEST_CASE("a writer is refused by the gate meanwhile, and no row that it committed is lost") {
    MoveProject project;
    project.fill("acme", 3);
    const std::string done = (project.tool.folder().path() / "written").string();
    RunningProcess writer(
        {"bash", "-c",
         "for i in $(seq 1000); do [[ -e '" + done +
             ".stop' ]] && break; "
             "if psql -XAtq '" +
             project.database.conninfo() +
             "' -v ON_ERROR_STOP=1 -c BEGIN "
             "-c \"SELECT tenantctl.enter('acme')\" -c \"INSERT INTO customers (name) VALUES "
             "('w$i')\" -c COMMIT >/dev/null 2>>'" +
             done + ".errors'; then echo $i >>'" + done + "'; fi; done"});
    REQUIRE(project.comes("SELECT count(*) > 5 FROM home.customers WHERE name LIKE 'w%'", "t"));
    project.database.execute("BEGIN");
    project.database.value("SELECT count(*) FROM home.customers");
    auto run = project.tool.start({"tenant", "move", "acme", "--to", "schema"});
    REQUIRE(project.comes("SELECT state FROM tenantctl.tenant WHERE slug = 'acme'", "moving"));
    std::this_thread::sleep_for(500ms);
    project.database.execute("ROLLBACK");
    CHECK(fault(run.wait(), 0) == "");
    REQUIRE(
        project.comes("SELECT count(*) > 5 FROM acme.customers WHERE name LIKE 'w%' AND "
                      "name NOT IN (SELECT name FROM home.customers)",
                      "t"));
    std::ofstream(done + ".stop") << "";
    writer.wait();
    std::ifstream written(done);
    std::string names;
    int count = 0;
    for (std::string number; std::getline(written, number); ++count)
      names += (names.empty() ? "'w" : ", 'w") + number + "'";
    CHECK(project.ask("", {"SELECT count(*) FROM acme.customers WHERE name IN (" + names + ")"}) ==
          std::to_string(count));
    CHECK(project.ask("", {"SELECT count(*) FROM acme.customers WHERE name LIKE 'w%'"}) ==
          std::to_string(count));
    std::ifstream errors(done + ".errors");
    const std::string told{std::istreambuf_iterator<char>(errors), {}};
    CHECK(contains(told, "tenant acme is not ready, but moving"));
  }

  TEST_CASE("what was written since keeps a move from being undone, or confirmed") {
    MoveProject project;
    project.fill("acme", 4);
    const std::string before = project.hashes("", "home");
    project.move("schema");
    project.as_tenant("acme", "INSERT INTO customers (name) VALUES ('late')");
    CHECK(fault(project.run({"tenant", "move", "acme", "--undo"}), 1,
                {"schema acme was written to since the move: customers"}) == "");
    CHECK(project.place() == "schema ready acme");
    project.as_tenant("acme", "DELETE FROM customers WHERE name = 'late'");
    const auto undone = project.run({"tenant", "move", "acme", "--undo", "-o", "json"});
    CHECK(fault(undone, 0) == "");
    CHECK(judged(undone, "tenant-move") == "");
    CHECK(project.place() == "rows ready home");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(project.hashes("", "home") == before);

    project.move("database");
    project.ask("", {"INSERT INTO home.customers (name, tenant_id) VALUES ('astray', '" +
                     project.acme() + "')"});
    CHECK(fault(project.run({"tenant", "move", "acme", "--confirm"}), 1,
                {"rows of home was written to since the move: customers"}) == "");
    project.ask("", {"DELETE FROM home.customers WHERE name = 'astray'"});
    project.must({"tenant", "move", "acme", "--undo"});
    CHECK(project.place() == "rows ready home");
    CHECK(project.hashes("", "home") == before);
    CHECK(project.moves() == "0");
  }

  TEST_CASE("who has entered already is waited for, and named when the time is over") {
    MoveProject project;
    project.fill("acme", 2);
    project.database.execute("BEGIN");
    project.database.value("SELECT count(*) FROM home.customers");
    const std::string pid = project.database.value("SELECT pg_backend_pid()");
    CHECK(fault(project.run({"tenant", "move", "acme", "--to", "schema", "--lock-wait", "300ms"}),
                1,
                {"1 transaction is open that may have entered the tenant", "pid " + pid,
                 "--lock-wait"}) == "");
    CHECK(project.place() == "rows ready home");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(project.moves() == "0");
    // The other way, while the same transaction is open.
    project.must({"tenant", "create", "solo"});
    CHECK(fault(project.run({"tenant", "move", "solo", "--to", "rows", "--lock-wait", "300ms"}), 1,
                {"pid " + pid}) == "");
    CHECK(project.moves() == "0");
    CHECK(project.ask("", {"SELECT state FROM tenantctl.tenant WHERE slug = 'solo'"}) == "ready");
    project.database.execute("ROLLBACK");
  }

  TEST_CASE("interrupted while it waits, it puts everything back") {
    MoveProject project;
    project.fill("acme", 2);
    project.database.execute("BEGIN");
    project.database.value("SELECT count(*) FROM home.customers");
    auto run = project.tool.start({"tenant", "move", "acme", "--to", "schema"});
    REQUIRE(project.comes("SELECT state FROM tenantctl.tenant WHERE slug = 'acme'", "moving"));
    run.kill(SIGINT);
    CHECK(fault(run.wait(), 130, {"interrupted"}) == "");
    project.database.execute("ROLLBACK");
    CHECK(project.place() == "rows ready home");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(project.moves() == "0");
  }

  TEST_CASE("sessions in a tenant's own database are named, or ended by force") {
    MoveProject project;
    project.fill("acme", 2);
    project.move("database");
    project.confirm();
    RunningProcess idle({"psql", "-XAtq", project.conninfo_to(project.name_of("acme")), "-c",
                         "SELECT pg_sleep(60)"});
    REQUIRE(
        project.comes("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' "
                      "AND pid <> pg_backend_pid()",
                      "1"));
    CHECK(fault(project.run({"tenant", "move", "acme", "--to", "schema", "--lock-wait", "300ms"}),
                1, {"1 session is connected to database", "--force"}) == "");
    CHECK(project.place() == "database ready tenant " + project.name_of("acme"));
    CHECK(project.ask(project.name_of("acme"), {"SELECT 1"}) == "1");
    CHECK(fault(project.run({"tenant", "move", "acme", "--to", "schema", "--force"}), 0) == "");
    CHECK(project.place() == "schema ready acme");
  }

  TEST_CASE("killed while it waits or copies, it has changed nothing, and the next run goes on") {
    MoveProject project;
    project.fill("acme", 10);
    const std::string before = project.hashes("", "home");
    project.database.execute("BEGIN");
    project.database.value("SELECT count(*) FROM home.customers");
    {
      auto run = project.tool.start({"tenant", "move", "acme", "--to", "schema"});
      REQUIRE(project.comes("SELECT state FROM tenantctl.tenant WHERE slug = 'acme'", "moving"));
      CHECK(contains(project.as_tenant("acme", "SELECT 1"), "not ready, but moving"));
      run.kill(SIGKILL);
      run.wait();
    }
    project.database.execute("ROLLBACK");
    project.end_sessions_of_the_tool();
    CHECK(project.hashes("", "home") == before);
    CHECK(fault(project.run({"tenant", "drop", "acme", "--yes"}), 2, {"is moving from"}) == "");
    // Another target than the one begun.
    project.move("database");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(project.hashes(project.name_of("acme"), "tenant") == before);
    project.confirm();

    // As a run leaves it that was killed between the two commits of a move out of the database.
    project.move("schema");
    project.ask("", {"BEGIN; UPDATE tenantctl.tenant SET isolation = 'database', schema_name = "
                     "'tenant', database_name = '" +
                     project.name_of("acme") +
                     "', state = 'moving' WHERE slug = 'acme'; UPDATE tenantctl.move SET stage = "
                     "'copying'; COMMIT"});
    const auto cleared = project.run({"tenant", "move", "acme", "--undo", "-o", "json"});
    CHECK(fault(cleared, 0) == "");
    CHECK(json::parse(cleared.out)["action"] == "cleared");
    CHECK(project.place() == "database ready tenant " + project.name_of("acme"));
    CHECK(project.hashes(project.name_of("acme"), "tenant") == before);
  }

  TEST_CASE("killed while it drops what was left, the tenant is where it is, and it goes on") {
    MoveProject project;
    project.fill("acme", 5);
    const std::string before = project.hashes("", "home");
    project.move("schema");
    project.confirm();
    project.move("rows");
    RunningProcess holder({"psql", "-XAtq", project.database.conninfo(), "-c", "BEGIN", "-c",
                           "SELECT count(*) FROM acme.invoices", "-c", "SELECT pg_sleep(60)"});
    REQUIRE(
        project.comes("SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT "
                      "pg_sleep(60)'",
                      "1"));
    {
      auto run = project.tool.start({"tenant", "move", "acme", "--confirm"});
      REQUIRE(project.comes("SELECT stage FROM tenantctl.move", "confirming"));
      run.kill(SIGKILL);
      run.wait();
    }
    project.end_sessions_of_the_tool();
    holder.kill(SIGKILL);
    project.ask("", {"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT "
                     "pg_sleep(60)'"});
    CHECK(project.hashes("", "home") == before);
    CHECK(fault(project.run({"tenant", "move", "acme", "--undo"}), 2, {"--confirm finishes"}) ==
          "");
    project.confirm();
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(project.hashes("", "home") == before);
  }

  TEST_CASE("keys that another tenant has keep a tenant out of shared rows, and are named") {
    MoveProject project;
    project.must({"tenant", "create", "solo"});
    project.ask("", {"INSERT INTO home.teams (id, tenant_id) VALUES "
                     "('11111111-1111-1111-1111-111111111111', '" +
                     project.acme() + "')"});
    project.as_tenant("solo",
                      "INSERT INTO teams (id) VALUES "
                      "('11111111-1111-1111-1111-111111111111')");
    CHECK(fault(project.run({"tenant", "move", "solo", "--to", "rows"}), 1,
                {"a key is taken: teams_pkey of table teams",
                 "(id)=(11111111-1111-1111-1111-111111111111)"}) == "");
    CHECK(
        project.ask("", {"SELECT state || isolation FROM tenantctl.tenant WHERE slug = 'solo'"}) ==
        "readyschema");
    CHECK(project.ask("", {"SELECT count(*) FROM home.teams"}) == "1");
  }

  TEST_CASE("what cannot be moved is refused before anything is made") {
    MoveProject project;
    project.must({"tenant", "create", "solo"});
    const auto refused = [&project](std::vector<std::string> words,
                                    std::initializer_list<std::string_view> parts) {
      words.insert(words.begin(), {"tenant", "move"});
      return fault(project.run(words), 2, parts);
    };
    CHECK(refused({"acme"}, {"where to"}) == "");
    CHECK(refused({"acme", "--to", "schema", "--undo"}, {"three things"}) == "");
    CHECK(refused({"nobody", "--to", "schema"}, {"no tenant \"nobody\""}) == "");
    CHECK(refused({"acme", "--to", "rows"}, {"lives in rows of home already"}) == "");
    CHECK(refused({"acme", "--confirm"}, {"no move to confirm"}) == "");
    CHECK(refused({"acme", "--undo"}, {"no move to undo"}) == "");
    CHECK(refused({"acme", "--to", "schema", "--to-schema", "solo"}, {"schema solo is there"}) ==
          "");
    project.ask("", {"CREATE TABLE solo.extra (id int)"});
    CHECK(refused({"solo", "--to", "database"}, {"table extra is not in the target"}) == "");
    project.ask("", {"DROP TABLE solo.extra", "CREATE INDEX by_hand ON solo.teams (lead)"});
    CHECK(refused({"solo", "--to", "database"}, {"index by_hand is not in the target"}) == "");
    project.ask("", {"DROP INDEX solo.by_hand", "ALTER TABLE solo.teams ADD COLUMN scan oid"});
    CHECK(refused({"solo", "--to", "database"}, {"large objects", "teams.scan"}) == "");
    project.ask("", {"ALTER TABLE solo.teams DROP COLUMN scan",
                     "CREATE TABLE public.far (team uuid REFERENCES "
                     "solo.teams)"});
    CHECK(refused({"solo", "--to", "database"}, {"other schemas depend on schema solo", "far"}) ==
          "");
    project.ask("", {"DROP TABLE public.far", "INSERT INTO solo.countries VALUES ('it')"});
    CHECK(fault(project.run({"tenant", "move", "solo", "--to", "rows"}), 1,
                {"table countries has 3 rows in the source and 2 in the target", "--common"}) ==
          "");
    project.ask("", {"DELETE FROM solo.countries WHERE code = 'it'",
                     "INSERT INTO solo.teams (id, tenant_id) VALUES (gen_random_uuid(), "
                     "gen_random_uuid())"});
    CHECK(fault(project.run({"tenant", "move", "solo", "--to", "rows"}), 1,
                {"1 row is of table teams not the tenant's"}) == "");
    project.ask("", {"DELETE FROM solo.teams"});
    project.write("tenant/99990101000000_more.sql", "CREATE TABLE more (id int);",
                  "DROP TABLE more;");
    CHECK(refused({"solo", "--to", "rows"}, {"schema solo is not at the folder's head"}) == "");
    CHECK(project.ask("", {"SELECT count(*) FROM tenantctl.tenant WHERE state <> 'ready'"}) == "0");
    CHECK(project.ask("", {"SELECT count(*) FROM tenantctl.move"}) == "0");
    CHECK(project.ask("", {"SELECT count(*) FROM pg_database WHERE starts_with(datname, '" +
                           project.name_of("") + "')"}) == "0");
  }

  TEST_CASE("what is kept is not dropped where it is all that is left of the tenant") {
    MoveProject project;
    project.fill("acme", 3);
    project.must({"tenant", "move", "acme", "--to", "database"});
    project.database.execute("DROP DATABASE \"" + project.name_of("acme") + "\"");
    CHECK(fault(project.run({"tenant", "move", "acme", "--confirm"}), 1,
                {"is not there any more", "Nothing was dropped"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM home.customers WHERE tenant_id = '" +
                                 project.acme() + "'") == "3");
  }

  TEST_CASE("an upgrade of all while a tenant moves keeps nobody from clearing up") {
    MoveProject project;
    project.fill("acme", 3);
    const std::string before = project.hashes("", "home");
    project.database.execute("BEGIN");
    project.database.value("SELECT count(*) FROM home.customers");
    auto move = project.tool.start({"tenant", "move", "acme", "--to", "schema"});
    REQUIRE(project.comes("SELECT state FROM tenantctl.tenant WHERE slug = 'acme'", "moving"));
    project.write("tenant/99991231000000_more.sql", "CREATE TABLE more (id int);",
                  "DROP TABLE more;");
    project.must({"upgrade-all", "--tenants", "acme"});
    project.database.execute("COMMIT");
    CHECK(fault(move.wait(60s), 1) == "");
    CHECK(project.place() == "rows ready home");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(project.hashes("", "home") == before);
    CHECK(project.moves() == "0");
  }

  TEST_CASE("what a move keeps is nobody's to adopt, to make or to rename") {
    MoveProject project;
    project.must({"tenant", "move", "acme", "--to", "schema"});
    project.must({"tenant", "move", "acme", "--confirm"});
    project.must({"tenant", "move", "acme", "--to", "database"});
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"tenant", "adopt", "--schema", "acme"},
          std::vector<std::string>{"upgrade", "--create", "--schema", "acme"},
          std::vector<std::string>{"tenant", "rename", "acme", "other"},
          std::vector<std::string>{"tenant", "drop", "acme", "--yes"}}) {
      CAPTURE(command[1]);
      CHECK(fault(project.run(command), 2, {"is not confirmed", "--confirm or --undo"}) == "");
    }
    project.must({"tenant", "move", "acme", "--undo"});
    CHECK(project.moves() == "0");
  }

  TEST_CASE("rows that say whose they are are not copied for somebody else") {
    MoveProject project;
    project.must({"tenant", "move", "acme", "--to", "schema"});
    project.must({"tenant", "move", "acme", "--confirm"});
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"tenant", "clone", "acme", "copy"},
          std::vector<std::string>{"tenant", "export", "acme", "--file", "acme.tenant"}}) {
      CHECK(fault(project.run(command), 2, {"say whose they are", "HINT"}) == "");
    }
    CHECK(project.database.value("SELECT to_regnamespace('copy') IS NULL") == "t");
  }

  TEST_CASE("triggers do not fire for rows that are only moved, and are there afterwards") {
    Project project;
    project.write("tenant/0001_notes.sql",
                  "CREATE TABLE notes (body text);\n"
                  "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                  "NEW.body := NEW.body || '!'; RETURN NEW; END $$;\n"
                  "CREATE TRIGGER spoil BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION "
                  "spoil();",
                  "DROP TABLE notes; DROP FUNCTION spoil();");
    const std::string own = project.database.name() + "_acme";
    project.must({"registry", "init"});
    project.must({"gate", "install"});
    project.must({"tenant", "create", "acme"});
    project.database.execute("INSERT INTO acme.notes VALUES ('one')");
    project.must({"tenant", "move", "acme", "--to", "database", "--database-prefix",
                  project.database.name() + "_"});
    project.must({"tenant", "move", "acme", "--confirm"});
    project.must({"tenant", "move", "acme", "--to", "schema"});
    project.database.execute("INSERT INTO acme.notes VALUES ('two')");
    CHECK(project.database.value("SELECT string_agg(body, ',' ORDER BY body) FROM acme.notes") ==
          "one!,two!");
    project.database.execute("DELETE FROM acme.notes WHERE body = 'two!'");
    project.must({"tenant", "move", "acme", "--confirm"});
    CHECK(project.database.value("SELECT count(*) FROM pg_database WHERE datname = '" + own +
                                 "'") == "0");
  }

  TEST_CASE("killed in the middle of a table, the source is whole and the next run moves it") {
    Project project;
    project.write("tenant/0001_notes.sql", "CREATE TABLE notes (id int, body text);",
                  "DROP TABLE notes;");
    project.must({"registry", "init"});
    project.must({"gate", "install"});
    project.must({"tenant", "create", "acme"});
    project.database.execute(
        "INSERT INTO acme.notes SELECT n, repeat(md5(n::text), 40) FROM "
        "generate_series(1, 80000) n");
    const std::string sum = "SELECT count(*) || md5(string_agg(md5(body), '' ORDER BY id)) FROM ";
    const std::string before = project.database.value(sum + "acme.notes");
    const std::string prefix = project.database.name() + "_";
    project.tool.set_variable("TENANTCTL_DATABASE_PREFIX", prefix);
    auto run = project.tool.start({"tenant", "move", "acme", "--to", "database"});
    bool is_copying = false;
    for (int tries = 0; tries < 2000 && !is_copying; ++tries) {
      is_copying = project.database.value(
                       "SELECT count(*) > 0 FROM pg_stat_activity WHERE query "
                       "LIKE 'COPY %' AND state = 'active' AND "
                       "application_name LIKE 'tenantctl%'") == "t";
      std::this_thread::sleep_for(5ms);
    }
    run.kill(SIGKILL);
    run.wait();
    REQUIRE(is_copying);
    CHECK(project.database.value("SELECT state FROM tenantctl.tenant") == "moving");
    CHECK(project.database.value(sum + "acme.notes") == before);
    CHECK(fault(project.run({"registry", "check"}), 4, {"acme"}) == "");
    project.must({"tenant", "move", "acme", "--to", "database"});
    project.must({"tenant", "move", "acme", "--confirm"});
    CHECK_FALSE(project.has_schema("acme"));
    project.must({"tenant", "move", "acme", "--to", "schema"});
    CHECK(project.database.value(sum + "acme.notes") == before);
    project.must({"tenant", "move", "acme", "--confirm"});
  }

  TEST_CASE("a big table goes through a client that stays small") {
    Project project;
    project.write("tenant/0001_notes.sql", "CREATE TABLE notes (id int, body text);",
                  "DROP TABLE notes;");
    project.must({"registry", "init"});
    project.must({"tenant", "create", "acme"});
    project.database.execute(
        "INSERT INTO acme.notes SELECT n, repeat(md5(n::text), 40) FROM "
        "generate_series(1, 80000) n");
    const std::string prefix = project.database.name() + "_";
    auto run = project.tool.start(
        {"tenant", "move", "acme", "--to", "database", "--database-prefix", prefix});
    const std::string status = "/proc/" + std::to_string(run.pid()) + "/status";
    long most = 0;
    std::thread watch([&most, &status] {
      for (std::ifstream file(status); file; file = std::ifstream(status)) {
        for (std::string line; std::getline(file, line);) {
          if (line.starts_with("VmHWM:"))
            most = std::max(most, std::stol(line.substr(6)));
        }
        std::this_thread::sleep_for(5ms);
        if (most == 0)
          break;
      }
    });
    const auto finished = run.wait();
    watch.join();
    CHECK(fault(finished, 0, {"80000 rows"}) == "");
    // More than 100 MB of text went through.
    MESSAGE("most memory: " << most << " kB");
    CHECK(most > 0);
    CHECK(most < 40'000);
    project.must({"tenant", "move", "acme", "--undo"});
    CHECK(project.database.value("SELECT count(*) FROM acme.notes") == "80000");
    CHECK(project.database.value("SELECT count(*) FROM pg_database WHERE starts_with(datname, '" +
                                 prefix + "')") == "0");
  }
}
