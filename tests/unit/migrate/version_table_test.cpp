#include "migrate/version_table.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "sql/script.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

VersionTable table_in(const std::string& schema, TableOptions options = {}) {
  return {SchemaName::existing(schema), std::move(options)};
}

VersionTable::Expected expected(std::string digest, RevisionNumber running = 0) {
  VersionTable::Expected expected;
  expected.digest = std::move(digest);
  expected.running = running;
  return expected;
}

TableOptions options_of(const std::string& name, std::vector<std::string> owners = {}) {
  return {.name = name, .owners = std::move(owners), .run_id = "run", .tool_version = "1.2"};
}

AppliedRevision row() {
  AppliedRevision row = history_of(folder_of({1, 2}), 2).back();
  row.confirmed = 3;
  row.statement_digest = "d";
  return row;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// All messages that a version table makes, as text.
std::vector<std::string> all_sql(const VersionTable& table) {
  History history;
  const RowChange update{RowChange::Kind::update, 2, row()};
  const RowChange remove{RowChange::Kind::remove, 2, {}};
  std::vector<std::string> texts;
  for (const pq::Message& message : {table.create_schema(),
                                     table.create_table(),
                                     table.place(expected("d")),
                                     table.place(expected("d", 7), "a, b"),
                                     table.insert_finished(row(), "run"),
                                     table.remove_finished(row()),
                                     table.lock(),
                                     table.lock_session(),
                                     table.insert_guarded(row(), "run"),
                                     table.guard(row()),
                                     table.lift_guard(row()),
                                     table.set_guard(row()).front(),
                                     table.set_guard(row()).back(),
                                     table.close(row()),
                                     table.close_and_remove(row()),
                                     table.insert_running(row()),
                                     table.start_running(row()),
                                     table.progress(row()),
                                     table.failed_at(row(), {}),
                                     table.finish_running(row()),
                                     table.remove(row()),
                                     table.change(update, "run"),
                                     table.change(remove, "run"),
                                     table.mark({}),
                                     table.read(history)}) {
    texts.push_back(message.sql);
  }
  return texts;
}

}  // namespace

TEST_SUITE("migrate/version_table") {
  TEST_CASE("the table is named with its schema, quoted, in every statement") {
    for (const std::string schema : {"acme", "Acme Ltd", "a\"b", "a'b", "a.b", "\xC3\xA9", "a$1b",
                                     "x$tenantctl$y", "a\\b", "select", "a;b--", "a\nb"}) {
      CAPTURE(schema);
      const std::string quoted = SchemaName::existing(schema).quoted();
      for (const std::string& sql : all_sql(table_in(schema))) {
        CAPTURE(sql);
        const auto script = sql::Script::read(sql);
        CHECK(script.parsed());
        CHECK(script.statements().size() == 1);
        CHECK((has(sql, quoted) || has(sql, "pg_try_advisory")));
      }
    }
  }

  TEST_CASE("the table's name is an option") {
    CHECK(has(table_in("acme", options_of("My \"Versions\"")).create_table().sql,
              R"(CREATE TABLE "acme"."My ""Versions""" ()"));
  }

  TEST_CASE("the fence can expect the run that wrote the newest row") {
    const VersionTable table(SchemaName::existing("one"), {});
    CHECK(table.place({.digest = "abc", .run_id = "r"})
              .sql.find("IS NOT DISTINCT FROM 'r'::pg_catalog.uuid") != std::string::npos);
    CHECK(table.place({.digest = "abc"}).sql.find("v.run_id") == std::string::npos);
  }

  TEST_CASE("the fence expects a digest and perhaps one unfinished revision") {
    const VersionTable table = table_in("acme");
    const std::string applied = table.place(expected("abc")).sql;
    CHECK(has(applied, "[1] IS NOT DISTINCT FROM 'abc' AND "));
    CHECK(has(applied, "(WHERE v.state <> 'applied') IS NOT DISTINCT FROM NULL"));
    const std::string running = table.place(expected("", 7)).sql;
    CHECK(has(running, "[1] IS NOT DISTINCT FROM NULL AND "));
    CHECK(has(running, "(WHERE v.state <> 'applied') IS NOT DISTINCT FROM 7"));
  }

  TEST_CASE("the search_path is set only behind the fence") {
    const pq::Message message = table_in("a FROM b").place(expected("d"), "x, pg_temp");
    CHECK(message.values == std::vector<std::optional<std::string>>{"x, pg_temp"});
    CHECK(
        has(message.sql, "int4, pg_catalog.set_config('search_path', $1, true) FROM \"a FROM b\""));
  }

  TEST_CASE("the fence tries the lock and never waits for it") {
    const std::string sql = VersionTable::entry_condition({}, 3);
    CHECK(has(sql, "pg_catalog.pg_try_advisory_xact_lock(1952670769, "));
    CHECK(has(sql, "pg_catalog.pg_try_advisory_lock(1952670769, "));
    CHECK(has(sql, "IS NOT TRUE THEN"));
    for (const auto code : {refusal::gone, refusal::busy, refusal::moved, refusal::foreign})
      CHECK(has(sql, "'tenantctl " + std::string(code) + ": "));
    CHECK(has(table_in("acme").lock_session().sql, "pg_catalog.pg_try_advisory_lock("));
    const auto values = table_in("acme").entry_values(true, VersionTable::Hold::session);
    CHECK(values ==
          std::vector<std::optional<std::string>>{"acme", "tenantctl_version", "true", "true"});
  }

  TEST_CASE("a refusal of ours is told from what a revision's own cast failed at") {
    const pq::ServerFields error = server_error(refusal::moved, "say \"no\"");
    const auto ours = own_refusal(error);
    REQUIRE(ours);
    CHECK(ours->code == refusal::moved);
    CHECK(ours->message == "say \"no\"");
    // lc_messages of another language: other words, other quotation marks.
    const pq::ServerFields german_error = server_error(
        "22P02",
        "ung\xC3\xBCltige Eingabesyntax f\xC3\xBCr Typ integer: \xC2\xBBtenantctl TC002: the "
        "schema is busy\xC2\xAB");
    const auto german = own_refusal(german_error);
    REQUIRE(german);
    CHECK(german->code == refusal::busy);
    CHECK(german->message == "the schema is busy");
    CHECK_FALSE(own_refusal(server_error("22P02", "invalid input syntax for type integer: \"x\"")));
    CHECK_FALSE(own_refusal(server_error("42601", "\"tenantctl TC001: x\"")));
  }

  TEST_CASE("owners that are trusted are literals") {
    CHECK(has(VersionTable::entry_condition({"o'neill", "b"}, 1), "'o''neill', 'b')"));
  }

  TEST_CASE("a row goes in with its guard, or without where none is needed") {
    const pq::Message guarded = table_in("acme", options_of("v")).insert_guarded(row(), "import");
    CHECK(has(guarded.sql, "$6, 0, pg_catalog.pg_current_xact_id()"));
    REQUIRE(guarded.values.size() == 11);
    CHECK(guarded.values[0] == "2");
    CHECK(guarded.values[5] == "applied");
    CHECK(guarded.values[6] == "import");
    CHECK(guarded.values[7] == "run");
    CHECK(guarded.values[8] == "1.2");
    CHECK_FALSE(guarded.values[9]);
    CHECK_FALSE(guarded.values[10]);
    CHECK_FALSE(table_in("acme").insert_guarded(row(), "run").values[7]);
  }

  TEST_CASE("a running row says how far it is and in which direction") {
    AppliedRevision running = row();
    running.state = RowState::running;
    const pq::Message message = table_in("acme").insert_running(running);
    CHECK(has(message.sql, "$6, NULL, "));
    CHECK(message.values[5] == "running");
    CHECK(message.values[9] == "up:3");
    CHECK(message.values[10] == "d");
    running.reverting = true;
    CHECK(table_in("acme").progress(running).values[1] == "down:3");
    CHECK(table_in("acme").start_running(running).values[1] == "down:3");
  }

  TEST_CASE("a failed statement is noted with code and text") {
    const pq::Message message = table_in("acme").failed_at(row(), server_error("42P01", "no t"));
    CHECK(message.values == std::vector<std::optional<std::string>>{"2", "42P01", "no t"});
  }

  TEST_CASE("close, end and removal raise unless they met exactly one row") {
    const VersionTable table = table_in("acme");
    for (const pq::Message& message : {table.close(row()), table.close_and_remove(row()),
                                       table.finish_running(row()), table.remove(row())}) {
      CHECK(message.values.empty());
      CHECK(has(message.sql, "count(*) = 1 THEN '0' ELSE 'tenantctl TC005: "));
    }
    CHECK(has(table.close(row()).sql, "position = 2 AND guard = 0"));
  }

  TEST_CASE("changes of rows are told apart") {
    const VersionTable table = table_in("acme");
    CHECK(table.change({RowChange::Kind::insert, 0, row()}, "stamp").values[6] == "stamp");
    const pq::Message remove = table.change({RowChange::Kind::remove, 5, {}}, "run");
    CHECK(remove.sql.starts_with("DELETE FROM \"acme\".\"tenantctl_version\""));
    CHECK(remove.values == std::vector<std::optional<std::string>>{"5"});
    const pq::Message update = table.change({RowChange::Kind::update, 5, row()}, "run");
    CHECK(update.values.at(0) == "5");
    CHECK(update.values.at(1) == "2");
    CHECK(update.values.at(3) == row().digest);
  }

  TEST_CASE("the mark is the table's comment") {
    CHECK(table_in("a'b").mark({}).sql ==
          "COMMENT ON TABLE \"a'b\".\"tenantctl_version\" IS "
          "'tenantctl 1 scope=tenant head=0 count=0 digest=base'");
  }

  TEST_CASE("rows are read as they were written") {
    History rows = history_of(folder_of({1, 2, 3}), 3);
    rows[2].state = RowState::running;
    rows[2].reverting = true;
    rows[2].confirmed = 12;
    rows[2].statement_digest = "d";
    History read;
    send_rows(table_in("acme").read(read), rows);
    REQUIRE(read.size() == 3);
    CHECK_NOTHROW(check_chain(read));
    CHECK(read[0].name == "0001_r1");
    CHECK(read[0].state == RowState::applied);
    CHECK(read[2].state == RowState::running);
    CHECK(read[2].reverting);
    CHECK(read[2].confirmed == 12);
    CHECK(read[2].statement_digest == "d");
  }

  TEST_CASE("reading begins anew each time") {
    History read = history_of(folder_of({1}), 1);
    static_cast<void>(table_in("acme").read(read));
    CHECK(read.empty());
  }

  TEST_CASE("a state or progress that nobody wrote is left to a person") {
    History rows = history_of(folder_of({1}), 1);
    rows[0].state = RowState::needs_decision;
    History read;
    const pq::Message message = table_in("acme").read(read);
    send_rows(message, rows);
    send_row(message, {"x", "y", "n", "c", "d", "odd", "sideways", std::nullopt, std::nullopt});
    CHECK(read[0].state == RowState::needs_decision);
    CHECK(read[1].state == RowState::needs_decision);
    CHECK(read[1].position == 0);
    CHECK(read[1].confirmed == 0);
  }
}
