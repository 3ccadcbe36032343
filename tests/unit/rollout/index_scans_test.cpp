#include "rollout/index_scans.h"

#include <doctest/doctest.h>

#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

RevisionFolder folder_with_defaults() {
  return {Scope::tenant,
          {revision_of(1,
                       "-- migrate:up\nSELECT 1;\n\nALTER TABLE t\n  ADD a int DEFAULT 1;\n"
                       "ALTER TABLE t ADD b int;\n"),
           revision_of(2, "-- migrate:up\nALTER TABLE t ADD c int DEFAULT 1;\n")}};
}

FleetPlan plan_of(const RevisionFolder& folder, std::size_t schemas) {
  FleetPlan plan;
  FleetPlan::Group group;
  group.work.plan = plan_upgrade(folder, {}, Target::head());
  group.schemas.resize(schemas, "t");
  plan.groups.push_back(group);
  group.problem = Failure{};
  plan.groups.push_back(group);
  return plan;
}

}  // namespace

TEST_SUITE("rollout/index_scans") {
  TEST_CASE("each statement counts once for each schema that it is for, the first has a place") {
    const RevisionFolder folder = folder_with_defaults();
    const IndexScans scans = count_index_scans(plan_of(folder, 100));
    CHECK(scans.count == 200);
    CHECK(scans.first.file == "versions/0001_r1.sql");
    CHECK(scans.first.line == 4);
  }

  TEST_CASE("the estimate is the measurement in proportion") {
    CHECK(IndexScans{.count = 1, .first = {}}.duration(162'000).count() == 40);
    CHECK(IndexScans{.count = 3'800, .first = {}}.duration(162'000).count() == 152'000);
    CHECK(IndexScans{.count = 0, .first = {}}.duration(162'000).count() == 0);
  }

  TEST_CASE("it is worth a word from ten seconds on, with file, line and estimate") {
    const RevisionFolder folder = folder_with_defaults();
    const FleetPlan plan = plan_of(folder, 1'900);
    const IndexScans scans = count_index_scans(plan);
    CHECK(index_scan_warning(scans, 162'000)
              .find("versions/0001_r1.sql:4: ADD COLUMN ... DEFAULT makes PostgreSQL read all of "
                    "pg_index, 162000 rows here: about 2 min of the server's time for 3800 such "
                    "statements in all (an estimate") == 0);
    CHECK(index_scan_warning(scans, 10'000) == "");
    CHECK(index_scan_warning(scans, 11'000).find("about 10 s of") != std::string::npos);
    CHECK(index_scan_warning(scans, 10'000'000).find("about 2.6 h of") != std::string::npos);
  }

  TEST_CASE("a server on which it was tried and is not so gets no warning") {
    CHECK(spares_index_scans(150018));
    CHECK_FALSE(spares_index_scans(150020));
    CHECK_FALSE(spares_index_scans(160001));
  }
}
