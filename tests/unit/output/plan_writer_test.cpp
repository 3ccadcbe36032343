#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "output/result_writer.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

const RevisionFolder& plan_folder() {
  static const RevisionFolder folder(
      Scope::tenant, {revision_of(1), revision_of(2,
                                                  "-- migrate:up transaction:false\nVACUUM;\n"
                                                  "-- migrate:down transaction:false\nVACUUM;\n")});
  return folder;
}

FleetPlan::Group group(Plan plan, std::vector<std::string> schemas) {
  FleetPlan::Group group;
  group.work.plan = std::move(plan);
  group.schemas = std::move(schemas);
  return group;
}

std::string written(const FleetPlan::Group& group) {
  FleetPlan plan;
  plan.groups.push_back(group);
  PlanResult result;
  result.tenants = &plan;
  std::ostringstream out;
  write_plan(out, Format::text, result);
  return out.str();
}

std::string status(const std::vector<StatusResult>& scopes, bool lists_all = false) {
  std::ostringstream out;
  write_status(out, Format::text, "status", scopes, lists_all);
  return out.str();
}

StatusResult fleet() {
  StatusResult result;
  result.head = "0012_b";
  result.revisions = 12;
  result.groups = {{.revision = "0012_b", .behind = 0, .note = {}, .schemas = {"a", "b"}},
                   {.revision = "0011_a", .behind = 1, .note = {}, .schemas = {"c"}},
                   {.revision = "-", .behind = 0, .note = "foreign\x1B", .schemas = {"d"}}};
  return result;
}

History half_way(bool reverting) {
  History history = history_of(plan_folder(), 2);
  history[1].state = RowState::running;
  history[1].reverting = reverting;
  history[1].statement_digest = statements_digest(plan_folder().find(2)->up, 0);
  return history;
}

}  // namespace

TEST_SUITE("output/text_writer/plan") {
  TEST_CASE("a plan is told by group: where it stands, who, what") {
    CHECK(written(group(plan_upgrade(plan_folder(), {}, Target::head()), {"a", "b"})) ==
          "tenant scope\n2 schemas at base\n  = a, b\n  up 0001_r1\n  up 0002_r2\n");
    CHECK(written(group(
              plan_downgrade(plan_folder(), history_of(plan_folder(), 1), Target::parse("base")),
              {"a"})) == "tenant scope\n1 schema at revision 1\n  = a\n  down 0001_r1\n");
  }

  TEST_CASE("what is to be finished, recorded or made has a word of its own") {
    const auto steps = [](Plan plan) { return written(group(std::move(plan), {"a"})); };
    CHECK(steps(plan_upgrade(plan_folder(), half_way(false), Target::head()))
              .ends_with("\n  finish 0002_r2\n"));
    CHECK(steps(plan_downgrade(plan_folder(), half_way(true), Target::parse("-1")))
              .ends_with("\n  finish taking back 0002_r2\n"));
    CHECK(steps(plan_stamp(plan_folder(), {}, Target::head())).ends_with("\n  record 2 rows\n"));
    CHECK(steps(plan_remark(plan_folder(), {})).ends_with("\n  write the mark again\n"));
    CHECK(steps({}).ends_with("\n  nothing to do\n"));
    FleetPlan::Group made =
        group(plan_upgrade(RevisionFolder(), {}, Target::head(),
                           {.allow_out_of_order = false, .missing = Missing::schema}),
              {"a"});
    made.work.missing = Missing::schema;
    CHECK(written(made) ==
          "tenant scope\n1 schema at base, to be created\n  = a\n  create the version table\n");
  }

  TEST_CASE("repeatables are told from revisions") {
    const auto steps = [](Plan plan) { return written(group(std::move(plan), {"a"})); };
    const RevisionFolder with(Scope::tenant, plan_folder().revisions(),
                              {repeatable_of("totals"), repeatable_of("view")});
    CHECK(steps(plan_upgrade(with, history_of(plan_folder(), 1), Target::head()))
              .ends_with("\n  up 0002_r2\n  repeatable totals\n  repeatable view\n"));
    History history = history_of(plan_folder(), 2);
    history.push_back(repeatable_row(repeatable_of("totals", "SELECT 'before';\n")));
    history.push_back(repeatable_row(repeatable_of("gone")));
    std::sort(history.begin(), history.end(),
              [](const auto& a, const auto& b) { return a.position < b.position; });
    rechain(history);
    CHECK(steps(plan_upgrade(with, history, Target::head()))
              .ends_with("\n  forget 1 repeatable\n  repeatable totals, changed\n"
                         "  repeatable view\n"));
    CHECK(steps(plan_downgrade(with, history, Target::parse("-1")))
              .ends_with("\n  forget 2 repeatables\n  down 0002_r2\n"));
    history.erase(history.begin() + 1);
    rechain(history);
    CHECK(
        steps(plan_downgrade(with, history, Target::parse("base")))
            .ends_with("\n  down 0001_r1, forget 2 repeatables (the next upgrade applies what the "
                       "folder has)\n"));
  }

  TEST_CASE("a problem stands in the place of steps") {
    FleetPlan::Group refused = group({}, {"a"});
    refused.result = Result::failed;
    refused.problem = Failure{
        .message = "edited\x1B", .hint = {}, .sqlstate = {}, .revision = {}, .place = std::nullopt};
    CHECK(written(refused).ends_with("\n  failed: edited\\x1b\n"));
  }

  TEST_CASE("ten names of a group are enough") {
    std::vector<std::string> names;
    for (char c = 'a'; c < 'p'; ++c)
      names.emplace_back(1, c);
    CHECK(written(group({}, names)).find("i, j and 5 more\n") != std::string::npos);
  }

  TEST_CASE("both scopes have a heading") {
    const FleetPlan none;
    PlanResult result;
    result.shared = &none;
    result.tenants = &none;
    std::ostringstream out;
    // One and the same plan would have one heading.
    const FleetPlan other;
    result.tenants = &other;
    write_plan(out, Format::text, result);
    CHECK(out.str() == "shared scope\nno schema\ntenant scope\nno schema\n");
  }

  TEST_CASE("status counts by revision and names the laggards") {
    CHECK(status({fleet()}) ==
          "tenant scope: 12 revisions, head 0012_b\n"
          "REVISION  SCHEMAS  BEHIND\n"
          "0012_b          2    head\n"
          "0011_a          1       1\n"
          "-               1       0  foreign\\x1b\n"
          "\n0011_a:\n  c\n"
          "\n- (foreign\\x1b):\n  d\n");
  }

  TEST_CASE("pending repeatables keep a schema from being at head") {
    StatusResult result = fleet();
    result.repeatables = 2;
    result.groups[0].repeatables = 1;
    result.groups[1].repeatables = 2;
    CHECK(
        status({result}).starts_with("tenant scope: 12 revisions, 2 repeatables, head 0012_b\n"
                                     "REVISION  SCHEMAS             BEHIND\n"
                                     "0012_b          2       1 repeatable\n"
                                     "0011_a          1  1 + 2 repeatables\n"));
    CHECK(status({result}).find("\n0012_b:\n  a, b\n") != std::string::npos);
  }

  TEST_CASE("status names all if asked, and says when there is none") {
    CHECK(status({fleet()}, true).find("\n0012_b:\n  a, b\n") != std::string::npos);
    StatusResult empty;
    empty.scope = Scope::shared;
    empty.head = "base";
    CHECK(status({empty, empty}) ==
          "shared scope: 0 revisions, head base\nno schema\n\n"
          "shared scope: 0 revisions, head base\nno schema\n");
  }
}
