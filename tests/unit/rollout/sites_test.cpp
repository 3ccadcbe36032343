#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "rollout/agenda.h"
#include "rollout/fleet_plan.h"
#include "rollout/selection.h"
#include "rollout/standing.h"
#include "support/values.h"
#include "tenant/fleet.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

Site site(const std::string& slug, const std::string& cluster = {}) {
  return {.cluster = cluster, .database = "db_" + slug};
}

/// `plain` here, `acme` and `apex` in databases of their own.
Fleet mixed() {
  Fleet fleet;
  fleet.schemas.push_back({.schema = "plain", .comment = 0, .state = FoundSchema::State::ours});
  fleet.comments.emplace_back();
  fleet.add_away(site("acme"), "tenant", "acme");
  fleet.add_away(site("apex"), "tenant", "apex");
  fleet.sort();
  return fleet;
}

std::vector<std::string> chosen_sites(const Selection& selection) {
  const Fleet fleet = mixed();
  std::vector<std::string> names;
  for (const std::uint32_t i : select_tenants(fleet, selection, "shared"))
    names.push_back(fleet.schemas[i].schema);
  return names;
}

Standing standing_of(Standing::State state, const std::string& problem, std::uint32_t member) {
  Standing standing;
  standing.state = state;
  standing.problem = problem;
  standing.members = {member};
  return standing;
}

}  // namespace

TEST_SUITE("rollout/sites") {
  TEST_CASE("a schema elsewhere has its database in front, and a name of its own behind") {
    const Fleet fleet = mixed();
    const FoundSchema& found = *fleet.find("db_acme/tenant");
    CHECK(fleet.local_name(found) == "tenant");
    CHECK(fleet.site_of(found)->name() == "db_acme");
    CHECK(fleet.site_of(*fleet.find("plain")) == nullptr);
    CHECK(site("acme", "eu").name_of("a/b") == "eu:db_acme/a/b");
    CHECK(site("acme", "eu").schema_of("eu:db_acme/a/b") == "a/b");
  }

  TEST_CASE("two schemas that no command could tell apart are refused") {
    Fleet fleet = mixed();
    fleet.schemas.push_back({.schema = "db_acme/tenant"});
    CHECK_THROWS_AS(fleet.sort(), UsageError);
  }

  TEST_CASE("tenants elsewhere are chosen by slug and by place, and left out by either") {
    CHECK(chosen_sites({.schemas = {"acme", "plain"}, .tenants = {}, .excludes = {}}) ==
          std::vector<std::string>{"db_acme/tenant", "plain"});
    CHECK(chosen_sites({.schemas = {"db_apex/tenant"}, .tenants = {}, .excludes = {}}) ==
          std::vector<std::string>{"db_apex/tenant"});
    CHECK(chosen_sites({.schemas = {}, .tenants = {"a*"}, .excludes = {}}) ==
          std::vector<std::string>{"db_acme/tenant", "db_apex/tenant"});
    CHECK(chosen_sites({.schemas = {}, .tenants = {}, .excludes = {"apex", "plain"}}) ==
          std::vector<std::string>{"db_acme/tenant"});
    CHECK_THROWS_AS(chosen_sites({.schemas = {"tenant"}, .tenants = {}, .excludes = {}}),
                    UsageError);
  }

  TEST_CASE("of several tenants at one site each is chosen by its own slug, and none by two's") {
    Fleet fleet;
    fleet.add_away({.cluster = "eu", .database = {}}, "one", "acme");
    fleet.add_away({.cluster = "eu", .database = {}}, "three", "twice");
    fleet.add_away({.cluster = "eu", .database = {}}, "two", "apex");
    fleet.add_away({.cluster = "eu", .database = {}}, "zero", "twice");
    fleet.sort();
    CHECK(fleet.sites.size() == 1);
    const auto select = [&fleet](const std::string& name) {
      return select_tenants(fleet, {.schemas = {name}, .tenants = {}, .excludes = {}}, "shared");
    };
    CHECK(select("eu:/two") == std::vector<std::uint32_t>{2});
    CHECK(select("acme") == std::vector<std::uint32_t>{0});
    CHECK(select("apex") == std::vector<std::uint32_t>{2});
    CHECK_THROWS_AS(select("twice"), UsageError);
  }

  TEST_CASE("groups of several databases are one where the same plan serves them") {
    StandingGroups groups({});
    groups.add(standing_of(Standing::State::marked, "", 1));
    groups.add(standing_of(Standing::State::unavailable, "no route", 2));
    groups.add(standing_of(Standing::State::marked, "", 3));
    groups.add(standing_of(Standing::State::unavailable, "no route", 4));
    groups.add(standing_of(Standing::State::unavailable, "refused", 5));
    const std::vector<Standing> all = groups.take();
    REQUIRE(all.size() == 3);
    CHECK(all[0].members == std::vector<std::uint32_t>{1, 3});
    CHECK(all[1].members == std::vector<std::uint32_t>{2, 4});
    CHECK(all[2].problem == "refused");
  }

  TEST_CASE("what is set aside leaves its group, with the reason") {
    FleetPlan plan;
    FleetPlan::Group group;
    group.schemas = {"a", "b", "c"};
    plan.groups.push_back(group);
    plan.set_aside(
        Result::not_started,
        [](const std::string& schema, const FleetPlan::Group& /*group*/) -> std::optional<Failure> {
          if (schema == "b")
            return std::nullopt;
          return Failure{.message = "no " + schema,
                         .hint = {},
                         .sqlstate = {},
                         .revision = {},
                         .place = std::nullopt};
        });
    REQUIRE(plan.groups.size() == 3);
    CHECK(plan.groups[0].schemas == std::vector<std::string>{"b"});
    CHECK(plan.groups[1].schemas == std::vector<std::string>{"a"});
    CHECK(plan.groups[1].problem->message == "no a");
    CHECK(plan.groups[1].result == Result::not_started);
    CHECK(plan.schema_count() == 3);
  }

  TEST_CASE("an agenda tells how much comes one behind the other at one site") {
    const RevisionFolder folder = folder_of({1});
    const std::vector<TaskGroup> groups{
        {.plan = plan_upgrade(folder, {}, Target::head()), .missing = Missing::nothing}};
    const std::vector<Task> tasks{{"a", 0, 0}, {"b", 0, 0}, {"x/t", 0, 1}, {"y/t", 0, 2}};
    Agenda agenda({}, groups, tasks);
    CHECK(agenda.left_in_row(8) == 2);
    CHECK(agenda.left_in_row(1) == 1);
    agenda.advance();
    agenda.advance();
    CHECK(agenda.left_in_row(8) == 1);
  }
}
