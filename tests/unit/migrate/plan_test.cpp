#include "migrate/plan.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

using Numbers = std::vector<RevisionNumber>;

const RevisionFolder& folder() {
  static const RevisionFolder folder = folder_of({1, 2, 3, 4});
  return folder;
}

// The steps of a plan as `up 2`, `down 2`, `record`, `install`.
std::string steps_of(const Plan& plan) {
  std::string text;
  for (const Step& step : plan.steps) {
    text += text.empty() ? "" : ", ";
    switch (step.kind) {
      case Step::Kind::install:
        text += "install";
        break;
      case Step::Kind::record:
        text += "record";
        break;
      case Step::Kind::upgrade:
        text += "up " + std::to_string(step.revision->number);
        break;
      case Step::Kind::downgrade:
        text += "down " + std::to_string(step.revision->number);
        break;
    }
  }
  return text;
}

std::string up(const Numbers& numbers, const std::string& target,
               const UpgradeOptions& options = {}) {
  return steps_of(
      plan_upgrade(folder(), applied(folder(), numbers), Target::parse(target), options));
}

std::string down(const Numbers& numbers, const std::string& target) {
  return steps_of(plan_downgrade(folder(), applied(folder(), numbers), Target::parse(target)));
}

// A folder as folder(), but with other bytes in one file.
RevisionFolder with(RevisionNumber number, const std::string& bytes) {
  std::vector<Revision> revisions = folder().revisions();
  std::erase_if(revisions, [number](const Revision& r) { return r.number == number; });
  revisions.push_back(revision_of(number, bytes));
  return {Scope::tenant, std::move(revisions)};
}

template <typename Planning>
std::string complaint(Planning planning) {
  try {
    planning();
  } catch (const Error& error) {
    return std::string(error.what()) + " / " + error.hint();
  }
  return "none";
}

}  // namespace

TEST_SUITE("migrate/plan") {
  TEST_CASE("an upgrade goes to the target") {
    CHECK(up({}, "head") == "up 1, up 2, up 3, up 4");
    CHECK(up({1}, "head") == "up 2, up 3, up 4");
    CHECK(up({1}, "+1") == "up 2");
    CHECK(up({1}, "+9") == "up 2, up 3, up 4");
    CHECK(up({1}, "0003") == "up 2, up 3");
    CHECK(up({1, 2, 3, 4}, "head").empty());
    CHECK(up({1, 2, 3}, "0002").empty());
  }

  TEST_CASE("an upgrade backwards is refused") {
    CHECK(complaint([] { up({1}, "base"); }) ==
          "upgrade cannot go to \"base\" / Use tenantctl downgrade to go back.");
    CHECK_THROWS_AS(up({1}, "-1"), UsageError);
    CHECK_THROWS_AS(up({1}, "0009"), UsageError);
  }

  TEST_CASE("each step knows where it starts and where it leads") {
    const History history = applied(folder(), {1});
    const Plan plan = plan_upgrade(folder(), history, Target::parse("0003"));
    const History after = history_of(folder(), 3);
    CHECK(plan.from == Mark::of(Scope::tenant, history));
    CHECK(plan.to == Mark::of(Scope::tenant, after));
    REQUIRE(plan.steps.size() == 2);
    CHECK(plan.steps[0].expected == after[0].digest);
    CHECK(plan.steps[1].expected == after[1].digest);
    CHECK(plan.steps[1].row.position == 3);
    CHECK(plan.steps[1].row.digest == after[2].digest);
    CHECK(plan.steps[1].mark == plan.to);
    CHECK(&plan.steps[1].section() == &folder().find(3)->up);
    CHECK(plan.steps[1].origin == "run");
  }

  TEST_CASE("an edited revision is refused by name") {
    const RevisionFolder edited = with(2, "-- migrate:up\nSELECT 'edited';\n");
    const History history = applied(folder(), {1, 2});
    CHECK(complaint([&] {
            plan_upgrade(edited, history, Target::head());
          }).starts_with("revision 0002_r2 was edited after being applied / Restore"));
    CHECK_THROWS_AS(plan_downgrade(edited, history, Target::parse("base")), HistoryError);
    CHECK_NOTHROW(plan_upgrade(edited, applied(folder(), {1}), Target::head()));
  }

  TEST_CASE("an edited down section is no edit") {
    const RevisionFolder edited =
        with(2, "-- migrate:up\nCREATE TABLE t2 ();\n-- migrate:down\nSELECT 1;\n");
    CHECK_NOTHROW(plan_upgrade(edited, applied(folder(), {1, 2}), Target::head()));
  }

  TEST_CASE("a vanished revision is refused by name, many with a count") {
    const History history = applied(folder(), {1, 2});
    CHECK(complaint([&] {
            plan_upgrade(folder_of({1, 3}), history, Target::head());
          }).starts_with("revision 0002_r2 was applied but not in the folder"));
    const RevisionFolder large = folder_of({1, 2, 3, 4, 5, 6, 7});
    CHECK(complaint([&] { plan_upgrade(RevisionFolder(), history_of(large, 7), Target::head()); })
              .starts_with("revisions 0001_r1, 0002_r2, 0003_r3, 0004_r4, 0005_r5 and 2 more were "
                           "applied but not in the folder"));
  }

  TEST_CASE("rows changed by hand are refused before anything else") {
    History history = applied(folder(), {1, 2});
    history.back().digest = "x";
    CHECK_THROWS_AS(plan_upgrade(folder_of({1}), history, Target::head()), HistoryError);
    CHECK(complaint([&] {
            plan_accept(folder(), history, *folder().find(1));
          }).starts_with("the version table does not add up"));
    CHECK_THROWS_AS(plan_remark(folder(), history), HistoryError);
    CHECK_THROWS_AS(plan_resolve(folder(), history, *folder().find(2), true), HistoryError);
  }

  TEST_CASE("a late revision is refused unless it is allowed") {
    CHECK(complaint([] {
            up({1, 3}, "head");
          }).starts_with("revision 0002_r2 came late: newer ones are applied already"));
    CHECK(complaint([] {
            up({4}, "head");
          }).starts_with("revisions 0001_r1, 0002_r2, 0003_r3 came late"));
    CHECK(up({1, 3}, "head", {.allow_out_of_order = true}) == "up 2, up 4");
    CHECK(up({1, 4}, "0002", {.allow_out_of_order = true}) == "up 2");
  }

  TEST_CASE("a late revision that the target leaves out does no harm") {
    CHECK_THROWS_AS(up({1, 3}, "+1"), HistoryError);
    CHECK(up({2, 3}, "+1", {.allow_out_of_order = true}) == "up 1");
    CHECK(up({1, 3}, "0001").empty());
  }

  TEST_CASE("a missing table or schema comes with the first step") {
    const Plan table = plan_upgrade(folder(), {}, Target::parse("+2"), {.missing = Missing::table});
    REQUIRE(steps_of(table) == "up 1, up 2");
    CHECK(table.steps[0].creates_table);
    CHECK_FALSE(table.steps[0].creates_schema);
    CHECK_FALSE(table.steps[1].creates_table);
    const Plan schema = plan_upgrade(folder(), {}, Target::head(), {.missing = Missing::schema});
    CHECK(schema.steps[0].creates_table);
    CHECK(schema.steps[0].creates_schema);
  }

  TEST_CASE("an install stands alone where no transaction can carry it") {
    const RevisionFolder concurrent = with(1, "-- migrate:up transaction:false\nVACUUM;\n");
    const Plan plan =
        plan_upgrade(concurrent, {}, Target::parse("+1"), {.missing = Missing::schema});
    REQUIRE(steps_of(plan) == "install, up 1");
    CHECK(plan.steps[0].creates_schema);
    CHECK(plan.steps[0].creates_table);
    CHECK(plan.steps[0].in_transaction());
    CHECK_FALSE(plan.steps[0].runs_sql());
    CHECK_FALSE(plan.steps[1].creates_table);
    CHECK_FALSE(plan.steps[1].in_transaction());
    const Plan empty =
        plan_upgrade(RevisionFolder(), {}, Target::head(), {.missing = Missing::table});
    CHECK(steps_of(empty) == "install");
    CHECK(empty.to == Mark{});
  }

  TEST_CASE("what can never run is refused before anything is touched") {
    const RevisionFolder bad = with(3, "-- migrate:up\nCOMMIT;\n");
    CHECK_THROWS_AS(plan_upgrade(bad, {}, Target::head()), UsageError);
    CHECK_NOTHROW(plan_upgrade(bad, {}, Target::parse("0002")));
    const RevisionFolder down = with(3, "-- migrate:up\nSELECT 1;\n-- migrate:down\nCOMMIT;\n");
    CHECK_NOTHROW(plan_upgrade(down, {}, Target::head()));
    CHECK_THROWS_AS(plan_downgrade(down, history_of(down, 3), Target::parse("base")), UsageError);
  }

  TEST_CASE("a downgrade takes the newest first") {
    CHECK(down({1, 2, 3}, "base") == "down 3, down 2, down 1");
    CHECK(down({1, 2, 3}, "-1") == "down 3");
    CHECK(down({1, 2, 3}, "-9") == "down 3, down 2, down 1");
    CHECK(down({1, 2, 3}, "0001") == "down 3, down 2");
    CHECK(down({1, 2, 3}, "0003").empty());
    CHECK(down({}, "base").empty());
  }

  TEST_CASE("what came out of order goes in the order applied, reversed") {
    CHECK(down({1, 3, 2}, "base") == "down 2, down 3, down 1");
    CHECK(down({1, 3, 2}, "-1") == "down 2");
    CHECK(down({1, 3, 2}, "0001") == "down 2, down 3");
  }

  TEST_CASE("rows behind one that goes move up") {
    const History history = applied(folder(), {1, 3, 2, 4});
    const Plan plan = plan_downgrade(folder(), history, Target::parse("0002"));
    REQUIRE(steps_of(plan) == "down 4, down 3");
    CHECK(plan.steps[0].changes.empty());
    REQUIRE(plan.steps[1].changes.size() == 1);
    const RowChange& change = plan.steps[1].changes.front();
    CHECK(change.kind == RowChange::Kind::update);
    CHECK(change.position == 3);
    CHECK(change.row.position == 2);
    CHECK(change.row.digest == history_of(folder(), 2).back().digest);
    CHECK(plan.to == Mark::of(Scope::tenant, history_of(folder(), 2)));
  }

  TEST_CASE("a downgrade forwards is refused") {
    CHECK(complaint([] { down({1}, "head"); }) ==
          "downgrade cannot go to \"head\" / Name a revision, base, or -N.");
    CHECK_THROWS_AS(down({1}, "+1"), UsageError);
  }

  TEST_CASE("a revision without a down section cannot be taken back") {
    const RevisionFolder irreversible = with(2, "-- migrate:up\nSELECT 1;\n");
    const History history = history_of(irreversible, 3);
    CHECK(complaint([&] {
            plan_downgrade(irreversible, history, Target::parse("base"));
          }).starts_with("revision 0002_r2 has no down section: it cannot be taken back"));
    CHECK_NOTHROW(plan_downgrade(irreversible, history, Target::parse("0002")));
  }

  TEST_CASE("a stamp records what is missing and runs nothing") {
    const Plan plan = plan_stamp(folder(), applied(folder(), {1}), Target::parse("0003"));
    REQUIRE(steps_of(plan) == "record");
    const Step& step = plan.steps.front();
    CHECK(step.origin == "stamp");
    REQUIRE(step.changes.size() == 2);
    CHECK(step.changes[0].kind == RowChange::Kind::insert);
    CHECK(step.changes[0].row.number == 2);
    CHECK(step.changes[1].row.position == 3);
    CHECK(step.mark == Mark::of(Scope::tenant, history_of(folder(), 3)));
  }

  TEST_CASE("a stamp backwards removes the newest first") {
    const History history = applied(folder(), {1, 2, 3});
    const Plan plan = plan_stamp(folder(), history, Target::parse("base"));
    REQUIRE(plan.steps.size() == 1);
    REQUIRE(plan.steps[0].changes.size() == 3);
    CHECK(plan.steps[0].changes[0].kind == RowChange::Kind::remove);
    CHECK(plan.steps[0].changes[0].position == 3);
    CHECK(plan.steps[0].expected == history.back().digest);
    CHECK(plan.to == Mark{});
  }

  TEST_CASE("rows that a stamp leaves as they are keep their times") {
    const Plan plan = plan_stamp(folder(), applied(folder(), {1, 3}), Target::head());
    REQUIRE(plan.steps.size() == 1);
    CHECK(plan.steps[0].changes.size() == 4);
    CHECK(plan.steps[0].changes[0].position == 2);
    CHECK(plan.steps[0].changes[1].row.number == 2);
  }

  TEST_CASE("a stamp on the spot does nothing, unless something must be made") {
    CHECK(plan_stamp(folder(), history_of(folder(), 4), Target::head()).empty());
    CHECK(plan_stamp(folder(), {}, Target::parse("base")).empty());
    const Plan made = plan_stamp(folder(), {}, Target::parse("base"), Missing::table);
    REQUIRE(steps_of(made) == "record");
    CHECK(made.steps[0].creates_table);
    CHECK(made.steps[0].changes.empty());
  }

  TEST_CASE("a stamp takes no steps") {
    CHECK(complaint([] { plan_stamp(folder(), {}, Target::parse("+1")); }) ==
          "stamp cannot go to \"+1\" / Name a revision, head or base.");
    CHECK_THROWS_AS(plan_stamp(folder(), {}, Target::parse("-1")), UsageError);
  }

  TEST_CASE("a stamp mends rows that were changed by hand") {
    const auto mended = [](auto change) {
      History history = history_of(folder(), 4);
      change(history[1]);
      const Plan plan = plan_stamp(folder(), history, Target::head());
      REQUIRE(plan.steps.size() == 1);
      CHECK(plan.steps[0].changes.size() == 6);
    };
    mended([](AppliedRevision& row) { row.digest = "x"; });
    mended([](AppliedRevision& row) { row.number = 9; });
    mended([](AppliedRevision& row) { row.checksum = "x"; });
    mended([](AppliedRevision& row) { row.position = 9; });
    mended([](AppliedRevision& row) { row.state = RowState::running; });
  }

  TEST_CASE("an intended edit is recorded, and digests behind it follow") {
    const RevisionFolder edited = with(2, "-- migrate:up\nSELECT 'edited';\n");
    const History history = applied(folder(), {1, 2, 3});
    const Plan plan = plan_accept(edited, history, *edited.find(2));
    REQUIRE(plan.steps.size() == 1);
    REQUIRE(plan.steps[0].changes.size() == 2);
    CHECK(plan.steps[0].changes[0].row.checksum == edited.find(2)->checksum);
    CHECK(plan.steps[0].changes[1].row.number == 3);
    CHECK(plan.to == Mark::of(Scope::tenant, history_of(edited, 3)));
  }

  TEST_CASE("there is nothing to accept where nothing was edited or applied") {
    const History history = applied(folder(), {1, 2});
    CHECK(plan_accept(folder(), history, *folder().find(2)).empty());
    CHECK(plan_accept(folder(), history, *folder().find(4)).empty());
  }

  TEST_CASE("a lost mark is written again from the rows") {
    const History history = applied(folder(), {1, 2});
    const Plan plan = plan_remark(folder(), history);
    REQUIRE(steps_of(plan) == "record");
    CHECK(plan.steps[0].changes.empty());
    CHECK(plan.steps[0].expected == history.back().digest);
    CHECK(plan.steps[0].mark == Mark::of(Scope::tenant, history));
    CHECK(plan_remark(folder(), {}).steps[0].expected.empty());
  }

  History by_runs(const std::vector<std::string>& runs) {
    History history = history_of(folder(), runs.size());
    for (std::size_t i = 0; i < runs.size(); ++i)
      history[i].run_id = runs[i];
    return history;
  }

  TEST_CASE("undo takes back the rows of one run, the newest first, and holds the fence to it") {
    const Plan plan = plan_undo(folder(), by_runs({"a", "b", "b"}), {"b"});
    CHECK(steps_of(plan) == "down 3, down 2");
    for (const Step& step : plan.steps)
      CHECK(step.expected_run == "b");
    CHECK(plan.to == Mark::of(Scope::tenant, history_of(folder(), 1)));
  }

  TEST_CASE("undo of a run and its retry holds the fence to whichever wrote the row") {
    const Plan plan = plan_undo(folder(), by_runs({"a", "b", "c"}), {"b", "c"});
    REQUIRE(steps_of(plan) == "down 3, down 2");
    CHECK(plan.steps[0].expected_run == "c");
    CHECK(plan.steps[1].expected_run == "b");
  }

  TEST_CASE("undo of a run that left nothing is an empty plan") {
    CHECK(plan_undo(folder(), by_runs({"a", "b"}), {"c"}).empty());
    CHECK(plan_undo(folder(), by_runs({"", ""}), {"c"}).empty());
    CHECK(plan_undo(folder(), {}, {"c"}).empty());
  }

  TEST_CASE("undo leaves a schema alone that has moved on since") {
    CHECK_THROWS_WITH_AS(plan_undo(folder(), by_runs({"a", "b", "a"}), {"b"}),
                         "the schema has moved on since the run: 0003_r3 came after it",
                         HistoryError);
    CHECK_THROWS_AS(plan_undo(folder(), by_runs({"b", "a", "b"}), {"b"}), HistoryError);
    // Stamped after it: nobody's.
    CHECK_THROWS_AS(plan_undo(folder(), by_runs({"b", ""}), {"b"}), HistoryError);
  }
}
