#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "pq/copy_rows.h"
#include "pq/transaction.h"
#include "support/database.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// Two sessions, and a table for each of them.
struct CopyBench {
  CopyBench() : from(database), to(database) {
    database.execute(
        "CREATE TABLE source (id int, body text); "
        "CREATE TABLE target (id int CHECK (id <> 13), body text)");
  }

  std::uint64_t copy(const std::string& query) {
    return pq::copy_rows({from.pipeline(), "COPY (" + query + ") TO STDOUT"},
                         {to.pipeline(), "COPY public.target FROM STDIN"}, 10s);
  }

  TestDatabase database;
  Session from;
  Session to;
};

}  // namespace

TEST_SUITE("pq/copy_rows") {
  TEST_CASE("rows go from one session into another as they are, and both go on as before") {
    CopyBench bench;
    bench.database.execute(
        "INSERT INTO source VALUES (1, E'a\\tb\\\\n'), (2, NULL), (3, ''), "
        "(4, E'\\u00e9\\n')");
    CHECK(bench.copy("SELECT * FROM public.source") == 4);
    CHECK(bench.database.value("SELECT count(*) FROM (TABLE source EXCEPT TABLE target) d") == "0");
    CHECK(bench.copy("SELECT * FROM public.source WHERE false") == 0);
    bench.from.execute("SELECT 1");
    bench.to.execute("SELECT 1");
  }

  TEST_CASE("more than any buffer holds goes through, inside a transaction of each side") {
    CopyBench bench;
    pq::OpenTransaction source(bench.from.pipeline(), 10s);
    pq::OpenTransaction target(bench.to.pipeline(), 10s);
    CHECK(bench.copy("SELECT n + 100, repeat('x', 1000) FROM generate_series(1, 20000) n") ==
          20'000);
    CHECK(bench.database.value("SELECT count(*) FROM target") == "0");
    target.commit();
    source.commit();
    CHECK(bench.database.value("SELECT count(*) FROM target") == "20000");
  }

  TEST_CASE("what either side refuses is told in its words, and nothing is kept") {
    CopyBench bench;
    CHECK_THROWS_WITH_AS(bench.copy("SELECT n, '' FROM generate_series(1, 5000) n"),
                         doctest::Contains("target_id_check"), pq::ServerError);
    CHECK(bench.to.pipeline().is_lost());
    CHECK(bench.database.value("SELECT count(*) FROM target") == "0");
    CopyBench other;
    CHECK_THROWS_WITH_AS(other.copy("SELECT 1000 / (n - 4000), '' FROM generate_series(1, 5000) n"),
                         doctest::Contains("division by zero"), pq::ServerError);
    CHECK(other.to.pipeline().is_lost());
    CHECK(other.database.value("SELECT count(*) FROM target") == "0");
  }
}

TEST_SUITE("pq/open transaction") {
  TEST_CASE("what is not committed is rolled back, and a failure ends it") {
    CopyBench bench;
    {
      pq::OpenTransaction transaction(bench.to.pipeline(), 10s);
      transaction.run(messages({"INSERT INTO public.target VALUES (1)"}));
    }
    {
      pq::OpenTransaction transaction(bench.to.pipeline(), 10s);
      transaction.run(messages({"INSERT INTO public.target VALUES (2)"}));
      CHECK_THROWS_AS(transaction.run(messages({"INSERT INTO public.target VALUES (13)"})),
                      pq::ServerError);
    }
    CHECK(bench.database.value("SELECT count(*) FROM target") == "0");
    bench.to.execute("INSERT INTO public.target VALUES (3)");
    CHECK(bench.database.value("SELECT count(*) FROM target") == "1");
  }
}
