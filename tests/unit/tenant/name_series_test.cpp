#include "tenant/name_series.h"

#include <doctest/doctest.h>

#include "base/error.h"

using namespace tenantctl;
using Names = std::vector<std::string>;

TEST_SUITE("tenant/name_series") {
  TEST_CASE("a series begins at 1 and goes on behind the highest number that is there") {
    CHECK(next_names("p", {}, 2) == Names{"p00001", "p00002"});
    CHECK(next_names("p", {"p00007", "p3", "q00009"}, 2) == Names{"p00008", "p00009"});
    CHECK(next_names("p_", {"p_99999"}, 2) == Names{"p_100000", "p_100001"});
  }

  TEST_CASE("what is no number is none of the series") {
    CHECK(next_names("p", {"p", "p-5", "p5a", "pa5", "p+5", "p 5", "p20261121101500123456"}, 1) ==
          Names{"p00001"});
  }

  TEST_CASE("a name that may not be created is refused") {
    CHECK_THROWS_AS(next_names("P", {}, 1), UsageError);
    CHECK_THROWS_AS(next_names("pg_", {}, 1), UsageError);
    CHECK_THROWS_AS(next_names("", {}, 1), UsageError);
    CHECK_THROWS_AS(next_names(std::string(59, 'x'), {}, 1), UsageError);
    CHECK(next_names(std::string(58, 'x'), {}, 1).front().size() == 63);
  }

  TEST_CASE("slugs may hold what no new schema's name may") {
    CHECK(next_slugs("trial-", {"trial-00041"}, 1) == Names{"trial-00042"});
    CHECK_THROWS_AS(next_slugs("Trial-", {}, 1), UsageError);
    CHECK_THROWS_AS(next_slugs("", {}, 1), UsageError);
  }

  TEST_CASE("a prefix is no pattern") { CHECK(like_prefix("a_%\\b") == "a\\_\\%\\\\b%"); }
}
