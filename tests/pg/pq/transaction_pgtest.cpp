#include "pq/transaction.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

void run(Session& session, const std::vector<std::string>& statements,
         pq::Access access = pq::Access::read_write) {
  pq::run_transaction(session.pipeline(), messages(statements), access, soon());
}

std::string sqlstate_of(Session& session, const std::vector<std::string>& statements,
                        pq::Access access = pq::Access::read_write) {
  try {
    run(session, statements, access);
  } catch (const pq::ServerError& error) {
    return error.fields().sqlstate;
  }
  return "";
}

}  // namespace

TEST_SUITE("pg/pq/transaction") {
  TEST_CASE("all statements are kept together, and nothing stays set in the session") {
    TestDatabase database;
    Session session(database);
    session.execute("SET search_path = public");
    run(session, {"CREATE TABLE public.a ()", "CREATE TABLE public.b ()"});
    CHECK(database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "2");
    std::string path;
    std::vector<pq::Message> flight;
    flight.push_back(
        {.sql = "SHOW search_path", .on_row = [&path](const pq::Row& row) { path = row.text(0); }});
    session.send(std::move(flight));
    CHECK(path == "public");
  }

  TEST_CASE("the first failure is thrown with its SQLSTATE and nothing is kept") {
    TestDatabase database;
    Session session(database);
    CHECK(sqlstate_of(session, {"CREATE TABLE public.a ()", "SELECT 1/0", "SELECT nonsense"}) ==
          "22012");
    CHECK(database.value("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0");
    CHECK_NOTHROW(run(session, {"CREATE TABLE public.a ()"}));
  }

  TEST_CASE("reading cannot write") {
    TestDatabase database;
    Session session(database);
    CHECK(sqlstate_of(session, {"CREATE TABLE public.a ()"}, pq::Access::read_only) == "25006");
  }

  TEST_CASE("a deferred constraint that COMMIT refuses is an error") {
    TestDatabase database;
    Session session(database);
    database.execute(
        "CREATE TABLE p (i int PRIMARY KEY);"
        "CREATE TABLE c (i int REFERENCES p DEFERRABLE INITIALLY DEFERRED)");
    CHECK(sqlstate_of(session, {"INSERT INTO public.c VALUES (1)"}) == "23503");
    CHECK(database.value("SELECT count(*) FROM c") == "0");
  }

  TEST_CASE("a session that stands in a failed transaction is usable after one refusal") {
    TestDatabase database;
    Session session(database);
    session.send_sql({"BEGIN", "SELECT 1/0"});
    CHECK(sqlstate_of(session, {"SELECT 1"}) == "25P02");
    CHECK_NOTHROW(run(session, {"SELECT 1"}));
  }

  TEST_CASE("a connection that ends is lost, not failed") {
    TestDatabase database;
    Session session(database);
    CHECK_THROWS_AS(
        run(session, {"SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())"}),
        pq::ConnectionLost);
  }

  TEST_CASE("an error's fields name what it is about") {
    TestDatabase database;
    Session session(database);
    database.execute("CREATE TABLE t (i int CONSTRAINT positive CHECK (i > 0))");
    try {
      run(session, {"INSERT INTO public.t VALUES (0)"});
      FAIL("the constraint holds");
    } catch (const pq::ServerError& error) {
      CHECK(error.is("23514"));
      CHECK(error.fields().schema == "public");
      CHECK(error.fields().table == "t");
      CHECK(error.fields().constraint == "positive");
      CHECK(std::string(error.what()).find("23514") != std::string::npos);
    }
  }
}
