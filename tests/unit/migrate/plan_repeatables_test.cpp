#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "migrate/plan.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

using Repeatables = std::vector<Revision>;

RevisionFolder folder_with(const Repeatables& repeatables) {
  return {Scope::tenant, folder_of({1, 2}).revisions(), repeatables};
}

// A schema that has `count` revisions and these repeatables.
History recorded(std::size_t count, const Repeatables& repeatables) {
  History history = history_of(folder_of({1, 2}), count);
  for (const Revision& repeatable : repeatables)
    history.push_back(repeatable_row(repeatable));
  std::sort(history.begin(), history.end(),
            [](const auto& a, const auto& b) { return a.position < b.position; });
  rechain(history);
  return history;
}

const Revision& a() {
  static const Revision repeatable = repeatable_of("a");
  return repeatable;
}
const Revision& b() {
  static const Revision repeatable = repeatable_of("b");
  return repeatable;
}
const Revision& changed_b() {
  static const Revision repeatable = repeatable_of("b", "SELECT 'changed';\n");
  return repeatable;
}

// `up 0001_r1, up a, again b, forget 2, down 0002_r2 forget 1`.
std::string steps_and_repeatables(const Plan& plan) {
  std::string text;
  for (const Step& step : plan.steps) {
    text += text.empty() ? "" : ", ";
    if (step.kind == Step::Kind::upgrade)
      text += (step.applies_again ? "again " : "up ") + step.revision->title();
    if (step.kind == Step::Kind::downgrade)
      text += "down " + step.revision->title();
    if (step.forgotten_repeatables() > 0)
      text += " forget " + std::to_string(step.forgotten_repeatables());
    if (step.creates_table)
      text += " with table";
  }
  return text;
}

std::string up(const RevisionFolder& folder, const History& history,
               const std::string& target = "head") {
  return steps_and_repeatables(plan_upgrade(folder, history, Target::parse(target)));
}

std::string down(const RevisionFolder& folder, const History& history,
                 const std::string& target = "-1") {
  return steps_and_repeatables(plan_downgrade(folder, history, Target::parse(target)));
}

// Each step starts where the one before led to, and the last one where the plan leads to.
void check_way(const Plan& plan) {
  std::string digest = plan.from.digest;
  std::string repeatables = plan.from.repeatables;
  for (const Step& step : plan.steps) {
    CHECK(step.expected == digest);
    CHECK(step.expected_repeatables == repeatables);
    digest = step.mark.digest;
    repeatables = step.mark.repeatables;
  }
  CHECK(plan.to.digest == digest);
  CHECK(plan.to.repeatables == repeatables);
}

}  // namespace

TEST_SUITE("migrate/plan_repeatables") {
  TEST_CASE("repeatables come behind all revisions, by name") {
    const RevisionFolder folder = folder_with({b(), a()});
    CHECK(up(folder, {}) == "up 0001_r1, up 0002_r2, up a, up b");
    const Plan plan = plan_upgrade(folder, {}, Target::head());
    check_way(plan);
    CHECK(plan.to == Mark::of(Scope::tenant, recorded(2, {a(), b()})));
    CHECK(plan.steps.back().row.checksum == b().checksum);
  }

  TEST_CASE("only those that are new or changed are applied") {
    const RevisionFolder folder = folder_with({a(), changed_b()});
    CHECK(up(folder, recorded(2, {a()})) == "up b");
    CHECK(up(folder, recorded(2, {a(), b()})) == "again b");
    CHECK(up(folder, recorded(1, {a(), b()})) == "up 0002_r2, again b");
    CHECK(up(folder, recorded(2, {a(), changed_b()})).empty());
    const Plan plan = plan_upgrade(folder, recorded(1, {a(), b()}), Target::head());
    check_way(plan);
    CHECK(plan.to == Mark::of(Scope::tenant, recorded(2, {a(), changed_b()})));
  }

  TEST_CASE("a target before the head leaves them alone") {
    const RevisionFolder folder = folder_with({a()});
    CHECK(up(folder, {}, "0001") == "up 0001_r1");
    CHECK(up(folder, {}, "+1") == "up 0001_r1");
    CHECK(up(folder, recorded(2, {}), "0001").empty());
    CHECK(up(folder, recorded(1, {}), "+1") == "up 0002_r2, up a");
    CHECK(up(folder, recorded(1, {}), "0002") == "up 0002_r2, up a");
  }

  TEST_CASE("what has no file any more is forgotten first") {
    const RevisionFolder folder = folder_with({a()});
    const History history = recorded(2, {b(), repeatable_of("c")});
    CHECK(up(folder, history) == " forget 2, up a");
    const Plan plan = plan_upgrade(folder, history, Target::head());
    check_way(plan);
    CHECK(plan.steps.front().is_about_repeatables());
    CHECK(plan.to == Mark::of(Scope::tenant, recorded(2, {a()})));
  }

  TEST_CASE("a folder of repeatables alone makes the version table") {
    const RevisionFolder folder(Scope::tenant, {}, {a()});
    const Plan plan = plan_upgrade(folder, {}, Target::head(), {.missing = Missing::schema});
    CHECK(steps_and_repeatables(plan) == "up a with table");
    CHECK(plan.steps.front().creates_schema);
  }

  TEST_CASE("a repeatable that can never run is refused by place") {
    const RevisionFolder folder = folder_with({repeatable_of("v", "SELECT 1;\nVACUUM;\n")});
    try {
      plan_upgrade(folder, {}, Target::head());
      FAIL("not refused");
    } catch (const UsageError& error) {
      CHECK(std::string(error.what()) ==
            "repeatable v holds a statement that cannot run inside a transaction");
      CHECK(error.place()->file == "repeatable/v.sql");
      CHECK(error.place()->line == 2);
    }
  }

  TEST_CASE("a downgrade forgets all of them with its first step") {
    const RevisionFolder folder = folder_with({a(), b()});
    const History history = recorded(2, {a(), b()});
    CHECK(down(folder, history) == "down 0002_r2 forget 2");
    CHECK(down(folder, history, "base") == "down 0002_r2 forget 2, down 0001_r1");
    const Plan plan = plan_downgrade(folder, history, Target::parse("base"));
    check_way(plan);
    CHECK(plan.to == Mark::of(Scope::tenant, {}));
  }

  TEST_CASE("a downgrade with nothing to take back forgets nothing") {
    const RevisionFolder folder = folder_with({a()});
    const Plan plan = plan_downgrade(folder, recorded(2, {a()}), Target::parse("0002"));
    CHECK(plan.empty());
    CHECK(plan.to == plan.from);
  }

  TEST_CASE("a downgrade outside a transaction forgets them in a step before") {
    std::vector<Revision> revisions{revision_of(1),
                                    revision_of(2,
                                                "-- migrate:up\nSELECT 1;\n"
                                                "-- migrate:down transaction:false\nSELECT 2;\n")};
    const RevisionFolder folder(Scope::tenant, revisions, {a()});
    History history = history_of(folder, 2);
    history.push_back(repeatable_row(a()));
    rechain(history);
    const Plan plan = plan_downgrade(folder, history, Target::parse("-1"));
    CHECK(steps_and_repeatables(plan) == " forget 1, down 0002_r2");
    check_way(plan);
    CHECK(plan.steps.front().mark.digest == plan.from.digest);
  }

  TEST_CASE("recording revisions keeps the repeatables") {
    const RevisionFolder folder = folder_with({a()});
    const History history = recorded(2, {a()});
    CHECK(plan_stamp(folder, history, Target::head()).empty());
    const Plan stamp = plan_stamp(folder, history, Target::parse("0001"));
    CHECK(stamp.to == Mark::of(Scope::tenant, recorded(1, {a()})));
    REQUIRE(stamp.steps.size() == 1);
    CHECK(stamp.steps.front().changes.size() == 1);
    CHECK(plan_remark(folder, history).to == Mark::of(Scope::tenant, history));
    const Plan accept = plan_accept(folder, history, *folder.find(1));
    CHECK(accept.to == accept.from);
  }

  TEST_CASE("a stamp takes out a repeatable's row that was changed by hand") {
    const RevisionFolder folder = folder_with({a(), b()});
    History history = recorded(2, {a(), b()});
    history.back().name = "nobody";
    CHECK_THROWS_AS(plan_upgrade(folder, history, Target::head()), HistoryError);
    const Plan plan = plan_stamp(folder, history, Target::head());
    REQUIRE(plan.steps.size() == 1);
    REQUIRE(plan.steps.front().changes.size() == 1);
    CHECK(plan.steps.front().changes.front().position == history.back().position);
    CHECK_FALSE(plan.to.repeatables.empty());
    History edited = recorded(2, {a(), b()});
    edited[2].checksum = "sha256:edited";
    CHECK_THROWS_AS(plan_upgrade(folder, edited, Target::head()), HistoryError);
    CHECK(plan_stamp(folder, edited, Target::head()).steps.front().changes.size() == 2);
  }

  TEST_CASE("a plan is serial as soon as one of its revisions is") {
    const std::string serial = "-- tenantctl: serial\n-- migrate:up\nSELECT 1;\n";
    const RevisionFolder folder(Scope::tenant, {revision_of(1), revision_of(2, serial)},
                                {repeatable_of("v", "-- tenantctl: serial\nSELECT 1;\n")});
    const auto is_serial = [&folder](std::size_t count, const std::string& target) {
      return plan_upgrade(folder, history_of(folder, count), Target::parse(target)).is_serial();
    };
    CHECK_FALSE(is_serial(0, "0001"));
    CHECK(is_serial(0, "0002"));
    CHECK(is_serial(2, "head"));
    CHECK_FALSE(Plan().is_serial());
    CHECK_FALSE(plan_stamp(folder, {}, Target::head()).is_serial());
  }

  TEST_CASE("a plan that requires more of the shared scope than it has is refused by place") {
    const RevisionFolder folder(
        Scope::tenant,
        {revision_of(1), revision_of(2,
                                     "-- migrate:up\nSELECT 1;\n-- tenantctl: requires shared 7\n"
                                     "-- migrate:down\nSELECT 2;\n")});
    std::size_t asked = 0;
    const auto shared_has = [&asked](RevisionNumber number) {
      ++asked;
      return number == 6;
    };
    CHECK_NOTHROW(check_shared(plan_upgrade(folder, {}, Target::parse("0001")), shared_has));
    CHECK_NOTHROW(check_shared(plan_downgrade(folder, history_of(folder, 2), Target::parse("base")),
                               shared_has));
    CHECK_NOTHROW(check_shared(plan_stamp(folder, {}, Target::head()), shared_has));
    CHECK(asked == 0);
    try {
      check_shared(plan_upgrade(folder, {}, Target::head()), shared_has);
      FAIL("not refused");
    } catch (const HistoryError& error) {
      CHECK(std::string(error.what()) ==
            "0002_r2 requires revision 7 of the shared scope, which is not applied there");
      CHECK(error.hint().find("tenantctl upgrade --scope shared") != std::string::npos);
      CHECK(error.place()->line == 3);
    }
    CHECK_NOTHROW(check_shared(plan_upgrade(folder, {}, Target::head()),
                               [](RevisionNumber number) { return number == 7; }));
  }
}
