#include "rollout/rollout.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/database.h"
#include "support/rollout_bench.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

// Revision 2 leaves traces that 1 and 3 look for; 3 fails in two schemas.
RevisionFolder with_traces() {
  const std::string leak =
      "DO $$BEGIN IF to_regclass('pg_temp.leak') IS NOT NULL OR current_setting('my.leak', true) "
      "<> '' OR current_setting('datestyle') LIKE 'German%' THEN RAISE 'leaked'; END IF; END$$;\n";
  return {Scope::tenant,
          {revision(1, leak + "CREATE TABLE a (i int);\n" + journal(1)),
           revision(2,
                    "SET search_path = public; SET my.leak = 'x'; SET datestyle = 'German';\n"
                    "CREATE TEMP TABLE leak (i int);\n" +
                        journal(2)),
           revision(3,
                    "CREATE TABLE b (i int);\nSELECT 1 / CASE WHEN :'schema' IN ('t07', 't08', "
                    "'t19') THEN 0 ELSE 1 END;\n" +
                        journal(3))}};
}

// Schema, result, steps, revision: by name.
std::string summary(const Report& report) {
  std::map<std::string, std::string> lines;
  for (const SchemaReport& one : report.schemas) {
    lines[one.schema] = fmt::format("{} {} {} {}", to_text(one.result), one.steps, one.revision,
                                    one.failure ? one.failure->sqlstate : "");
  }
  std::string text;
  for (const auto& [schema, line] : lines)
    text += fmt::format("{}: {}\n", schema, line);
  return text;
}

}  // namespace

TEST_SUITE("pg/rollout/rollout") {
  TEST_CASE("jobs and depth change the time it takes and nothing else") {
    std::string first;
    for (std::size_t jobs = 1; jobs <= 4; ++jobs) {
      for (const std::size_t depth : {1U, 8U}) {
        CAPTURE(jobs);
        CAPTURE(depth);
        TestDatabase database;
        create_journal(database);
        const ServerLog log;
        {
          RolloutBench bench(database, with_traces());
          bench.options.jobs = jobs;
          bench.options.worker.depth = depth;
          const Report report = bench.run(schema_names(30));
          CHECK(report.schemas.size() == 30);
          CHECK(report.count(Result::applied) == 27);
          CHECK(report.count(Result::failed) == 3);
          const std::string text = summary(report);
          first = first.empty() ? text : first;
          CHECK(text == first);
          CHECK(causes_of(report).size() == 1);
          const Report again = bench.run(schema_names(30));
          CHECK(again.count(Result::unchanged) == 27);
          CHECK(again.count(Result::failed) == 3);
        }
        CHECK(journal_counts(database) == "87 rows, 0 doubled");
        CHECK(log.lines("WARNING").empty());
        CHECK(log.lines("FATAL").empty());
        for (const std::string& line : log.lines("ERROR")) {
          const bool expected = line.find("division by zero") != std::string::npos ||
                                line.find("current transaction is aborted") != std::string::npos;
          CHECK_MESSAGE(expected, line);
        }
      }
    }
    CHECK(first.find("t07: failed 2 2 22012") != std::string::npos);
  }

  TEST_CASE("revisions outside a transaction run among the others and leave nothing behind") {
    TestDatabase database;
    create_journal(database);
    const ServerLog log;
    {
      RolloutBench bench(
          database, {Scope::tenant,
                     {revision(1, "CREATE TABLE a (i int);\n" + journal(1)),
                      autocommit_revision(2, journal(2) + "CREATE INDEX CONCURRENTLY ia ON a (i);\n"
                                                          "SET search_path = public;\n"),
                      revision(3, "CREATE TABLE b ();\n" + journal(3))}});
      bench.options.jobs = 3;
      bench.options.worker.depth = 8;
      const Report report = bench.run(schema_names(12));
      CHECK(report.count(Result::applied) == 12);
    }
    CHECK(journal_counts(database) == "36 rows, 0 doubled");
    CHECK(database.value("SELECT count(*) FROM pg_tables WHERE tablename = 'b' AND schemaname LIKE "
                         "'t__'") == "12");
    CHECK(log.lines("WARNING").empty());
    CHECK(log.lines("FATAL").empty());
    CHECK(log.lines("ERROR").empty());
  }

  TEST_CASE("nothing to do needs no connection") {
    TestDatabase database;
    RolloutBench bench(database, {Scope::tenant, {revision(1, "CREATE TABLE a ()")}});
    bench.run(schema_names(3));
    bench.options.worker.connect.url = "host=/nonexistent";
    const Report report = bench.run(schema_names(3));
    CHECK(report.count(Result::unchanged) == 3);
    CHECK_FALSE(report.has_problem());
  }

  TEST_CASE("no connection at all is an error that touches nothing") {
    TestDatabase database;
    RolloutBench bench(database, {Scope::tenant, {revision(1, "CREATE TABLE a ()")}});
    bench.options.worker.connect.url = "host=/nonexistent";
    CHECK_THROWS_AS(bench.run(schema_names(3)), pq::ConnectFailed);
    CHECK(database.value("SELECT to_regnamespace('t01') IS NULL") == "t");
  }

  TEST_CASE("two rollouts at once share the work and run every revision once") {
    TestDatabase database;
    create_journal(database);
    const ServerLog log;
    const auto schemas = schema_names(50);
    std::vector<std::string> problems(2);
    {
      const auto run = [&](std::size_t which, std::size_t depth) {
        RolloutBench bench(database, {Scope::tenant,
                                      {revision(1, "CREATE TABLE a ();\n" + journal(1)),
                                       revision(2, "SELECT pg_sleep(0.002);\n" + journal(2)),
                                       revision(3, "CREATE TABLE c ();\n" + journal(3))}});
        bench.options.jobs = 2;
        bench.options.worker.depth = depth;
        const Report report = bench.run(schemas);
        if (report.schemas.size() != schemas.size())
          problems[which] = "schemas are missing in the report";
        for (const SchemaReport& one : report.schemas) {
          if (one.result != Result::applied && one.result != Result::unchanged)
            problems[which] = fmt::format("{}: {} {}", one.schema, to_text(one.result),
                                          one.failure ? one.failure->message : "");
        }
      };
      std::thread other([&] { run(0, 8); });
      run(1, 4);
      other.join();
    }
    CHECK(problems == std::vector<std::string>(2));
    CHECK(journal_counts(database) == "150 rows, 0 doubled");
    CHECK(log.lines("WARNING").empty());
  }

  TEST_CASE("two rollouts at once do work outside a transaction once") {
    TestDatabase database;
    create_journal(database);
    std::vector<std::size_t> good(2);
    const ServerLog log;
    {
      const auto run = [&](std::size_t which) {
        RolloutBench bench(
            database,
            {Scope::tenant,
             {revision(1, "CREATE TABLE a (i int);\n" + journal(1)),
              autocommit_revision(2, journal(2) + "CREATE INDEX CONCURRENTLY ON a (i)")}});
        bench.options.jobs = 2;
        bench.options.worker.depth = 4;
        const Report report = bench.run(schema_names(15));
        good[which] = report.count(Result::applied) + report.count(Result::unchanged);
      };
      std::thread other([&] { run(0); });
      run(1);
      other.join();
    }
    CHECK(good == std::vector<std::size_t>{15, 15});
    // A lock that is waited for in the server would hold up the other's CREATE INDEX CONCURRENTLY.
    CHECK(log.lines("deadlock detected").empty());
    CHECK(journal_counts(database) == "30 rows, 0 doubled");
  }
}
