#include "rollout/plan_file.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "output/plan_document.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

const RevisionFolder& planned_folder() {
  static const RevisionFolder folder = folder_of({1, 2, 3});
  return folder;
}

FleetPlan::Group group(std::size_t count, std::vector<std::string> schemas,
                       const std::string& target = "head") {
  FleetPlan::Group group;
  group.work.plan = plan_upgrade(planned_folder(), history_of(planned_folder(), count),
                                 Target::parse(target), {});
  group.schemas = std::move(schemas);
  return group;
}

FleetPlan fleet(std::vector<FleetPlan::Group> groups) {
  FleetPlan plan;
  plan.groups = std::move(groups);
  return plan;
}

// Schema -> what the plan holds for it.
std::map<std::string, std::string> held(const FleetPlan& plan) {
  std::map<std::string, std::string> all;
  for (const FleetPlan::Group& one : plan.groups) {
    for (const std::string& schema : one.schemas) {
      all[schema] = one.problem ? std::string(to_text(one.result)) + ": " + one.problem->message
                                : std::to_string(one.work.plan.steps.size()) + " steps";
    }
  }
  return all;
}

}  // namespace

TEST_SUITE("rollout/plan_file") {
  TEST_CASE("who stands where the plan says gets it, whatever group it is in today") {
    const auto kept =
        plan_file_of(fleet({group(1, {"a", "b"}), group(3, {"c"})}), planned_folder());
    FleetPlan today = fleet({group(1, {"b", "new"}), group(3, {"c"}), group(1, {"a"})});
    CHECK(hold_to(today, kept) == std::vector<std::string>{"new"});
    CHECK(held(today) ==
          std::map<std::string, std::string>{{"a", "2 steps"}, {"b", "2 steps"}, {"c", "0 steps"}});
  }

  TEST_CASE("who stands elsewhere is refused, who arrived is left, who is gone is gone") {
    const auto kept =
        plan_file_of(fleet({group(1, {"back", "there", "way", "gone"}, "2")}), planned_folder());
    FleetPlan today = fleet({group(0, {"back"}), group(2, {"there"}, "2"), group(3, {"way"}, "3")});
    CHECK(hold_to(today, kept).empty());
    CHECK(held(today) ==
          std::map<std::string, std::string>{
              {"back", "failed: not where the plan says: at base, not at revision 1"},
              {"gone", "gone: dropped since the plan was made"},
              {"there", "0 steps"},
              {"way", "failed: not where the plan says: at revision 3, not at revision 1"}});
  }

  TEST_CASE("other steps from the same place are refused") {
    const auto kept = plan_file_of(fleet({group(1, {"a"}, "2")}), planned_folder());
    FleetPlan today = fleet({group(1, {"a"})});
    hold_to(today, kept);
    CHECK(held(today)["a"] == "failed: what would run is not what the plan says");
  }

  TEST_CASE("a folder that differs is refused with each file named") {
    const auto kept = plan_file_of(fleet({group(1, {"a"})}), planned_folder());
    CHECK_NOTHROW(check_folder(kept, planned_folder()));
    const RevisionFolder other(
        Scope::tenant,
        {revision_of(1), revision_of(2, "-- migrate:up\nSELECT 'edited';\n"), revision_of(4)});
    CHECK_THROWS_WITH_AS(check_folder(kept, other),
                         "the folder is not the one that the plan was made from: "
                         "versions/0002_r2.sql was edited; 0003_r3 is not in the folder any more; "
                         "versions/0004_r4.sql has come since",
                         UsageError);
  }

  TEST_CASE("the places of a plan are all that lie on its way") {
    const auto kept = plan_file_of(fleet({group(1, {"a"})}), planned_folder());
    const auto places = places_of(kept, planned_folder());
    CHECK(places.size() == 3);
    for (std::size_t i = 1; i <= 3; ++i)
      CHECK(places.contains(history_of(planned_folder(), i).back().digest));
    CHECK_FALSE(places.contains(""));
  }

  TEST_CASE("the document is read back as it was written") {
    PlanFile plan;
    plan.target = "0003";
    plan.tenants = plan_file_of(fleet({group(1, {"a", "b"}), group(3, {"c"})}), planned_folder());
    plan.tenants.groups[1].problem = "left alone";
    const PlanDocument document{
        .plan = &plan, .shared_folder = &planned_folder(), .tenant_folder = &planned_folder()};
    const PlanFile read = read_plan_file(json_plan_file(document), "plan.json");
    CHECK(read.target == "0003");
    CHECK_FALSE(read.shared);
    CHECK(read.tenants.folder == plan.tenants.folder);
    REQUIRE(read.tenants.groups.size() == 2);
    CHECK(read.tenants.groups[0].from == plan.tenants.groups[0].from);
    CHECK(read.tenants.groups[0].to == plan.tenants.groups[0].to);
    CHECK(read.tenants.groups[0].steps == plan.tenants.groups[0].steps);
    CHECK(read.tenants.groups[0].schemas == std::vector<std::string>{"a", "b"});
    CHECK(read.tenants.groups[1].problem == "left alone");
  }
}
