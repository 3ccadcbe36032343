#include "pq/pipeline.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/database.h"
#include "support/session.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();  // of gcc's libasan
#endif

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;
using Kind = pq::Answer::Kind;

namespace {

// The process's own size would count what a sanitizer keeps in quarantine.
std::size_t allocated() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return __sanitizer_get_current_allocated_bytes();
#else
  const auto now = ::mallinfo2();
  return now.uordblks + now.hblkhd;
#endif
}

// Waits for the next flight; `peak` is the most memory in use meanwhile.
pq::FlightAnswer wait(pq::Pipeline& pipeline, std::size_t* peak = nullptr) {
  const pq::Deadline deadline = soon();
  while (true) {
    if (auto answer = pipeline.take())
      return std::move(*answer);
    REQUIRE(pq::wait_for(pipeline.connection().socket(), pipeline.wants_write(), deadline));
    pipeline.advance();
    if (peak != nullptr)
      *peak = std::max(*peak, allocated());
  }
}

std::vector<Kind> kinds(const pq::FlightAnswer& flight) {
  std::vector<Kind> kinds;
  for (const pq::Answer& answer : flight.answers)
    kinds.push_back(answer.kind);
  return kinds;
}

}  // namespace

TEST_SUITE("pg/pq/pipeline") {
  TEST_CASE("answers come in the order sent, each with its tag") {
    TestDatabase database;
    Session session(database);
    for (int i = 0; i < 50; ++i) {
      session.pipeline().send(messages({fmt::format("CREATE TABLE t{} (i int)", i),
                                        fmt::format("INSERT INTO t{} VALUES (1), (2)", i)}));
    }
    CHECK(session.pipeline().in_flight() > 0);
    for (int i = 0; i < 50; ++i) {
      const auto flight = wait(session.pipeline());
      REQUIRE(kinds(flight) == std::vector{Kind::done, Kind::done});
      CHECK(flight.answers[0].tag == "CREATE TABLE");
      CHECK(flight.answers[1].tag == "INSERT 0 2");
      REQUIRE_FALSE(flight.in_transaction);
    }
    CHECK(session.pipeline().in_flight() == 0);
    CHECK(database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "50");
  }

  TEST_CASE("a failing flight skips its own rest and harms none behind it") {
    TestDatabase database;
    Session session(database);
    session.pipeline().send(messages({"CREATE TABLE a ()"}));
    session.pipeline().send(
        messages({"CREATE TABLE b ()", "SELECT nonsense", "CREATE TABLE c ()"}));
    session.pipeline().send(messages({"CREATE TABLE d ()"}));
    CHECK(kinds(wait(session.pipeline())) == std::vector{Kind::done});
    const auto failed = wait(session.pipeline());
    CHECK(kinds(failed) == std::vector{Kind::done, Kind::failed, Kind::skipped});
    CHECK(failed.failure()->error->is("42703"));
    CHECK(failed.failure()->error->position == 8);
    CHECK(failed.failure()->error->severity == "ERROR");
    CHECK_FALSE(failed.in_failed_transaction);
    CHECK(kinds(wait(session.pipeline())) == std::vector{Kind::done});
    CHECK(database.value("SELECT string_agg(tablename, ',' ORDER BY 1) FROM pg_tables "
                         "WHERE schemaname = 'public'") == "a,d");
  }

  TEST_CASE("behind a failed transaction everything is refused until a ROLLBACK") {
    TestDatabase database;
    Session session(database);
    session.pipeline().send(messages({"BEGIN", "SELECT 1/0", "COMMIT"}));
    session.pipeline().send(messages({"BEGIN", "CREATE TABLE a ()", "COMMIT"}));
    session.pipeline().send(messages({"ROLLBACK"}));
    session.pipeline().send(messages({"BEGIN", "CREATE TABLE b ()", "COMMIT"}));
    const auto failed = wait(session.pipeline());
    CHECK(kinds(failed) == std::vector{Kind::done, Kind::failed, Kind::skipped});
    const auto refused = wait(session.pipeline());
    CHECK(kinds(refused) == std::vector{Kind::failed, Kind::skipped, Kind::skipped});
    CHECK(refused.failure()->error->is("25P02"));
    CHECK(refused.in_failed_transaction);
    const auto rollback = wait(session.pipeline());
    CHECK(rollback.answers[0].tag == "ROLLBACK");
    CHECK_FALSE(rollback.in_failed_transaction);
    CHECK(wait(session.pipeline()).failure() == nullptr);
    CHECK(database.value("SELECT string_agg(tablename, ',') FROM pg_tables "
                         "WHERE schemaname = 'public'") == "b");
  }

  TEST_CASE("COMMIT in a failed transaction answers ROLLBACK, an open transaction is told") {
    TestDatabase database;
    Session session(database);
    session.send_sql({"BEGIN", "SELECT 1/0"});
    const auto commit = session.send_sql({"COMMIT"});
    CHECK(commit.answers[0].kind == Kind::done);
    CHECK(commit.answers[0].tag == "ROLLBACK");
    CHECK(session.send_sql({"BEGIN"}).in_transaction);
    CHECK_FALSE(session.send_sql({"COMMIT"}).in_transaction);
  }

  TEST_CASE("an error that comes only when the flight ends fails the flight") {
    TestDatabase database;
    Session session(database);
    database.execute(
        "CREATE TABLE p (i int PRIMARY KEY);"
        "CREATE TABLE c (i int REFERENCES p DEFERRABLE INITIALLY DEFERRED)");
    session.pipeline().send(messages({"INSERT INTO c VALUES (1)"}));
    session.pipeline().send(messages({"INSERT INTO p VALUES (2)"}));
    const auto flight = wait(session.pipeline());
    CHECK(database.value("SELECT count(*) FROM c") == "0");
    REQUIRE(flight.failure() != nullptr);
    CHECK(flight.failure()->error->is("23503"));
    CHECK(wait(session.pipeline()).failure() == nullptr);
  }

  TEST_CASE("values travel as parameters and NULL stays NULL") {
    TestDatabase database;
    Session session(database);
    std::string text;
    bool null = false;
    std::vector<pq::Message> flight;
    flight.push_back({.sql = "SELECT $1::text, $2::text",
                      .values = {"it's; \"$1\" \\ é", std::nullopt},
                      .on_row = [&](const pq::Row& row) {
                        text = row.text(0);
                        null = row.is_null(1) && row.text(1).empty();
                      }});
    CHECK(session.send(std::move(flight)).failure() == nullptr);
    CHECK(text == "it's; \"$1\" \\ é");
    CHECK(null);
  }

  TEST_CASE("a second command in one message is refused, an empty one is not") {
    TestDatabase database;
    Session session(database);
    const auto two = session.send_sql({"SELECT 1; SELECT 2"});
    REQUIRE(two.failure() != nullptr);
    CHECK(two.failure()->error->is("42601"));
    CHECK(session.send_sql({"-- nothing"}).failure() == nullptr);
  }

  TEST_CASE("rows reach the message that asked for them, in whatever place it stands") {
    TestDatabase database;
    Session session(database);
    std::vector<int> sums(6);
    for (int flight = 0; flight < 3; ++flight) {
      std::vector<pq::Message> sent;
      for (int i = 0; i < 2; ++i) {
        int& sum = sums[static_cast<std::size_t>(2 * flight + i)];
        sent.push_back({.sql = "SELECT 1 FROM generate_series(1, 1000)",
                        .on_row = [&sum](const pq::Row&) { ++sum; }});
        sent.push_back({.sql = "SELECT g FROM generate_series(1, 1000) g"});
      }
      session.pipeline().send(std::move(sent));
    }
    for (int flight = 0; flight < 3; ++flight)
      CHECK(wait(session.pipeline()).failure() == nullptr);
    CHECK(sums == std::vector<int>(6, 1000));
  }

  TEST_CASE("a SELECT of 3 million rows costs no memory, wherever it stands") {
    TestDatabase database;
    Session session(database);
    const std::string rows = "SELECT g, 'a row of some length' FROM generate_series(1, 1000000) g";
    session.pipeline().send(messages({rows, "SELECT 1"}));
    session.pipeline().send(messages({rows, rows}));
    const std::size_t before = allocated();
    std::size_t peak = before;
    CHECK(wait(session.pipeline(), &peak).answers[0].tag == "SELECT 1000000");
    CHECK(wait(session.pipeline(), &peak).answers[1].tag == "SELECT 1000000");
    CHECK((peak - before) / 1'000'000 < 4);
  }

  TEST_CASE("rows that were already read before an error do not hide it") {
    TestDatabase database;
    Session session(database);
    int rows = 0;
    std::vector<pq::Message> flight;
    flight.push_back({.sql = "SELECT 1 / (50000 - g) FROM generate_series(1, 100000) g",
                      .on_row = [&rows](const pq::Row&) { ++rows; }});
    const auto answer = session.send(std::move(flight));
    CHECK(rows == 49'999);
    REQUIRE(answer.failure() != nullptr);
    CHECK(answer.failure()->error->is("22012"));
  }

  TEST_CASE("a statement of 20 MB goes through") {
    TestDatabase database;
    Session session(database);
    std::string length;
    std::vector<pq::Message> flight;
    flight.push_back({.sql = "SELECT length('" + std::string(20'000'000, 'x') + "')",
                      .on_row = [&length](const pq::Row& row) { length = row.text(0); }});
    CHECK(session.send(std::move(flight)).failure() == nullptr);
    CHECK(length == "20000000");
  }

  TEST_CASE("much sent while much comes back does not stop both sides") {
    TestDatabase database;
    Session session(database);
    const std::string large = "SELECT '" + std::string(200'000, 'x') + "'";
    for (int i = 0; i < 10; ++i)
      session.pipeline().send(messages(std::vector<std::string>(20, large)));
    for (int i = 0; i < 10; ++i) {
      const auto flight = wait(session.pipeline());
      REQUIRE(flight.answers.size() == 20);
      CHECK(flight.failure() == nullptr);
    }
  }

  TEST_CASE("a terminated backend is a lost connection with the server's last words") {
    TestDatabase database;
    Session session(database);
    session.pipeline().send(messages({"SELECT 1"}));
    session.pipeline().send(messages({"SELECT pg_sleep(30)"}));
    session.pipeline().send(messages({"SELECT 2"}));
    CHECK(wait(session.pipeline()).failure() == nullptr);
    database.execute(
        fmt::format("SELECT pg_terminate_backend({})", session.connection().backend_pid()));
    try {
      wait(session.pipeline());
      FAIL("an answer that nobody sent");
    } catch (const pq::ConnectionLost& error) {
      CHECK(error.reason().is("57P01"));
      CHECK(error.reason().severity == "FATAL");
      CHECK(std::string(error.what()).find("57P01") != std::string::npos);
    }
  }

  TEST_CASE("a session that was ended while idle is noticed by the next flight") {
    TestDatabase database;
    Session session(database);
    session.execute("SELECT 1");
    database.execute(
        fmt::format("SELECT pg_terminate_backend({})", session.connection().backend_pid()));
    std::this_thread::sleep_for(200ms);
    CHECK_THROWS_AS(session.execute("SELECT 1"), pq::ConnectionLost);
    CHECK_THROWS_AS(session.execute("SELECT 1"), pq::ConnectionLost);
  }

  TEST_CASE("waiting ends at the deadline") {
    TestDatabase database;
    Session session(database);
    const auto begin = pq::Clock::now();
    CHECK_THROWS_AS(
        session.pipeline().wait_for_answer(messages({"SELECT pg_sleep(20)"}), begin + 200ms),
        pq::ConnectionLost);
    CHECK(pq::Clock::now() - begin < 5s);
  }
}
