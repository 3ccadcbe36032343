#include "rollout/run_ledger.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "pq/server_error.h"
#include "rollout/run_recorder.h"
#include "support/rollout_bench.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

constexpr auto first_id = "10000000-0000-4000-8000-000000000001";
constexpr auto second_id = "20000000-0000-4000-8000-000000000002";

RunStart start(const std::string& id, const std::vector<std::string>& schemas) {
  RunStart run;
  run.id = id;
  run.command = "upgrade-all";
  run.target = "head";
  run.os_user = "ci";
  run.host = "runner";
  run.tool_version = "0.1.0";
  run.tenant_digest = std::string(64, 'a');
  run.groups.push_back({.scope = Scope::tenant,
                        .from = 1,
                        .to = 3,
                        .revisions = {"0002_b", "0003_c"},
                        .count = schemas.size(),
                        .schemas = schemas});
  run.groups.push_back({.scope = Scope::tenant, .from = 3, .to = 3, .count = 7});
  return run;
}

SchemaReport report(const std::string& name, Result result) {
  SchemaReport one;
  one.schema = name;
  one.result = result;
  one.from = 1;
  one.revision = result == Result::applied ? 3 : 2;
  one.steps = 1;
  one.tries = 4;
  one.duration = std::chrono::milliseconds(12);
  return one;
}

RunSchema row(const std::string& name, Result result) {
  return {.scope = Scope::tenant, .report = report(name, result)};
}

std::vector<RunSchema> rows(const std::string& name, Result result) {
  std::vector<RunSchema> all;
  all.push_back(row(name, result));
  return all;
}

RunRecorder::Options options_for(const TestDatabase& database) {
  RunRecorder::Options options;
  options.reconnect.url = database.conninfo();
  return options;
}

Report report_of(const std::vector<std::string>& names, Result result) {
  Report all;
  for (const auto& name : names)
    all.schemas.push_back(report(name, result));
  return all;
}

}  // namespace

TEST_SUITE("pg/rollout/run_ledger") {
  TEST_CASE("a run is read back as it was written") {
    TestDatabase database;
    Session session(database);
    RunLedger ledger(session.pipeline(), {});
    const std::vector<std::string> names{"t1", "quo\"te", "back\\slash", "a,b {c}", "NULL"};
    ledger.begin(start(first_id, names), true);
    std::vector<RunSchema> schemas;
    for (const auto& name : names)
      schemas.push_back(row(name, name == "t1" ? Result::applied : Result::failed));
    schemas[1].report.failure = std::make_unique<Failure>(
        Failure{.message = "a \"quoted\" \\ message\nof two lines, \xff and \x01",
                .hint = "Do this.",
                .sqlstate = "42P01",
                .revision = "0002_b",
                .place = Place{.file = "b.sql", .line = 3, .column = 5, .text = ""}});
    ledger.add(first_id, schemas);
    ResultCounts counts{};
    counts.at(static_cast<std::size_t>(Result::failed)) = 4;
    ledger.end(first_id, {.state = RunState::failed, .tenants = counts}, {});

    const RunRecord run = ledger.find("10000000");
    CHECK(run.start.command == "upgrade-all");
    CHECK(run.start.host == "runner");
    CHECK(run.end.state == RunState::failed);
    CHECK(run.end.tenants == counts);
    CHECK_FALSE(run.end.shared);
    CHECK(run.user == database.value("SELECT session_user"));
    CHECK(run.ended_at.size() == 20);
    REQUIRE(run.start.groups.size() == 2);
    CHECK(run.start.groups[0].revisions == std::vector<std::string>{"0002_b", "0003_c"});
    CHECK(run.start.groups[0].schemas == names);
    CHECK(run.start.groups[1].count == 7);
    const auto read = ledger.schemas(first_id);
    REQUIRE(read.size() == 5);
    const auto quoted = std::find_if(read.begin(), read.end(), [](const RunSchema& one) {
      return one.report.schema == "quo\"te";
    });
    REQUIRE(quoted != read.end());
    CHECK(quoted->report.failure->message ==
          "a \"quoted\" \\ message\nof two lines, \\xff and \\x01");
    CHECK(quoted->report.failure->place->column == 5);
    CHECK(quoted->report.tries == 4);
    CHECK(touched_schemas(run, read, Scope::tenant).size() == 5);
    CHECK(unfinished_schemas(run, read, Scope::tenant) ==
          std::vector<std::string>{"NULL", "a,b {c}", "back\\slash", "quo\"te"});
    CHECK(unfinished_schemas(run, read, Scope::shared).empty());
  }

  TEST_CASE("what was never come to is unfinished, and a row written again is replaced") {
    TestDatabase database;
    Session session(database);
    RunLedger ledger(session.pipeline(), {});
    ledger.begin(start(first_id, {"t1", "t2", "t3"}), true);
    ledger.add(first_id, rows("t1", Result::failed));
    ledger.add(first_id, rows("t1", Result::applied));
    const auto read = ledger.schemas(first_id);
    REQUIRE(read.size() == 1);
    CHECK(read[0].report.revision == 3);
    CHECK(unfinished_schemas(ledger.find("1"), read, Scope::tenant) ==
          std::vector<std::string>{"t2", "t3"});
    // Nobody knows about t2 and t3: they may have been changed.
    CHECK(touched_schemas(ledger.find("1"), read, Scope::tenant).size() == 3);
  }

  TEST_CASE("a run lives as long as its session, and one through a pooler while it is heard of") {
    TestDatabase database;
    Session reader(database);
    RunLedger ledger(reader.pipeline(), {});
    CHECK(ledger.newest(5).empty());
    {
      std::optional<Session> runner(std::in_place, database);
      RunLedger(runner->pipeline(), {}).begin(start(first_id, {"t1"}), true);
      RunLedger(runner->pipeline(), {}).begin(start(second_id, {"t1"}), false);
      CHECK(ledger.find("1").end.state == RunState::running);
    }
    CHECK(becomes_true(database,
                       "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = "
                       "'advisory' AND objsubid = 1)"));
    CHECK(ledger.find("1").end.state == RunState::abandoned);
    CHECK(ledger.find("2").end.state == RunState::running);
    database.execute("UPDATE tenantctl.run SET seen_at = seen_at - interval '2 minutes'");
    CHECK(ledger.find("2").end.state == RunState::unknown);
    CHECK_THROWS_WITH_AS(ledger.find("3"), "there is no run 3", UsageError);
    CHECK(ledger.newest(1).size() == 1);
    CHECK(ledger.newest(1)[0].start.id == second_id);
  }

  TEST_CASE("a run's lock is free when it has ended") {
    TestDatabase database;
    Session session(database);
    RunLedger ledger(session.pipeline(), {});
    ledger.begin(start(first_id, {"t1"}), true);
    const std::string locks =
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1";
    CHECK(database.value(locks) == "1");
    ledger.end(first_id, {.state = RunState::ok}, {});
    CHECK(database.value(locks) == "0");
  }

  TEST_CASE("tables that somebody else has a hand in are neither written nor read") {
    TestDatabase database;
    Session session(database);
    RunLedger ledger(session.pipeline(), {});
    ledger.begin(start(first_id, {"t1"}), false);
    database.execute(
        "CREATE TABLE public.trap (n int);"
        "CREATE FUNCTION public.spring() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO public.trap VALUES (1); RETURN NEW; END'");
    const auto refused = [&] {
      CHECK_THROWS_AS(ledger.add(first_id, rows("t1", Result::applied)), UsageError);
      CHECK_THROWS_AS(ledger.newest(1), UsageError);
      CHECK(database.value("SELECT count(*) FROM public.trap") == "0");
    };
    database.execute(
        "CREATE TRIGGER spring BEFORE INSERT ON tenantctl.run_schema FOR EACH ROW EXECUTE "
        "FUNCTION public.spring()");
    refused();
    database.execute("DROP TRIGGER spring ON tenantctl.run_schema");
    CHECK_NOTHROW(ledger.newest(1));
    database.execute("ALTER TABLE tenantctl.run ENABLE ROW LEVEL SECURITY");
    refused();
    database.execute("ALTER TABLE tenantctl.run DISABLE ROW LEVEL SECURITY");
    const std::string role = database.second_role();
    database.execute("ALTER TABLE tenantctl.run_schema OWNER TO " + role);
    refused();
    CHECK_NOTHROW(RunLedger(session.pipeline(), {role}).newest(1));
    database.execute(
        "ALTER TABLE tenantctl.run_schema OWNER TO CURRENT_USER;"
        "ALTER TABLE tenantctl.run RENAME TO hidden;"
        "CREATE VIEW tenantctl.run AS SELECT * FROM tenantctl.hidden");
    refused();
  }

  TEST_CASE("a schema of that name which is somebody else's is left alone") {
    TestDatabase database;
    const std::string role = database.second_role();
    database.execute("CREATE SCHEMA tenantctl AUTHORIZATION " + role);
    Session session(database);
    RunLedger ledger(session.pipeline(), {});
    CHECK_THROWS_AS(ledger.begin(start(first_id, {"t1"}), false), UsageError);
    CHECK(database.value("SELECT count(*) FROM pg_class c WHERE relnamespace = "
                         "'tenantctl'::regnamespace") == "0");
    CHECK(ledger.newest(1).empty());
  }

  TEST_CASE("another version's ledger is refused; a comment that a dump lost is no harm") {
    TestDatabase database;
    Session session(database);
    RunLedger ledger(session.pipeline(), {});
    ledger.begin(start(first_id, {"t1"}), false);
    database.execute("COMMENT ON SCHEMA tenantctl IS 'tenantctl ledger 2'");
    CHECK_THROWS_WITH_AS(ledger.newest(1),
                         "the ledger cannot be used: another version of tenantctl made it",
                         UsageError);
    database.execute("COMMENT ON SCHEMA tenantctl IS NULL");
    CHECK(ledger.newest(1).size() == 1);
  }

  TEST_CASE("first runs at once make one ledger") {
    TestDatabase database;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&database, i] {
        Session session(database);
        RunLedger(session.pipeline(), {})
            .begin(start(fmt::format("{}0000000-0000-4000-8000-000000000001", i), {"t1"}), true);
      });
    }
    for (std::thread& thread : threads)
      thread.join();
    CHECK(database.value("SELECT count(*) FROM tenantctl.run") == "4");
  }
}

TEST_SUITE("pg/rollout/run_recorder") {
  TEST_CASE("schemas are written by the thousand, not one by one") {
    TestDatabase database;
    Session session(database);
    RunRecorder recorder(session.pipeline(), options_for(database));
    const auto names = schema_names(2'500);
    recorder.begin(start(first_id, names));
    CHECK(database.value("SELECT state FROM tenantctl.run") == "running");
    for (const auto& name : names)
      recorder.finished(report(name, Result::applied), {});
    const Report all = report_of(names, Result::applied);
    recorder.complete(Scope::tenant, all);
    recorder.end(RunState::ok);
    CHECK(recorder.is_recording());
    CHECK(database.value("SELECT count(*) FROM tenantctl.run_schema") == "2500");
    // Every transaction has a number of its own. One more or less, by the clock.
    CHECK(std::stoi(database.value("SELECT count(DISTINCT xmin::text) FROM "
                                   "tenantctl.run_schema")) <= 6);
    CHECK(database.value("SELECT counts->'tenant'->>'applied' FROM tenantctl.run") == "2500");
  }

  TEST_CASE("what no worker had is added at the end, and what stood there is only counted") {
    TestDatabase database;
    Session session(database);
    RunRecorder recorder(session.pipeline(), options_for(database));
    recorder.begin(start(first_id, {"t1", "t2"}));
    recorder.finished(report("t1", Result::failed), {});
    Report all = report_of({"t1", "t2"}, Result::failed);
    all.schemas.push_back(report("t3", Result::unchanged));
    all.schemas.push_back(report("t4", Result::gone));
    recorder.complete(Scope::tenant, all);
    recorder.end(RunState::failed);
    CHECK(database.value("SELECT string_agg(schema || ' ' || result, ', ' ORDER BY schema) FROM "
                         "tenantctl.run_schema") == "t1 failed, t2 failed, t4 gone");
    CHECK(database.value("SELECT counts->'tenant'->>'unchanged' FROM tenantctl.run") == "1");
  }

  TEST_CASE("a run over one schema is one transaction at its end") {
    TestDatabase database;
    Session session(database);
    RunRecorder recorder(session.pipeline(), options_for(database));
    RunStart run = start(first_id, {"t1"});
    run.groups.pop_back();
    recorder.begin(run);
    CHECK(database.value("SELECT to_regclass('tenantctl.run') IS NULL") == "t");
    recorder.finished(report("t1", Result::applied), {});
    recorder.complete(Scope::tenant, report_of({"t1"}, Result::applied));
    recorder.end(RunState::ok);
    CHECK(database.value("SELECT count(DISTINCT xmin::text) FROM (SELECT xmin FROM tenantctl.run "
                         "UNION ALL SELECT xmin FROM tenantctl.run_schema) AS all_rows") == "1");
    CHECK(database.value("SELECT ended_at - started_at >= interval '12 ms' FROM tenantctl.run") ==
          "t");
  }

  TEST_CASE("a lost connection is made anew, and the run still lives there") {
    TestDatabase database;
    Session session(database);
    RunRecorder recorder(session.pipeline(), options_for(database));
    recorder.begin(start(first_id, {"t1", "t2"}));
    recorder.finished(report("t1", Result::applied), {});
    database.execute(
        fmt::format("SELECT pg_terminate_backend({})", session.connection().backend_pid()));
    recorder.complete(Scope::tenant, report_of({"t1", "t2"}, Result::failed), true);
    CHECK(recorder.why_not() == "");
    Session reader(database);
    CHECK(RunLedger(reader.pipeline(), {}).find("1").end.state == RunState::running);
    recorder.end(RunState::failed);
    CHECK(recorder.why_not() == "");
    CHECK(RunLedger(reader.pipeline(), {}).find("1").end.state == RunState::failed);
    CHECK(database.value("SELECT count(*) FROM tenantctl.run_schema") == "2");
  }

  TEST_CASE("a table that somebody locked costs the record, not the run") {
    TestDatabase database;
    Session session(database);
    RunRecorder recorder(session.pipeline(), options_for(database));
    recorder.begin(start(first_id, {"t1", "t2"}));
    recorder.finished(report("t1", Result::failed), {});
    database.execute("BEGIN; LOCK TABLE tenantctl.run_schema");
    recorder.complete(Scope::tenant, report_of({"t1", "t2"}, Result::failed), true);
    database.execute("ROLLBACK");
    CHECK(recorder.why_not().find("lock timeout") != std::string::npos);
    recorder.end(RunState::failed);
    CHECK(database.value("SELECT state FROM tenantctl.run") == "failed");
    CHECK(database.value("SELECT message LIKE 'not every schema was recorded%' FROM "
                         "tenantctl.run") == "t");
  }

  TEST_CASE("a command that ends with an error ends its run") {
    TestDatabase database;
    Session session(database);
    {
      RunRecorder recorder(session.pipeline(), options_for(database));
      recorder.begin(start(first_id, {"t1", "t2"}));
    }
    CHECK(database.value("SELECT state || ': ' || message FROM tenantctl.run") ==
          "failed: the command ended with an error");
  }
}
