#include "rollout/standing.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "support/rollout_bench.h"
#include "support/session.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using State = Standing::State;

namespace {

RevisionFolder three_revisions() {
  return {Scope::tenant,
          {revision(1, "CREATE TABLE a (i int)"), revision(2, "CREATE TABLE b (i int)"),
           revision(3, "CREATE TABLE c (i int)")}};
}

/// Tenants at the third revision, and readings of where they stand.
struct Fixture {
  explicit Fixture(std::size_t count, RevisionFolder revisions = three_revisions())
      : bench(database, std::move(revisions)), session(database) {
    REQUIRE(bench.run(schema_names(count)).count(Result::applied) == count);
  }

  void read_fleet() { fleet = tenantctl::read_fleet(session.pipeline(), {}, "shared", soon()); }

  std::vector<Standing> standings() {
    std::vector<std::uint32_t> all(fleet.schemas.size());
    std::iota(all.begin(), all.end(), 0U);
    return read_deep_standings(session.pipeline(), fleet, all, {}, {});
  }

  std::vector<Standing> deep() {
    read_fleet();
    return standings();
  }

  std::string comment_of(const std::string& schema) {
    return database.value(fmt::format(
        "SELECT obj_description('{}.tenantctl_version'::regclass, 'pg_class')", schema));
  }

  void set_comment(const std::string& schema, const std::string& comment) {
    database.execute(fmt::format("COMMENT ON TABLE {}.tenantctl_version IS '{}'", schema, comment));
  }

  std::vector<std::string> names(const std::vector<Standing>& groups, State state) const {
    std::vector<std::string> names;
    for (const Standing& group : groups) {
      for (const std::uint32_t i : group.members) {
        if (group.state == state)
          names.push_back(fleet.schemas[i].schema);
      }
    }
    std::ranges::sort(names);
    return names;
  }

  TestDatabase database;
  RolloutBench bench;
  Session session;
  Fleet fleet;
};

std::size_t count(const std::vector<Standing>& groups) {
  std::size_t count = 0;
  for (const Standing& group : groups)
    count += group.members.size();
  return count;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_SUITE("pg/rollout/standing") {
  TEST_CASE("a mark that a COMMENT changed by hand lies, in whichever batch its table is read") {
    Fixture fixture(250);
    const std::string head = fixture.comment_of("t01");
    fixture.session.execute("DELETE FROM t02.tenantctl_version WHERE revision = 3");
    const std::string base = Mark{}.text();
    fixture.set_comment("t03", base);
    fixture.set_comment("t150", base);
    fixture.set_comment("t250", base);
    fixture.set_comment("t04", "by hand");
    const auto groups = fixture.deep();
    CHECK(count(groups) == 250);
    CHECK(fixture.names(groups, State::lying) == Names{"t02", "t03", "t150", "t250"});
    CHECK(fixture.names(groups, State::unmarked) == Names{"t04"});
    CHECK(fixture.names(groups, State::marked).size() == 245);
    for (const Standing& group : groups) {
      if (group.state != State::lying)
        continue;
      const bool is_first = group.members == std::vector<std::uint32_t>{1};
      CHECK(group.claimed.text() == (is_first ? head : base));
      CHECK(group.mark.count == (is_first ? 2 : 3));
      CHECK(group.history.size() == group.mark.count);
    }
  }

  TEST_CASE("rows changed behind an intact mark do not add up, and the mark alone does not tell") {
    Fixture fixture(5);
    fixture.database.execute(
        "UPDATE t02.tenantctl_version SET checksum = 'x' WHERE revision = 2;"
        "DELETE FROM t03.tenantctl_version WHERE revision = 1");
    const auto groups = fixture.deep();
    CHECK(fixture.names(groups, State::broken) == Names{"t02", "t03"});
    const auto by_mark = read_standings(fixture.session.pipeline(), fixture.fleet, {0, 1, 2, 3, 4},
                                        fixture.bench.folder, {}, soon());
    CHECK(fixture.names(by_mark, State::marked).size() == 5);
  }

  TEST_CASE("repeatables behind the revisions are part of what a mark must say") {
    Fixture fixture(3);
    const std::string honest = fixture.comment_of("t01");
    fixture.set_comment("t01", honest + " repeatables=" + std::string(64, 'a'));
    const auto groups = fixture.deep();
    CHECK(fixture.names(groups, State::lying) == Names{"t01"});
    CHECK(fixture.names(groups, State::marked) == Names{"t02", "t03"});
  }

  TEST_CASE("who migrates or drops a schema while the tables are read makes no liar of it") {
    Fixture fixture(3);
    fixture.read_fleet();
    // The fleet is read, the tables are not yet.
    fixture.bench.folder = RevisionFolder(
        Scope::tenant,
        {revision(1, "CREATE TABLE a (i int)"), revision(2, "CREATE TABLE b (i int)"),
         revision(3, "CREATE TABLE c (i int)"), revision(4, "SELECT 1")});
    REQUIRE(fixture.bench.run({"t01"}).count(Result::applied) == 1);
    fixture.database.execute("DROP SCHEMA t02 CASCADE");
    const auto groups = fixture.standings();
    CHECK(count(groups) == 2);
    CHECK(fixture.names(groups, State::marked) == Names{"t01", "t03"});
  }
}
