#include <doctest/doctest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "support/json_schema.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// Three tenants at 0003_c and a fourth revision that waits in t001 until it is let go.
struct Slow : Project {
  Slow() {
    write_abc();
    create_tenants(3);
    database.execute(
        "CREATE TABLE public.closed AS SELECT 1;"
        "CREATE FUNCTION public.wait(schema text) RETURNS void LANGUAGE plpgsql AS $$BEGIN "
        "WHILE schema = 't001' AND EXISTS (SELECT FROM public.closed) LOOP "
        "PERFORM pg_sleep(0.02); END LOOP; END$$");
    write("tenant/0004_d.sql",
          "CREATE TABLE d (id int);\n"
          "SELECT public.wait(:'schema');");
  }

  void let_go() { database.execute("DELETE FROM public.closed"); }

  RunningProcess start(std::vector<std::string> args) {
    auto process = tool.start(args);
    for (int tries = 0; tries < 500; ++tries) {
      if (database.value("SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE "
                         "'SELECT public.wait(%' AND state = 'active' AND "
                         "datname = current_database()") == "t")
        return process;
      std::this_thread::sleep_for(10ms);
    }
    throw std::runtime_error("no revision waits");
  }

  void adopt(const std::string& schema) {
    database.execute("CREATE SCHEMA " + schema);
    must({"tenant", "adopt", "--schema", schema, "--at", "0003"});
  }
};

}  // namespace

TEST_SUITE("cli/newcomers") {
  TEST_CASE("tenants that appear while upgrade-all runs are brought forward and reported with it") {
    Slow project;
    auto process = project.start({"upgrade-all", "--jobs", "1", "--depth", "1", "--output", "json",
                                  "--report", "r.xml", "--report", "r.jsonl"});
    project.adopt("t004");
    project.adopt("u005");
    project.database.execute("CREATE SCHEMA bare; DROP SCHEMA t003 CASCADE");
    project.must({"tenant", "create", "at_head"});
    project.let_go();
    const auto run = process.wait(30s);
    CHECK(fault(run, 0) == "");
    const auto json = nlohmann::json::parse(run.out);
    CHECK(schema_errors(run.out, source_folder() / "tests/schemas/upgrade-all.schema.json") == "");
    const auto& tenants = json["tenants"];
    CHECK(tenants["appeared"] == 2);
    CHECK(tenants["counts"]["applied"] == 4);
    CHECK(tenants["counts"]["gone"] == 1);
    REQUIRE(tenants["schemas"].size() == 5);
    CHECK(tenants["schemas"][4]["schema"] == "u005");
    CHECK(project.has_table("t004", "d"));
    CHECK(project.has_table("u005", "d"));
    CHECK(fault(project.run({"check"}), 0) == "");

    CHECK(project.database.value("SELECT count(*) FROM tenantctl.run_schema WHERE result = "
                                 "'applied' AND schema IN ('t004', 'u005') AND run_id = '" +
                                 json["run_id"].get<std::string>() + "'") == "2");
    const auto folder = project.tool.folder().path();
    const std::string junit = text_of(folder / "r.xml");
    CHECK(contains(junit, "<testcase classname=\"tenant.u005\" name=\"0004_d\""));
    const std::string lines = text_of(folder / "r.jsonl");
    CHECK(contains(lines, "\"schema\":\"t004\""));
    CHECK(contains(lines, "\"appeared\":2"));
  }

  TEST_CASE("a person is told of them, and of no others") {
    Slow project;
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    auto process = project.start({"upgrade-all", "--tenants", "t*"});
    project.adopt("t004");
    project.adopt("u005");
    project.let_go();
    const auto run = process.wait(30s);
    CHECK(fault(run, 0,
                {"tenants  4 applied (4 schemas in ", "1 tenant that appeared meanwhile:\n",
                 "notice: 1 tenant that appeared meanwhile\n"}) == "");
    CHECK(project.revision_of("u005") == "0003_c");
  }

  TEST_CASE("who names schemas means no others") {
    Slow project;
    auto process = project.start({"upgrade-all", "--schema", "t001", "--schema", "t002"});
    project.adopt("t004");
    project.let_go();
    CHECK(fault(process.wait(30s), 0, {"tenants  2 applied"}) == "");
    CHECK(project.revision_of("t004") == "0003_c");
  }
}
