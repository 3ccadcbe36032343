#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "support/fault_proxy.h"
#include "support/journal.h"
#include "support/project.h"

using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto runs_sql = "*/run";  // the connections that revisions run on
constexpr auto control = "tenantctl/????????";
const std::vector<std::string> cut_before{"--do", "cut", "--at", "sql=COMMIT"};
const std::vector<std::string> cut_after{"--do", "cut", "--at", "tag=COMMIT"};

std::vector<std::string> operator+(std::vector<std::string> words,
                                   const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Finished run_through(Project& project, const FaultProxy& proxy,
                     const std::vector<std::string>& args) {
  project.tool.set_variable("DATABASE_URL", proxy.conninfo(project.database));
  const Finished run = project.run(args);
  project.tool.set_variable("DATABASE_URL", project.database.conninfo());
  return run;
}

std::string locks_left(Project& project) {
  return project.database.value(
      "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE "
      "l.locktype = 'advisory' AND a.datname = current_database()");
}

std::chrono::milliseconds since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begin);
}

}  // namespace

TEST_SUITE("cli/faults") {
  TEST_CASE("a COMMIT that is lost on the way, there or back, is found: upgrade-all") {
    for (const auto& harm : {cut_before, cut_after}) {
      for (const std::string depth : {"1", "8"}) {
        CAPTURE(harm[3]);
        CAPTURE(depth);
        Project project;
        project.create_tenants(20);
        write_journal(project, 3);
        const FaultProxy proxy(
            harm + std::vector<std::string>{"--only", runs_sql, "--nth", "5", "--times", "2"});
        const auto run =
            run_through(project, proxy, {"upgrade-all", "--jobs", "2", "--depth", depth});
        CHECK(fault(run, 0) == "");
        CHECK(proxy.strikes().size() == 2);
        CHECK(journal_counts(project.database) == "60 rows, 0 doubled");
        CHECK(fault(project.run({"check", "--deep"}), 0) == "");
      }
    }
  }

  TEST_CASE("whichever of a schema's COMMITs is lost, each revision takes effect once: upgrade") {
    for (const auto& harm : {cut_before, cut_after}) {
      for (int nth = 1; nth <= 3; ++nth) {
        CAPTURE(harm[3]);
        CAPTURE(nth);
        Project project;
        project.create_tenants(1);
        write_journal(project, 3);
        const FaultProxy proxy(
            harm + std::vector<std::string>{"--only", runs_sql, "--nth", std::to_string(nth)});
        CHECK(fault(run_through(project, proxy, {"upgrade", "--schema", "t001"}), 0,
                    {"0003_step3"}) == "");
        CHECK(proxy.strikes().size() == 1);
        CHECK(journal_counts(project.database) == "3 rows, 0 doubled");
        CHECK(locks_left(project) == "0");
      }
    }
  }

  TEST_CASE("a connection that is lost at every COMMIT ends in doubt, not in a guess") {
    Project project;
    project.create_tenants(2);
    write_journal(project, 2);
    const FaultProxy before(cut_before +
                            std::vector<std::string>{"--only", runs_sql, "--times", "0"});
    // Readings end in COMMIT too: where the schemas stand cannot be settled, and is not guessed.
    CHECK(fault(run_through(project, before, {"upgrade-all"}), 1, {"in-doubt"}) == "");
    CHECK(journal_counts(project.database) == "0 rows, 0 doubled");
    CHECK(fault(project.run({"upgrade-all"}), 0) == "");
    CHECK(journal_counts(project.database) == "4 rows, 0 doubled");
  }

  TEST_CASE("a revision that ends its own connection is failed, not in doubt") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_a.sql",
                  "CREATE TABLE a (id int);\nSELECT pg_terminate_backend(pg_backend_pid());");
    const auto run = project.run({"upgrade-all"});
    CHECK(fault(run, 1, {"the connection was lost 3 times", "57P01"}) == "");
    CHECK_FALSE(contains(run.err + run.out, "in-doubt"));
    CHECK_FALSE(project.has_table("t001", "a"));
  }

  TEST_CASE("outside a transaction a lost answer is found by the catalog, or a person is asked") {
    for (const auto& harm : {cut_before, cut_after}) {
      for (int nth = 1; nth <= 4; ++nth) {
        CAPTURE(harm[3]);
        CAPTURE(nth);
        Project project;
        project.create_tenants(1);
        project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
        project.must({"upgrade-all"});
        project.write_raw("tenant/0002_index.sql",
                          "-- migrate:up transaction:false\n"
                          "CREATE INDEX CONCURRENTLY a_id ON a (id);\n"
                          "CREATE INDEX CONCURRENTLY a_id2 ON a ((id + 1));\n");
        const FaultProxy proxy(
            harm + std::vector<std::string>{"--only", runs_sql, "--nth", std::to_string(nth)});
        CHECK(fault(run_through(project, proxy, {"upgrade-all"}), 0) == "");
        CHECK(proxy.strikes().size() == 1);
        CHECK(project.database.value("SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = "
                                     "i.indexrelid WHERE relname IN ('a_id', 'a_id2') AND "
                                     "indisvalid") == "2");
        CHECK(locks_left(project) == "0");
        CHECK(fault(project.run({"check", "--deep"}), 0) == "");
      }
    }
    for (const std::string at : {"sql^INSERT", "tag=INSERT 0 1"}) {
      CAPTURE(at);
      Project project;
      project.create_tenants(1);
      create_journal(project.database);
      project.write_raw("tenant/0001_insert.sql",
                        "-- migrate:up transaction:false\n"
                        "INSERT INTO public.journal VALUES (:'schema', 1);\n");
      // The version row's own INSERT comes first.
      const FaultProxy proxy({"--do", "cut", "--at", at, "--only", runs_sql, "--nth", "2"});
      CHECK(fault(run_through(project, proxy, {"upgrade-all"}), 1, {"not known", "resolve"}) == "");
      CHECK(proxy.strikes().size() == 1);
      CHECK(journal_counts(project.database) ==
            (at[0] == 's' ? "0 rows, 0 doubled" : "1 rows, 0 doubled"));
    }
  }

  TEST_CASE("the control connection may be lost at any time: nothing was touched, or all is told") {
    for (const auto& harm : {cut_before, cut_after}) {
      bool struck = true;
      int ended_well = 0;
      for (int nth = 1; struck; ++nth) {
        CAPTURE(harm[3]);
        CAPTURE(nth);
        Project project;
        project.create_tenants(3);
        write_journal(project, 1);
        const FaultProxy proxy(
            harm + std::vector<std::string>{"--only", control, "--nth", std::to_string(nth)});
        const auto run = run_through(project, proxy, {"upgrade-all"});
        struck = !proxy.strikes().empty();
        const bool well = run.exit_code == 0;
        CHECK_MESSAGE((well || run.exit_code == 3), fault(run, 0));
        CHECK(journal_counts(project.database) ==
              (well ? "3 rows, 0 doubled" : "0 rows, 0 doubled"));
        if (well) {
          ++ended_well;
          CHECK(project.database.value("SELECT string_agg(state, ' ') FROM tenantctl.run WHERE "
                                       "command = 'upgrade-all'") == "ok");
          CHECK(project.database.value(
                    "SELECT count(*) FROM tenantctl.run_schema s JOIN tenantctl.run r ON r.id = "
                    "s.run_id WHERE r.command = 'upgrade-all' AND result = 'applied'") == "3");
        }
      }
      CHECK(ended_well >= 2);
    }
  }

  TEST_CASE("a tenant whose COMMIT is lost is made whole, and dropped wholly") {
    for (const auto& harm : {cut_before, cut_after}) {
      for (int nth = 1; nth <= 2; ++nth) {
        CAPTURE(harm[3]);
        CAPTURE(nth);
        Project project;
        write_journal(project, 2);
        const FaultProxy proxy(
            harm + std::vector<std::string>{"--only", runs_sql, "--nth", std::to_string(nth)});
        CHECK(fault(run_through(project, proxy, {"tenant", "create", "acme"}), 0) == "");
        CHECK(proxy.strikes().size() == 1);
        CHECK(journal_counts(project.database) == "2 rows, 0 doubled");
        CHECK(project.revision_of("acme") == "0002_step2");
      }
      bool struck = true;
      bool dropped = false;
      for (int nth = 1; struck; ++nth) {
        CAPTURE(harm[3]);
        CAPTURE(nth);
        Project project;
        project.write_abc();
        project.must({"tenant", "create", "acme"});
        const FaultProxy proxy(
            harm + std::vector<std::string>{"--only", control, "--nth", std::to_string(nth)});
        const auto run = run_through(project, proxy, {"tenant", "drop", "acme", "--yes"});
        struck = !proxy.strikes().empty();
        CHECK_MESSAGE((run.exit_code == 0 || run.exit_code == 3), fault(run, 0));
        CHECK(project.has_schema("acme") == (run.exit_code != 0));
        dropped = dropped || (struck && run.exit_code == 0);
      }
      CHECK(dropped);
    }
  }

  TEST_CASE("byte by byte gives the same as directly") {
    Project project;
    project.create_tenants(5);
    project.write_abc();
    project.write("shared/0001_x.sql", "CREATE TABLE x (id int);");
    const FaultProxy proxy({"--do", "bytes"});
    CHECK(fault(run_through(project, proxy, {"upgrade-all", "--jobs", "2"}), 0) == "");
    CHECK(fault(run_through(project, proxy, {"check", "--deep"}), 0) == "");
    const auto slowly = run_through(project, proxy, {"status", "--output", "json"});
    const auto directly = project.run({"status", "--output", "json"});
    CHECK(slowly.out == directly.out);
  }

  TEST_CASE("a lost session that still holds the schema's lock is ended, if it is our own") {
    for (const std::string at : {"sql=COMMIT", "sql^CREATE TABLE t1"}) {
      CAPTURE(at);
      Project project;
      project.create_tenants(1);
      write_journal(project, 1);
      const FaultProxy proxy({"--do", "halfopen", "--at", at, "--only", runs_sql});
      const auto begin = std::chrono::steady_clock::now();
      CHECK(fault(run_through(project, proxy, {"upgrade", "--schema", "t001"}), 0) == "");
      CHECK(since(begin) < 10s);
      CHECK(proxy.strikes().size() == 1);
      CHECK(journal_counts(project.database) == "1 rows, 0 doubled");
    }
  }

  TEST_CASE("somebody else who holds the schema's lock is waited for, named, and left alone") {
    Project project;
    project.create_tenants(1);
    write_journal(project, 1);
    TestDatabase& database = project.database;
    database.execute("SET application_name = 'another run'");
    database.execute("SELECT pg_advisory_lock(1952670769, 't001'::regnamespace::int)");
    const auto run = project.run({"upgrade", "--schema", "t001", "--lock-wait", "1s"});
    CHECK(fault(run, 3,
                {"blocked by pid " + database.value("SELECT pg_backend_pid()"), "another run"}) ==
          "");
    CHECK(database.value("SELECT pg_advisory_unlock(1952670769, 't001'::regnamespace::int)") ==
          "t");
  }
}

TEST_SUITE("cli/silence") {
  TEST_CASE("a server that says nothing when it is connected to ends every command in time") {
    for (const std::vector<std::string>& args : {std::vector<std::string>{"status"},
                                                 {"check"},
                                                 {"current", "--schema", "t001"},
                                                 {"upgrade-all"},
                                                 {"plan"},
                                                 {"tenant", "list"},
                                                 {"runs"}}) {
      CAPTURE(args.front());
      Project project;
      const FaultProxy proxy({"--do", "hole", "--at", "connect", "--times", "0"});
      const auto begin = std::chrono::steady_clock::now();
      const auto run =
          run_through(project, proxy, args + std::vector<std::string>{"--connect-timeout", "1s"});
      CHECK(fault(run, 3, {"cannot connect: no answer within 1 s"}) == "");
      CHECK(since(begin) < 4s);
    }
  }

  TEST_CASE(
      "a server that stops answering ends every reading command in time, and it says at what") {
    for (const std::vector<std::string>& args : {std::vector<std::string>{"status"},
                                                 {"check", "--deep"},
                                                 {"current", "--schema", "t001"},
                                                 {"tenant", "list"},
                                                 {"runs"}}) {
      CAPTURE(args.front());
      Project project;
      project.create_tenants(1);
      const FaultProxy proxy({"--do", "hole", "--at", "sql^BEGIN"});
      const auto begin = std::chrono::steady_clock::now();
      const auto run =
          run_through(project, proxy, args + std::vector<std::string>{"--answer-timeout", "1s"});
      CHECK(fault(run, 3, {"no answer from the server within 1.0 s to: BEGIN"}) == "");
      CHECK(since(begin) < 15s);
    }
  }

  TEST_CASE(
      "what is lost in a silent connection, a statement or an answer, is noticed and settled") {
    for (const std::string at : {"sql=COMMIT", "tag=COMMIT", "sql^CREATE TABLE t2", "connect"}) {
      for (const std::string depth : {"1", "4"}) {
        CAPTURE(at);
        CAPTURE(depth);
        Project project;
        project.create_tenants(6);
        write_journal(project, 2);
        const FaultProxy proxy({"--do", "hole", "--at", at, "--only", runs_sql, "--nth", "2"});
        const auto begin = std::chrono::steady_clock::now();
        const auto run = run_through(project, proxy,
                                     {"upgrade-all", "--jobs", "2", "--depth", depth,
                                      "--answer-timeout", "2s", "--connect-timeout", "2s"});
        CHECK(fault(run, 0) == "");
        CHECK(since(begin) < 20s);
        CHECK(proxy.strikes().size() == 1);
        CHECK(journal_counts(project.database) == "12 rows, 0 doubled");
      }
    }
  }

  TEST_CASE("a statement that works for long is not taken for silence") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_slow.sql", "SELECT pg_sleep(5);");
    const FaultProxy proxy({"--rtt", "10"});
    const auto run =
        run_through(project, proxy, {"upgrade-all", "--answer-timeout", "1s", "--output", "json"});
    CHECK(fault(run, 0) == "");
    CHECK_FALSE(contains(run.out, "\"tries\": 1"));
  }

  TEST_CASE("nothing answers any more: the run ends in doubt within its patience") {
    Project project;
    project.create_tenants(3);
    write_journal(project, 1);
    // From the first COMMIT on, also what connects anew.
    const FaultProxy proxy(
        {"--do", "hole", "--at", "sql=COMMIT", "--only", runs_sql, "--times", "0"});
    const auto begin = std::chrono::steady_clock::now();
    const auto run = run_through(project, proxy,
                                 {"upgrade-all", "--jobs", "1", "--answer-timeout", "1s",
                                  "--connect-timeout", "1s", "--reconnect-timeout", "2s"});
    CHECK(fault(run, 1, {"in-doubt"}) == "");
    CHECK(since(begin) < 40s);
    CHECK(journal_counts(project.database) == "0 rows, 0 doubled");
  }

  TEST_CASE("SIGTERM ends a run also where the connection is silent") {
    Project project;
    project.create_tenants(2);
    project.write("tenant/0001_slow.sql", "SELECT pg_sleep(60);");
    const FaultProxy proxy({"--do", "hole", "--at", "sql^SELECT pg_sleep", "--only", runs_sql});
    project.tool.set_variable("DATABASE_URL", proxy.conninfo(project.database));
    auto process = project.tool.start({"upgrade-all", "--jobs", "2"});
    REQUIRE(becomes_true(project.database,
                         "SELECT count(*) >= 1 FROM pg_stat_activity WHERE query LIKE "
                         "'SELECT pg_sleep%' AND datname = current_database()"));
    const auto begin = std::chrono::steady_clock::now();
    process.kill(SIGTERM);
    CHECK(fault(process.wait(40s), 130, {"interrupted"}) == "");
    CHECK(since(begin) < 20s);
  }
}
