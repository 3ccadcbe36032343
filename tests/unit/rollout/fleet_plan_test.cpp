#include "rollout/fleet_plan.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

const RevisionFolder& folder() {
  static const RevisionFolder folder = folder_of({1, 2});
  return folder;
}

const Replan to_head = [](const History& history, Missing missing) {
  return plan_upgrade(folder(), history, Target::head(),
                      {.allow_out_of_order = false, .missing = missing});
};

Fleet fleet() {
  Fleet fleet;
  fleet.schemas = {{.schema = "a"}, {.schema = "b"}, {.schema = "c"}};
  return fleet;
}

Standing standing(Standing::State state, std::size_t count = 0) {
  Standing standing;
  standing.state = state;
  standing.history = history_of(folder(), count);
  standing.mark = Mark::of(Scope::tenant, standing.history);
  standing.members = {0, 2};
  return standing;
}

FleetPlan planned(const Standing& one, Missing create = Missing::nothing,
                  bool only_behind = false) {
  return plan_fleet(fleet(), {one}, folder(), to_head, create, only_behind);
}

FleetPlan::Group group(const Standing& one, Missing create = Missing::nothing) {
  const FleetPlan plan = planned(one, create);
  REQUIRE(plan.groups.size() == 1);
  return plan.groups.front();
}

}  // namespace

TEST_SUITE("rollout/fleet_plan") {
  TEST_CASE("schemas that stand at the same place get one plan") {
    const FleetPlan plan = planned(standing(Standing::State::marked, 1));
    REQUIRE(plan.groups.size() == 1);
    CHECK(plan.groups[0].schemas == std::vector<std::string>{"a", "c"});
    CHECK(plan.groups[0].work.plan.steps.size() == 1);
    CHECK_FALSE(plan.groups[0].problem);
    CHECK(plan.schema_count() == 2);
    CHECK(plan.has_steps());
  }

  TEST_CASE("what stands at its target has no steps") {
    const FleetPlan plan = planned(standing(Standing::State::marked, 2));
    CHECK(plan.schema_count() == 2);
    CHECK_FALSE(plan.has_steps());
    CHECK(FleetPlan().schema_count() == 0);
  }

  TEST_CASE("only what is behind: problems stay, what is done goes") {
    CHECK(planned(standing(Standing::State::marked, 2), Missing::nothing, true).groups.empty());
    CHECK(planned(standing(Standing::State::marked, 1), Missing::nothing, true).groups.size() == 1);
    CHECK(planned(standing(Standing::State::foreign), Missing::nothing, true).groups.size() == 1);
  }

  TEST_CASE("a lost mark is written again where nothing else is to do") {
    const auto at_head = group(standing(Standing::State::unmarked, 2));
    REQUIRE(at_head.work.plan.steps.size() == 1);
    CHECK(at_head.work.plan.steps[0].kind == Step::Kind::record);
    const auto behind = group(standing(Standing::State::unmarked, 1));
    REQUIRE(behind.work.plan.steps.size() == 1);
    CHECK(behind.work.plan.steps[0].kind == Step::Kind::upgrade);
  }

  TEST_CASE("a history that the folder does not allow is the group's problem") {
    Standing edited = standing(Standing::State::marked, 2);
    edited.history[1].checksum = "sha256:0";
    rechain(edited.history);
    const auto refused = group(edited);
    REQUIRE(refused.problem);
    CHECK(refused.result == Result::failed);
    CHECK(refused.problem->message == "revision 0002_r2 was edited after being applied");
    CHECK_FALSE(refused.problem->hint.empty());
    CHECK(refused.work.plan.empty());
    CHECK(refused.work.plan.from == edited.mark);
  }

  TEST_CASE("a revision that can never run stops everything") {
    const Replan never = [](const History& /*history*/, Missing /*missing*/) -> Plan {
      throw UsageError("never");
    };
    CHECK_THROWS_AS(plan_fleet(fleet(), {standing(Standing::State::marked)}, folder(), never,
                               Missing::nothing, false),
                    UsageError);
  }

  TEST_CASE("a schema without a version table gets one only if asked") {
    const auto refused = group(standing(Standing::State::bare));
    CHECK(refused.result == Result::unmarked);
    CHECK(refused.problem->message == "the schema has no version table");
    for (const Missing create : {Missing::table, Missing::schema}) {
      const auto made = group(standing(Standing::State::bare), create);
      CHECK_FALSE(made.problem);
      CHECK(made.work.missing == Missing::table);
      CHECK(made.work.plan.steps[0].creates_table);
      CHECK_FALSE(made.work.plan.steps[0].creates_schema);
    }
  }

  TEST_CASE("a schema that is not there is made only if asked") {
    CHECK(group(standing(Standing::State::missing)).result == Result::missing);
    CHECK(group(standing(Standing::State::missing), Missing::table).problem);
    const auto made = group(standing(Standing::State::missing), Missing::schema);
    CHECK_FALSE(made.problem);
    CHECK(made.work.missing == Missing::schema);
    CHECK(made.work.plan.steps[0].creates_schema);
  }

  TEST_CASE("foreign, half-dropped and broken schemas are left alone") {
    CHECK(group(standing(Standing::State::foreign), Missing::schema).result == Result::foreign);
    const auto dropping = group(standing(Standing::State::dropping), Missing::schema);
    CHECK(dropping.result == Result::failed);
    CHECK(dropping.problem->hint == "Run tenantctl tenant drop again to finish.");
    Standing broken = standing(Standing::State::broken);
    broken.problem = "rows are odd";
    CHECK(group(broken).problem->message == "rows are odd");
    CHECK(group(broken).result == Result::failed);
  }

  TEST_CASE("a mark that lies is written again even where nothing else is to do") {
    const auto at_head = group(standing(Standing::State::lying, 2));
    REQUIRE(at_head.work.plan.steps.size() == 1);
    CHECK(at_head.work.plan.steps[0].kind == Step::Kind::record);
    CHECK(at_head.work.plan.steps[0].changes.empty());
    CHECK(group(standing(Standing::State::lying, 1)).work.plan.steps.size() == 1);
  }

  TEST_CASE("an unmarked schema whose rows do not add up is the group's problem") {
    Standing odd = standing(Standing::State::unmarked, 2);
    odd.history[0].digest = "x";
    const Replan nothing = [](const History& /*history*/, Missing /*missing*/) { return Plan(); };
    const FleetPlan plan = plan_fleet(fleet(), {odd}, folder(), nothing, Missing::nothing, false);
    REQUIRE(plan.groups.size() == 1);
    CHECK(plan.groups[0].result == Result::failed);
    CHECK(plan.groups[0].problem);
  }
}
