#include "rollout/index_scans.h"

#include <doctest/doctest.h>

#include <string>

#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;

TEST_SUITE("pg/rollout/index_scans") {
  TEST_CASE("the indexes of the database are counted, analyzed or not") {
    TestDatabase database;
    database.execute("CREATE TABLE a (i int PRIMARY KEY, j int UNIQUE)");
    Session session(database);
    const auto counted = std::stoull(database.value("SELECT count(*) FROM pg_index"));
    const auto read = read_index_count(session.pipeline(), soon());
    CHECK(read > counted / 2);
    CHECK(read < counted * 2);
    database.execute("ANALYZE pg_index");
    CHECK(read_index_count(session.pipeline(), soon()) == counted);
  }
}
