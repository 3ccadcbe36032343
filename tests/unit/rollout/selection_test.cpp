#include "rollout/selection.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "migrate/mark.h"

using namespace tenantctl;

namespace {

using Names = std::vector<std::string>;

Selection chosen(Names schemas, Names tenants = {}, Names excludes = {}) {
  return {.schemas = std::move(schemas),
          .tenants = std::move(tenants),
          .excludes = std::move(excludes)};
}

std::string comment_of(Scope scope) {
  Mark mark;
  mark.scope = scope;
  return mark.text();
}

// acme, beta_1, beta_2, the shared schema, and one whose mark says that it was that.
Fleet mixed_fleet() {
  Fleet fleet;
  fleet.comments = {comment_of(Scope::tenant), comment_of(Scope::shared), "somebody's comment"};
  fleet.schemas = {{.schema = "acme", .comment = 0, .state = FoundSchema::State::ours},
                   {.schema = "beta_1", .comment = 2, .state = FoundSchema::State::ours},
                   {.schema = "beta_2", .comment = 0, .state = FoundSchema::State::ours},
                   {.schema = "old_shared", .comment = 1, .state = FoundSchema::State::ours},
                   {.schema = "shared", .comment = 0, .state = FoundSchema::State::ours}};
  return fleet;
}

Names selected(const Selection& selection) {
  const Fleet all = mixed_fleet();
  Names names;
  for (const std::uint32_t i : select_tenants(all, selection, "shared"))
    names.push_back(all.schemas[i].schema);
  return names;
}

std::string complaint(const Selection& selection) {
  try {
    selected(selection);
  } catch (const UsageError& error) {
    return std::string(error.what()) + " / " + error.hint();
  }
  return "none";
}

}  // namespace

TEST_SUITE("rollout/selection") {
  // A mark says shared after a change by hand, too: what the schema's rows say comes later.
  TEST_CASE("without a condition all are meant but the shared schema, whatever their marks say") {
    CHECK(selected({}) == Names{"acme", "beta_1", "beta_2", "old_shared"});
    CHECK_FALSE(Selection().is_filter());
  }

  TEST_CASE("named schemas are exactly these, in the fleet's order") {
    CHECK(selected(chosen({"beta_2", "acme", "acme"})) == Names{"acme", "beta_2"});
  }

  TEST_CASE("any pattern may match, no exclusion may") {
    CHECK(selected(chosen({}, {"beta*", "a?me"})) == Names{"acme", "beta_1", "beta_2"});
    CHECK(selected(chosen({}, {"beta*"}, {"*_1"})) == Names{"beta_2"});
    CHECK(selected(chosen({}, {}, {"beta*"})) == Names{"acme", "old_shared"});
    CHECK(selected(chosen({"acme", "beta_1"}, {"b*"})) == Names{"beta_1"});
  }

  TEST_CASE("a named schema that is not there is refused with the nearest") {
    CHECK(complaint(chosen({"acne"})) ==
          "there is no tenant \"acne\" / Did you mean acme? tenantctl tenant list shows all.");
    CHECK(complaint(chosen({"zzzzzzzz"})) ==
          "there is no tenant \"zzzzzzzz\" / tenantctl tenant list shows all.");
    CHECK(complaint(chosen({"a\x1B"})).starts_with("there is no tenant \"a\\x1b\""));
  }

  TEST_CASE("a filter that matches nothing is a mistake") {
    CHECK(complaint(chosen({}, {"gamma*"})).starts_with("the selection matches no tenant"));
    CHECK(complaint(chosen({}, {}, {"*"})).starts_with("the selection matches no tenant"));
    CHECK(complaint(chosen({"shared"})).starts_with("the selection matches no tenant"));
  }

  TEST_CASE("an empty fleet without a filter is no mistake") {
    CHECK(select_tenants({}, {}, "shared").empty());
  }

  TEST_CASE("the registry's filters take who has a row, or leave out a state") {
    const Fleet all = mixed_fleet();
    RegisteredTenant acme;
    acme.slug = acme.schema = "acme";
    acme.isolation = "schema";
    acme.state = "suspended";
    acme.tier = "gold";
    RegisteredTenant far = acme;
    far.schema = "beta_1";
    far.database = "elsewhere";
    RegisteredTenant sharing = acme;
    sharing.isolation = "rows";
    sharing.schema = "beta_2";
    const auto kept = [&](const RegistryFilter& filter) {
      std::vector<std::uint32_t> left = matching_tenants(all, {}, "shared");
      keep_registered(left, all, filter, {.tenants = {acme, far, sharing}, .homes = {"beta_2"}});
      Names names;
      for (const std::uint32_t i : left)
        names.push_back(all.schemas[i].schema);
      return names;
    };
    CHECK(kept({.states = {"ready", "suspended"}}) == Names{"acme"});
    CHECK(kept({.states = {"suspended"}, .tiers = {"silver"}}) == Names{});
    CHECK(kept({.isolations = {"schema"}}) == Names{"acme"});
    CHECK(kept({.isolations = {"rows"}}) == Names{"beta_2"});
    CHECK(kept({.exclude_states = {"suspended"}}) == Names{"beta_1", "beta_2", "old_shared"});
    CHECK(kept({.exclude_states = {"archived"}}).size() == 4);
  }
}
