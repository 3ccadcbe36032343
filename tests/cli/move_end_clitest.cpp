#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/move_project.h"
#include "support/process.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

/// Tenants acme and beta with a note each in shared tables that nobody protects, whose tenant
/// column has a name of its own.
class AccountsProject : public ManyDatabases {
 public:
  AccountsProject() {
    write("tenant/0001_notes.sql",
          "CREATE TABLE plans (code text PRIMARY KEY);\nINSERT INTO plans VALUES ('free');\n"
          "CREATE TABLE ticks ();\n"
          "CREATE TABLE notes (account uuid NOT NULL, body text, plan text REFERENCES plans);",
          "DROP TABLE notes, ticks, plans;");
    must({"registry", "init"});
    must({"gate", "install"});
    must({"tenant", "create", "acme", "beta", "--isolation", "rows", "--home", "home", "-q"});
    database.execute(
        "INSERT INTO home.notes SELECT id, slug, 'free' FROM tenantctl.tenant; "
        "INSERT INTO home.ticks SELECT FROM generate_series(1, 3)");
  }

  void move() const {
    must({"tenant", "move", "acme", "--to", "schema", "--common", "plans", "--common", "ticks",
          "--tenant-column", "account"});
  }

  std::string notes_in(const std::string& schema) const {
    return database.value("SELECT string_agg(body, ',' ORDER BY body) FROM " + schema + ".notes");
  }

  std::string moves_version() const {
    return database.value("SELECT version FROM tenantctl.component WHERE name = 'moves'");
  }
};

const std::vector<std::string> confirms{"tenant", "move", "acme", "--confirm"};
const std::vector<std::string> undoes{"tenant", "move", "acme", "--undo"};

}  // namespace

TEST_SUITE("cli/move end") {
  TEST_CASE("confirm and undo tell rows apart as the move did, without being told again") {
    AccountsProject project;
    project.move();
    project.must(undoes);
    CHECK(project.notes_in("home") == "acme,beta");
    CHECK_FALSE(project.has_schema("acme"));
    project.move();
    project.must(confirms);
    CHECK(project.notes_in("home") == "beta");
    CHECK(project.notes_in("acme") == "acme");
  }

  TEST_CASE("a move of an older version is shown, and ended by what is told with it") {
    AccountsProject project;
    project.move();
    project.database.execute(
        "ALTER TABLE tenantctl.move DROP COLUMN tenant_column, DROP COLUMN common; "
        "UPDATE tenantctl.component SET version = 1 WHERE name = 'moves'");
    CHECK(fault(project.run({"tenant", "drop", "acme", "--yes"}), 2, {"is not confirmed"}) == "");
    CHECK(project.moves_version() == "1");
    project.must({"tenant", "move", "acme", "--confirm", "--common", "plans", "--common", "ticks",
                  "--tenant-column", "account"});
    CHECK(project.moves_version() == "2");
    CHECK(project.notes_in("home") == "beta");
  }

  TEST_CASE("rows of tables that nothing can be written into go along") {
    AccountsProject project;
    project.move();
    CHECK(project.database.value("SELECT count(*) FROM acme.ticks") == "3");
    project.must(confirms);
    project.must({"tenant", "move", "acme", "--to", "database"});
    CHECK(
        project.database.value("SELECT database_name FROM tenantctl.tenant WHERE slug = 'acme'") ==
        project.name_of("acme"));
    project.must(confirms);
    project.move();
    CHECK(project.database.value("SELECT count(*) FROM acme.ticks") == "3");
  }

  TEST_CASE("rows of others that refer to the tenant's are named before anything is dropped") {
    MoveProject project;
    project.fill("acme", 3);
    project.fill("beta", 1);
    const std::string its = "(SELECT min(id::text)::uuid FROM home.customers WHERE tenant_id = '" +
                            project.acme() + "')";
    project.move("schema");
    project.ask("", {"CREATE TABLE public.far (customer uuid REFERENCES home.customers "
                     "ON DELETE CASCADE)",
                     "INSERT INTO public.far SELECT " + its,
                     "UPDATE home.customers SET invited_by = " + its + " WHERE tenant_id <> '" +
                         project.acme() + "'"});
    CHECK(fault(project.run(confirms), 2,
                {"rows of others depend on rows of home", "far_customer_fkey of public.far",
                 "customers_invited_by_fkey of home.customers", "--undo is possible"}) == "");
    CHECK(project.ask("", {"SELECT stage FROM tenantctl.move"}) == "moved");
    CHECK(project.ask("", {"SELECT count(*) FROM public.far"}) == "1");
    project.must(undoes);
    CHECK(project.place() == "rows ready home");
    CHECK(fault(project.run({"tenant", "move", "acme", "--to", "schema"}), 2,
                {"rows of others depend on rows of home", "Nothing was moved"}) == "");
    project.ask("", {"DROP TABLE public.far", "UPDATE home.customers SET invited_by = NULL"});
    project.move("schema");
    project.confirm();
    CHECK(project.ask("", {"SELECT count(*) FROM home.customers"}) == "1");
  }

  TEST_CASE("what elsewhere hangs on a schema is named, and neither end takes it away") {
    MoveProject project;
    project.fill("acme", 2);
    project.move("schema");
    project.ask("", {"CREATE TABLE public.far (feels acme.mood, "
                     "number bigint DEFAULT nextval('acme.tickets'))",
                     "CREATE VIEW public.seen AS SELECT name FROM acme.customers"});
    const auto refused = [&project](const std::vector<std::string>& command) {
      return fault(project.run(command), 2,
                   {"other schemas depend on schema acme", "column public.far.feels",
                    "default of public.far.number", "view public.seen"});
    };
    CHECK(refused(undoes) == "");
    CHECK(project.place() == "schema ready acme");
    project.ask("", {"DROP TABLE public.far", "DROP VIEW public.seen"});
    project.confirm();
    project.move("rows");
    project.ask("", {"CREATE TABLE public.far (feels acme.mood, "
                     "number bigint DEFAULT nextval('acme.tickets'))",
                     "CREATE VIEW public.seen AS SELECT name FROM acme.customers"});
    CHECK(refused(confirms) == "");
    project.must(undoes);
    CHECK(project.place() == "schema ready acme");
    CHECK(project.ask("", {"SELECT count(*) FROM public.seen"}) == "2");
  }

  TEST_CASE("written on both sides, a move ends by saying what is given up") {
    MoveProject project;
    project.fill("acme", 2);
    project.move("schema");
    project.as_tenant("acme", "INSERT INTO customers (name) VALUES ('late')");
    project.ask("", {"INSERT INTO home.customers (name, tenant_id) VALUES ('astray', '" +
                     project.acme() + "')"});
    CHECK(fault(project.run(undoes), 1,
                {"schema acme was written to since the move: customers (2 rows then, 3 now)",
                 "--confirm"}) == "");
    CHECK(fault(project.run(confirms), 1,
                {"rows of home was written to since the move: customers (2 rows then, 3 now)",
                 "--confirm --discard-writes", "Nothing was dropped"}) == "");
    CHECK(fault(project.run({"tenant", "move", "acme", "--undo", "--discard-writes"}), 2,
                {"--discard-writes says how to --confirm"}) == "");
    const auto doubted = project.tool.run_in_terminal(confirms, {{"all the same?", "no\n"}});
    CHECK(doubted.exit_code == 2);
    CHECK(contains(doubted.out, "what was written there is lost"));
    CHECK(project.ask("", {"SELECT stage FROM tenantctl.move"}) == "moved");
    const auto run =
        project.run({"tenant", "move", "acme", "--confirm", "--discard-writes", "-o", "json"});
    CHECK(fault(run, 0) == "");
    CHECK(judged(run, "tenant-move") == "");
    CHECK(json::parse(run.out)["discarded"] == json{"customers (2 rows then, 3 now)"});
    CHECK(project.ask("", {"SELECT count(*) FROM home.customers"}) == "0");
    CHECK(project.ask("", {"SELECT string_agg(name, ',' ORDER BY name) FROM acme.customers"}) ==
          "c1,c2,late");
  }

  TEST_CASE("a tenant that was suspended or archived since stays so, whichever way it goes") {
    MoveProject project;
    project.fill("acme", 2);
    const std::string before = project.hashes("", "home");
    project.move("schema");
    project.must({"tenant", "suspend", "acme"});
    project.must(undoes);
    CHECK(project.place() == "rows suspended home");
    CHECK(project.hashes("", "home") == before);
    project.move("database");
    project.must({"tenant", "archive", "acme"});
    project.must(confirms);
    CHECK(project.place() == "database archived tenant " + project.name_of("acme"));
    CHECK(project.moves() == "0");
  }

  TEST_CASE("what is kept is told wherever people look, and one day it is a finding") {
    MoveProject project;
    project.fill("acme", 1);
    project.move("schema");
    const auto told = [&project](std::vector<std::string> command, int code, bool is_json) {
      const std::string schema = command[0] + (command[0] == "status" ? "" : "-" + command[1]);
      if (is_json)
        command.insert(command.end(), {"-o", "json"});
      const auto run = project.run(command);
      return fault(run, code,
                   {is_json ? "\"stage\": \"moved\"" : "moved from rows of home, which"}) +
             (is_json ? judged(run, schema) : "");
    };
    for (const bool is_json : {false, true}) {
      CHECK(told({"tenant", "list"}, 0, is_json) == "");
      CHECK(told({"tenant", "show", "acme"}, 0, is_json) == "");
      CHECK(told({"status"}, 0, is_json) == "");
      CHECK(told({"registry", "check"}, 0, is_json) == "");
    }
    project.ask("", {"UPDATE tenantctl.move SET moved_at = moved_at - interval '40 days'"});
    CHECK(told({"registry", "check"}, 4, true) == "");
    CHECK(fault(project.run({"registry", "check"}), 4,
                {"acme: has moved, and what it left is kept for too long", "(40 days)",
                 "tenantctl tenant move acme --confirm or --undo"}) == "");
    CHECK(fault(project.run({"registry", "check", "--keep-moves", "41d"}), 0,
                {"registry and schemas agree"}) == "");
    CHECK(fault(project.run({"status"}), 0, {"1 move is not ended", "(40 days)"}) == "");
    // What was begun, and nobody is at, is a finding at once.
    project.ask("", {"UPDATE tenantctl.move SET stage = 'confirming'"});
    CHECK(fault(project.run({"registry", "check"}), 4,
                {"acme: provisioning, deleting or moving, and nobody is at it"}) == "");
    project.confirm();
    project.must({"registry", "check"});
    const auto list = json::parse(project.run({"tenant", "list", "-o", "json"}).out);
    for (const json& tenant : list["tenants"])
      CHECK_FALSE(tenant.contains("move"));
  }

  // As a run leaves it that was killed while it waited for the sessions of the tenant's database.
  TEST_CASE("an undo that was killed behind the door that it had shut goes on, or is given up") {
    MoveProject project;
    project.fill("acme", 2);
    const std::string own = "\"" + project.name_of("acme") + "\"";
    const std::vector<std::string> shut{
        "UPDATE tenantctl.tenant SET state = 'moving' WHERE slug = 'acme'",
        "ALTER DATABASE " + own + " WITH ALLOW_CONNECTIONS = false"};
    project.move("database");
    project.ask("", shut);
    project.must(undoes);
    CHECK(project.place() == "rows ready home");
    project.move("database");
    project.ask("", shut);
    project.must(confirms);
    CHECK(project.place() == "database ready tenant " + project.name_of("acme"));
    CHECK(project.ask(project.name_of("acme"), {"SELECT count(*) FROM tenant.customers"}) == "2");
  }
}
