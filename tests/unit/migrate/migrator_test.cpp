#include "migrate/migrator.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

const SchemaName acme = SchemaName::existing("acme");

/// One schema on its way, with everything that must outlive the migrator.
struct Attempt {
  explicit Attempt(RevisionFolder revisions, const History& history = {},
                   const std::string& target = "head", const MigrateOptions& how = {})
      : folder(std::move(revisions)),
        options(how),
        plan(target == "base" ? plan_downgrade(folder, history, Target::parse(target))
                              : plan_upgrade(folder, history, Target::parse(target))),
        migrator(acme, plan, options) {}

  // The outcome after the server has refused the first segment at `part`.
  const Outcome& refused(Part part, const pq::ServerFields& error) {
    const Segment segment = *migrator.next();
    migrator.fold(rejection(segment, part, error));
    CHECK_FALSE(migrator.next());
    return migrator.outcome();
  }

  RevisionFolder folder;
  MigrateOptions options;
  Plan plan;
  Migrator migrator;
};

RevisionFolder folder_with(const std::string& bytes) {
  return {Scope::tenant, {revision_of(1, bytes)}};
}

RevisionFolder guarded() { return folder_with("-- migrate:up\nINSERT INTO t VALUES (1);\n"); }

Verdict verdict(Part part, std::string_view sqlstate, const std::string& message = "no") {
  return Attempt(guarded()).refused(part, server_error(sqlstate, message)).verdict;
}

std::vector<Part> parts_of(const Segment& segment) {
  std::vector<Part> parts;
  for (const Segment::Origin& origin : segment.origins)
    parts.push_back(origin.part);
  return parts;
}

std::vector<std::string> sql_of(const Segment& segment, Part part) {
  std::vector<std::string> sql;
  for (std::size_t i = 0; i < segment.messages.size(); ++i) {
    if (segment.origins[i].part == part)
      sql.push_back(segment.messages[i].sql);
  }
  return sql;
}

}  // namespace

TEST_SUITE("migrate/migrator") {
  TEST_CASE("a revision is one transaction: fence, guard, SQL, close, mark") {
    Attempt attempt(guarded());
    const Segment segment = *attempt.migrator.next();
    CHECK(parts_of(segment) == std::vector{Part::begin, Part::begin, Part::begin, Part::fence,
                                           Part::fence, Part::row, Part::statement, Part::close,
                                           Part::close, Part::mark, Part::commit});
  }

  TEST_CASE("definitions cannot commit, and need no guard") {
    Attempt attempt(folder_of({1}));
    const Segment segment = *attempt.migrator.next();
    CHECK_FALSE(segment.alone);
    CHECK(parts_of(segment) == std::vector{Part::begin, Part::begin, Part::begin, Part::fence,
                                           Part::fence, Part::statement, Part::row, Part::mark,
                                           Part::commit});
    CHECK(segment.messages.front().sql == "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
    CHECK(sql_of(segment, Part::statement) == std::vector<std::string>{"CREATE TABLE t1 ()"});
    CHECK(segment.messages.back().sql == "COMMIT");
  }

  TEST_CASE("all revisions in transactions travel in one segment") {
    Attempt attempt(folder_of({1, 2, 3}));
    const Segment segment = *attempt.migrator.next();
    CHECK(sql_of(segment, Part::commit).size() == 3);
    attempt.migrator.fold(agreement(segment));
    CHECK(attempt.migrator.outcome().verdict == Verdict::done);
    CHECK(attempt.migrator.outcome().steps_done == 3);
    CHECK(attempt.migrator.outcome().mark == attempt.plan.to);
    CHECK_FALSE(attempt.migrator.next());
  }

  TEST_CASE("the lock is kept over several revisions, so that only the first is fenced") {
    Attempt attempt(folder_of({1, 2, 3}));
    const Segment segment = *attempt.migrator.next();
    CHECK(segment.holds_lock);
    CHECK(sql_of(segment, Part::fence).size() == 2);
    CHECK(sql_of(segment, Part::settings).size() == 2);
    CHECK(segment.origins.back().part == Part::release);
    Attempt single(folder_of({1}));
    CHECK_FALSE(single.migrator.next()->holds_lock);
  }

  TEST_CASE("a pooler's session is asked for nothing that outlives a transaction") {
    MigrateOptions pooled;
    pooled.direct = false;
    Attempt attempt(folder_of({1, 2, 3}), {}, "head", pooled);
    const Segment segment = *attempt.migrator.next();
    CHECK_FALSE(segment.holds_lock);
    CHECK(sql_of(segment, Part::fence).size() == 6);
    for (const pq::Message& message : segment.messages)
      CHECK(message.prepared.empty());
  }

  TEST_CASE("a revision that may take our lock along is fenced on its own") {
    RevisionFolder folder(Scope::tenant,
                          {revision_of(1, "-- migrate:up\nSELECT pg_advisory_unlock_all();\n"),
                           revision_of(2, "-- migrate:up\nCREATE TABLE t ();\n")});
    Attempt attempt(std::move(folder));
    const Segment segment = *attempt.migrator.next();
    CHECK_FALSE(segment.holds_lock);
    CHECK(sql_of(segment, Part::fence).size() == 4);
    for (const pq::Message& message : segment.messages)
      CHECK(message.prepared.empty());
  }

  TEST_CASE("a schema dropped behind the fence is planned again") {
    Attempt attempt(folder_of({1, 2}));
    const Segment segment = *attempt.migrator.next();
    std::size_t second = segment.messages.size();
    while (segment.origins[--second].part != Part::statement) {
    }
    attempt.migrator.fold(rejection(segment, second, server_error("3F000")));
    CHECK(attempt.migrator.outcome().verdict == Verdict::moved);
    CHECK(attempt.migrator.outcome().steps_done == 1);
    CHECK(verdict(Part::statement, "3F000") == Verdict::failed);
  }

  TEST_CASE("an empty plan is done without a word") {
    Attempt attempt(folder_of({1}), history_of(folder_of({1}), 1));
    CHECK(attempt.migrator.outcome().verdict == Verdict::done);
    CHECK(attempt.migrator.outcome().mark == attempt.plan.from);
    CHECK_FALSE(attempt.migrator.next());
  }

  TEST_CASE("a long plan is cut into segments, so that a stop is near") {
    std::vector<RevisionNumber> numbers;
    for (RevisionNumber i = 1; i <= 250; ++i)
      numbers.push_back(i);
    Attempt attempt(folder_of(numbers));
    std::size_t segments = 0;
    while (const auto segment = attempt.migrator.next()) {
      CHECK(segment->messages.size() < 2'100);
      attempt.migrator.fold(agreement(*segment));
      ++segments;
    }
    CHECK(segments == 2);
    CHECK(attempt.migrator.outcome().steps_done == 250);
    CHECK(attempt.migrator.outcome().verdict == Verdict::done);
  }

  TEST_CASE("our own blocks say what became of the schema") {
    CHECK(verdict(Part::fence, refusal::gone) == Verdict::gone);
    CHECK(verdict(Part::fence, refusal::busy) == Verdict::busy);
    CHECK(verdict(Part::fence, refusal::moved) == Verdict::moved);
    CHECK(verdict(Part::fence, refusal::foreign) == Verdict::foreign);
    CHECK(verdict(Part::close, refusal::escaped) == Verdict::failed);
  }

  TEST_CASE("a revision that raises our codes is wrong, nothing else") {
    for (const auto code : {refusal::gone, refusal::busy, refusal::moved, refusal::foreign}) {
      CAPTURE(code);
      CHECK(verdict(Part::statement, code) == Verdict::failed);
      CHECK(verdict(Part::commit, code) == Verdict::failed);
    }
  }

  TEST_CASE("a segment behind a failed one did not run") {
    CHECK(verdict(Part::begin, "25P02") == Verdict::refused);
    CHECK(verdict(Part::fence, "26000") == Verdict::refused);
    CHECK(verdict(Part::statement, "26000") == Verdict::failed);
    CHECK(verdict(Part::begin, "57P01") == Verdict::failed);
    CHECK(verdict(Part::statement, "25P02") == Verdict::failed);
  }

  TEST_CASE("locks and deadlocks are worth another try") {
    for (const std::string code : {"55P03", "40P01", "40001"}) {
      CAPTURE(code);
      CHECK(verdict(Part::statement, code) == Verdict::contention);
      CHECK(verdict(Part::fence, code) == Verdict::contention);
    }
    CHECK(verdict(Part::statement, "XX000", "tuple concurrently updated") == Verdict::contention);
    CHECK(verdict(Part::statement, "XX000", "cache lookup failed") == Verdict::failed);
    pq::ServerFields unique = server_error("23505");
    CHECK(Attempt(folder_of({1})).refused(Part::statement, unique).verdict == Verdict::failed);
    unique.schema = "pg_catalog";
    CHECK(Attempt(folder_of({1})).refused(Part::statement, unique).verdict == Verdict::contention);
  }

  TEST_CASE("a server without room is no revision's fault") {
    for (const std::string code : {"53100", "53200", "53400"})
      CHECK(verdict(Part::statement, code) == Verdict::exhausted);
  }

  TEST_CASE(
      "a table that is gone under the fence has moved, one that the revision misses has not") {
    CHECK(verdict(Part::fence, "42P01") == Verdict::moved);
    CHECK(verdict(Part::fence, "3F000") == Verdict::moved);
    CHECK(verdict(Part::statement, "42P01") == Verdict::failed);
  }

  TEST_CASE("whoever made the schema first has moved it") {
    const RevisionFolder folder = folder_of({1});
    const MigrateOptions options;
    const Plan plan = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::schema});
    for (const std::string code : {"42P06", "42P07", "23505"}) {
      Migrator migrator(acme, plan, options);
      const Segment segment = *migrator.next();
      // The schema, the table, and what default privileges open of it.
      CHECK(sql_of(segment, Part::install).size() == 3);
      migrator.fold(rejection(segment, Part::install, server_error(code)));
      CHECK(migrator.outcome().verdict == Verdict::moved);
    }
  }

  TEST_CASE("what committed before a failure counts") {
    Attempt attempt(folder_of({1, 2, 3}));
    const Segment segment = *attempt.migrator.next();
    std::size_t second = 0;
    while (segment.origins.at(second).step == 0 ||
           segment.origins.at(second).part != Part::statement)
      ++second;
    attempt.migrator.fold(rejection(segment, second, server_error("42601", "no such thing")));
    const Outcome& outcome = attempt.migrator.outcome();
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.steps_done == 1);
    CHECK(outcome.mark == attempt.plan.steps[0].mark);
    CHECK(outcome.failure->message == "upgrade of revision 0002_r2 failed: no such thing");
    CHECK(outcome.failure->revision == "0002_r2");
    CHECK_FALSE(attempt.migrator.next());
  }

  TEST_CASE("COMMIT answered with ROLLBACK is no success") {
    Attempt attempt(folder_of({1}));
    pq::FlightAnswer answer = agreement(*attempt.migrator.next());
    answer.answers.back().tag = "ROLLBACK";
    attempt.migrator.fold(answer);
    const Outcome& outcome = attempt.migrator.outcome();
    CHECK(outcome.verdict == Verdict::failed);
    CHECK(outcome.steps_done == 0);
    CHECK(outcome.mark == attempt.plan.from);
    CHECK(outcome.failure->message.ends_with("the server answered COMMIT with ROLLBACK"));
  }

  TEST_CASE("the guard's violation is told in words of the revision's") {
    Attempt attempt(folder_of({1}));
    pq::ServerFields error = server_error("23503", "violates foreign key constraint");
    error.constraint = "tenantctl_guard";
    const Failure& failure = *attempt.refused(Part::statement, error).failure;
    CHECK(failure.message ==
          "upgrade of revision 0001_r1 failed: the revision's own text tried to commit; nothing "
          "of it was kept");
    CHECK(failure.hint == "Leave COMMIT out, also out of what it calls or executes.");
  }

  TEST_CASE("a foreign key of the user's is no guard") {
    pq::ServerFields error = server_error("23503", "violates");
    error.constraint = "invoices_fkey";
    error.detail = "Key (a)=(1) is not present.";
    error.hint = "Theirs.";
    Attempt attempt(folder_of({1}));
    const Failure& failure = *attempt.refused(Part::statement, error).failure;
    CHECK(failure.message ==
          "upgrade of revision 0001_r1 failed: violates: Key (a)=(1) is not present.");
    CHECK(failure.hint == "Theirs.");
    CHECK(failure.sqlstate == "23503");
  }

  TEST_CASE("known errors come with a hint of ours") {
    const auto hint = [](std::string_view code) {
      return Attempt(folder_of({1})).refused(Part::statement, server_error(code)).failure->hint;
    };
    CHECK(hint("42883").find("search-path-extra") != std::string::npos);
    CHECK(hint("42704") == hint("42883"));
    CHECK(hint("55P04").find("split the revision") != std::string::npos);
    CHECK(hint("25001").find("transaction:false") != std::string::npos);
    CHECK(hint("57014").find("--statement-timeout") != std::string::npos);
    CHECK(hint("42601").empty());
  }

  TEST_CASE("an error stands where it is in the file, whatever placeholders became") {
    Attempt attempt(
        folder_with("-- migrate:up\nSELECT 1;\n"
                    "SELECT '\xC3\xA9', :'tenant', :\"schema\",\n  x;\n"));
    const Segment segment = *attempt.migrator.next();
    const auto sent = sql_of(segment, Part::statement);
    REQUIRE(sent.size() == 2);
    CHECK(sent[1] == "SELECT '\xC3\xA9', 'acme', \"acme\",\n  x");
    pq::ServerFields error = server_error("42703", "column \"x\" does not exist");
    error.position = 31;
    const std::size_t second = index_of(segment, Part::statement) + 1;
    attempt.migrator.fold(rejection(segment, second, error));
    const Place place = *attempt.migrator.outcome().failure->place;
    CHECK(place.file == "versions/0001_r1.sql");
    CHECK(place.line == 4);
    CHECK(place.column == 3);
    CHECK(place.text == "  x;");
  }

  TEST_CASE(
      "an error in a placeholder stands at the placeholder, one without position at the start") {
    const std::string bytes = "-- migrate:up\n-- why\nSELECT a, :\"shared_schema\".b;\n";
    const auto column = [&bytes](int position) {
      pq::ServerFields error = server_error("42703");
      error.position = position;
      Attempt attempt(folder_with(bytes));
      const Place place = *attempt.refused(Part::statement, error).failure->place;
      CHECK(place.line == 3);
      return place.column;
    };
    CHECK(column(8 + 14) == 11);
    CHECK(column(0) == 1);
    CHECK(column(999) == 29);
  }

  TEST_CASE("an error of our own statements names the file only") {
    Attempt attempt(guarded());
    const Failure& failure = *attempt.refused(Part::close, server_error("TC005")).failure;
    CHECK(failure.place->file == "versions/0001_r1.sql");
    CHECK(failure.place->line == 0);
  }

  TEST_CASE("an error without a revision is as the server said it") {
    const RevisionFolder folder = folder_of({1});
    const MigrateOptions options;
    const Plan plan = plan_remark(folder, {});
    Migrator migrator(acme, plan, options);
    const Segment segment = *migrator.next();
    migrator.fold(rejection(segment, Part::mark, server_error("42501", "must be owner")));
    CHECK(migrator.outcome().verdict == Verdict::failed);
    CHECK(migrator.outcome().failure->message == "must be owner");
    CHECK(migrator.outcome().failure->revision.empty());
  }

  TEST_CASE("a downgrade guards the row and removes it at the end") {
    const RevisionFolder folder(
        Scope::tenant,
        {revision_of(1), revision_of(2, "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n")});
    Attempt attempt(folder, applied(folder, {1, 2}), "base");
    const Segment segment = *attempt.migrator.next();
    CHECK(sql_of(segment, Part::row).size() == 1);
    CHECK(sql_of(segment, Part::row).front().starts_with("UPDATE"));
    CHECK(sql_of(segment, Part::close).at(1).find("DELETE FROM") != std::string::npos);
    CHECK(sql_of(segment, Part::close).at(2).find("DELETE FROM") != std::string::npos);
    CHECK(sql_of(segment, Part::statement).front() == "SELECT 2");
    attempt.migrator.fold(rejection(segment, Part::statement, server_error("42P01", "no table")));
    CHECK(attempt.migrator.outcome().failure->message ==
          "downgrade of revision 0002_r2 failed: no table");
  }

  TEST_CASE("rows that move up are changed behind the SQL") {
    const RevisionFolder folder = folder_of({1, 2});
    const Plan plan = plan_downgrade(folder, applied(folder, {2, 1}), Target::parse("0001"));
    const MigrateOptions options;
    Migrator migrator(acme, plan, options);
    const Segment segment = *migrator.next();
    CHECK(sql_of(segment, Part::row).size() == 1);
  }

  TEST_CASE("the guard is lifted around SET CONSTRAINTS") {
    Attempt attempt(folder_with("-- migrate:up\nSET CONSTRAINTS ALL IMMEDIATE;\n"));
    const Segment segment = *attempt.migrator.next();
    const std::size_t at = index_of(segment, Part::statement);
    const auto holds = [&](std::size_t index, std::string_view part) {
      return segment.messages[index].sql.find(part) != std::string::npos;
    };
    CHECK(holds(at - 3, "set_config('role', NULL"));
    CHECK(holds(at - 2, "SET guard = NULL"));
    CHECK(holds(at - 1, "set_config('role', pg_catalog.current_setting("));
    CHECK(holds(at + 1, "set_config('role', NULL"));
    CHECK(segment.messages[at + 2].sql == "SET CONSTRAINTS \"acme\".tenantctl_guard DEFERRED");
    CHECK(holds(at + 3, "SET guard = 0"));
    CHECK(holds(at + 4, "set_config('role', pg_catalog.current_setting("));
  }

  TEST_CASE("the user's SQL sees the tenant, what was asked for, and pg_temp last") {
    const auto path = [](const MigrateOptions& options) {
      Attempt attempt(folder_of({1}), {}, "head", options);
      const Segment segment = *attempt.migrator.next();
      return *segment.messages[index_of(segment, Part::statement) - 1].values.at(0);
    };
    CHECK(path({}) == "\"acme\", pg_temp");
    MigrateOptions asked;
    asked.shared_schema = "Common";
    asked.shared_in_path = true;
    asked.search_path_extra = {"ext", "o\"dd"};
    CHECK(path(asked) == "\"acme\", \"Common\", \"ext\", \"o\"\"dd\", pg_temp");
  }

  TEST_CASE("timeouts are the run's, the lock timeout may be the revision's") {
    const std::string bytes = "-- tenantctl: lock-timeout 2s\n-- migrate:up\nSELECT 1;\n";
    MigrateOptions options;
    options.statement_timeout = std::chrono::seconds(5);
    options.server_version = 150000;
    Attempt attempt(folder_with(bytes), {}, "head", options);
    const auto entry = [](const Segment& segment) {
      const auto parts = parts_of(segment);
      const auto fence = std::find(parts.begin(), parts.end(), Part::fence) - parts.begin();
      return segment.messages.at(static_cast<std::size_t>(fence));
    };
    const pq::Message settings = entry(*attempt.migrator.next());
    CHECK(settings.values.at(0) == "2000ms");
    CHECK(settings.values.at(1) == "5000ms");
    CHECK(settings.sql.find("client_connection_check_interval") != std::string::npos);
    Attempt older(folder_of({1}));
    const pq::Message plain = entry(*older.migrator.next());
    CHECK(plain.values.at(0) == "1000ms");
    CHECK(plain.sql.find("client_connection_check_interval") == std::string::npos);
  }

  TEST_CASE("a segment that may leave something in the session says so") {
    Attempt plain(folder_of({1}));
    static_cast<void>(plain.migrator.next());
    CHECK_FALSE(plain.migrator.leaves_traces());
    Attempt traces(folder_with("-- migrate:up\nSELECT 1;\nCREATE TEMP TABLE a ();\n"));
    static_cast<void>(traces.migrator.next());
    CHECK(traces.migrator.leaves_traces());
    Attempt alone(folder_with("-- migrate:up transaction:false\nSET work_mem = '1MB';\n"));
    static_cast<void>(alone.migrator.next());
    CHECK_FALSE(alone.migrator.leaves_traces());
  }
}
