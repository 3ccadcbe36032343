#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "migrate/autocommit_run.h"
#include "migrate/plan.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

constexpr const char* two_indexes =
    "-- migrate:up transaction:false\n"
    "CREATE INDEX CONCURRENTLY a ON t (a);\nCREATE INDEX CONCURRENTLY b ON t (b);\n"
    "-- migrate:down transaction:false\n"
    "DROP INDEX CONCURRENTLY b;\nDROP INDEX CONCURRENTLY a;\n";

RevisionFolder folder_with_second(const std::string& second) {
  return {Scope::tenant, {revision_of(1), revision_of(2, second), revision_of(3)}};
}

// Revision 2 stopped after its first statement.
History stopped(const RevisionFolder& folder, const std::vector<RevisionNumber>& numbers,
                bool reverting) {
  History history = applied(folder, numbers);
  for (AppliedRevision& row : history) {
    if (row.number != 2)
      continue;
    const Revision& revision = *folder.find(2);
    row.state = RowState::running;
    row.reverting = reverting;
    row.confirmed = 1;
    row.statement_digest = statements_digest(reverting ? *revision.down : revision.up, 1);
  }
  return history;
}

template <typename Planning>
std::string resume_complaint(Planning planning) {
  try {
    planning();
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_SUITE("migrate/plan/resume") {
  TEST_CASE("an upgrade finishes first what stopped half-way") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const History history = stopped(folder, {1, 2}, false);
    const Plan plan = plan_upgrade(folder, history, Target::head());
    REQUIRE(plan.steps.size() == 2);
    CHECK(plan.steps[0].resumes);
    CHECK(plan.steps[0].kind == Step::Kind::upgrade);
    CHECK(plan.steps[0].row.state == RowState::applied);
    CHECK(plan.steps[0].row.confirmed == 1);
    CHECK(plan.steps[0].expected == history.back().digest);
    CHECK(plan.from.running == 2);
    CHECK(plan.from.count == 1);
    CHECK(plan.steps[0].mark.count == 2);
    CHECK(plan.steps[1].revision->number == 3);
    CHECK(plan.to == Mark::of(Scope::tenant, history_of(folder, 3)));
  }

  TEST_CASE("what did not run yet may be mended, what ran may not") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const History history = stopped(folder, {1, 2}, false);
    const RevisionFolder mended = folder_with_second(
        "-- migrate:up transaction:false\n"
        "CREATE INDEX CONCURRENTLY a ON t (a);\nCREATE INDEX CONCURRENTLY b ON t (c);\n");
    const Plan plan = plan_upgrade(mended, history, Target::parse("0002"));
    REQUIRE(plan.steps.size() == 1);
    CHECK(plan.steps[0].row.checksum == mended.find(2)->checksum);
    CHECK(plan.to == Mark::of(Scope::tenant, history_of(mended, 2)));
    const RevisionFolder edited = folder_with_second(
        "-- migrate:up transaction:false\n"
        "CREATE INDEX CONCURRENTLY a ON t (x);\nCREATE INDEX CONCURRENTLY b ON t (b);\n");
    CHECK(resume_complaint([&] { plan_upgrade(edited, history, Target::head()); }) ==
          "revision 0002_r2 stopped half-way and its finished statements were edited");
  }

  TEST_CASE("a downgrade finishes first what it was taking back") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const Plan plan = plan_downgrade(folder, stopped(folder, {1, 2}, true), Target::parse("base"));
    REQUIRE(plan.steps.size() == 2);
    CHECK(plan.steps[0].resumes);
    CHECK(plan.steps[0].kind == Step::Kind::downgrade);
    CHECK(plan.steps[0].revision->number == 2);
    CHECK(plan.steps[1].revision->number == 1);
    CHECK(plan.to == Mark{});
  }

  TEST_CASE("rows behind one that was being taken back move up") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const Plan plan = plan_downgrade(folder, stopped(folder, {2, 1}, true), Target::parse("0001"));
    REQUIRE(plan.steps.size() == 1);
    REQUIRE(plan.steps[0].changes.size() == 1);
    CHECK(plan.steps[0].changes[0].position == 2);
    CHECK(plan.steps[0].changes[0].row.position == 1);
  }

  TEST_CASE("the other direction has to wait") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const std::string half = "revision 0002_r2 stopped half-way outside a transaction";
    CHECK(resume_complaint([&] {
            plan_downgrade(folder, stopped(folder, {1, 2}, false), Target::parse("base"));
          }) == half);
    CHECK(resume_complaint([&] {
            plan_upgrade(folder, stopped(folder, {1, 2}, true), Target::head());
          }) == half);
    CHECK(resume_complaint([&] {
            plan_accept(folder, stopped(folder, {1, 2}, true), *folder.find(1));
          }) == half);
  }

  TEST_CASE("what needs a decision is not gone on with") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    History history = stopped(folder, {1, 2}, false);
    history.back().state = RowState::needs_decision;
    CHECK_THROWS_AS(plan_upgrade(folder, history, Target::head()), HistoryError);
  }

  TEST_CASE("a lost down section cannot be finished") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const History history = stopped(folder, {1, 2}, true);
    const RevisionFolder without = folder_with_second(
        "-- migrate:up transaction:false\n"
        "CREATE INDEX CONCURRENTLY a ON t (a);\nCREATE INDEX CONCURRENTLY b ON t (b);\n");
    CHECK(resume_complaint([&] { plan_downgrade(without, history, Target::parse("base")); }) ==
          "revision 0002_r2 has lost its down section");
  }

  TEST_CASE("a statement that may have run unnoticed is a person's to decide") {
    const RevisionFolder folder = folder_with_second(
        "-- migrate:up transaction:false\nVACUUM t;\nINSERT INTO t VALUES (1);\n");
    History history = stopped(folder, {1, 2}, false);
    CHECK(resume_complaint([&] { plan_upgrade(folder, history, Target::head()); }) ==
          "revision 0002_r2 was interrupted at its statement 2: whether that ran is not known");
    history.back().failed = true;
    CHECK_NOTHROW(plan_upgrade(folder, history, Target::head()));
    history.back().failed = false;
    history.back().confirmed = 2;
    history.back().statement_digest = statements_digest(folder.find(2)->up, 2);
    CHECK_NOTHROW(plan_upgrade(folder, history, Target::head()));
  }

  TEST_CASE("a statement is sent again where the catalog tells or it does no harm") {
    const auto resumable = [](const std::string& sql) {
      const Revision revision =
          revision_of(1, "-- migrate:up transaction:false\n-- why\n" + sql + ";\n");
      return is_resumable(revision.up.script, revision.up.script.statements().front());
    };
    CHECK(resumable("CREATE INDEX CONCURRENTLY i ON t (a)"));
    CHECK(resumable("DROP INDEX CONCURRENTLY i"));
    CHECK(resumable("REINDEX INDEX CONCURRENTLY i"));
    CHECK(resumable("vacuum t"));
    CHECK(resumable("ANALYZE t"));
    CHECK(resumable("SET work_mem = '1MB'"));
    CHECK(resumable("RESET work_mem"));
    CHECK_FALSE(resumable("CREATE INDEX CONCURRENTLY ON t (a)"));
    CHECK(resumable("REINDEX TABLE CONCURRENTLY t"));
    CHECK(resumable("ALTER TYPE e ADD VALUE 'b'"));
    CHECK_FALSE(resumable("ALTER TABLE t DETACH PARTITION p CONCURRENTLY"));
    CHECK_FALSE(resumable("INSERT INTO t VALUES (1)"));
  }

  TEST_CASE("a person says that it stands or that nothing of it does") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const History history = stopped(folder, {1, 2}, false);
    const Plan stands = plan_resolve(folder, history, *folder.find(2), true);
    CHECK(stands.from.running == 2);
    CHECK(stands.to == Mark::of(Scope::tenant, history_of(folder, 2)));
    REQUIRE(stands.steps.size() == 1);
    REQUIRE(stands.steps[0].changes.size() == 2);
    CHECK(stands.steps[0].changes[0].kind == RowChange::Kind::remove);
    CHECK(stands.steps[0].changes[1].kind == RowChange::Kind::insert);
    CHECK(stands.steps[0].changes[1].row.state == RowState::applied);
    const Plan gone = plan_resolve(folder, history, *folder.find(2), false);
    CHECK(gone.to == Mark::of(Scope::tenant, history_of(folder, 1)));
    REQUIRE(gone.steps.size() == 1);
    CHECK(gone.steps[0].changes.size() == 1);
  }

  TEST_CASE("rows behind a resolved one follow") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    const History history = stopped(folder, {2, 1}, true);
    const Plan gone = plan_resolve(folder, history, *folder.find(2), false);
    REQUIRE(gone.steps[0].changes.size() == 2);
    CHECK(gone.steps[0].changes[1].kind == RowChange::Kind::update);
    CHECK(gone.steps[0].changes[1].row.position == 1);
    CHECK(gone.to == Mark::of(Scope::tenant, history_of(folder, 1)));
  }

  TEST_CASE("only the revision that stopped can be resolved") {
    const RevisionFolder folder = folder_with_second(two_indexes);
    CHECK(resume_complaint([&] {
            plan_resolve(folder, stopped(folder, {1, 2}, false), *folder.find(1), true);
          }) == "revision 0001_r1 did not stop half-way here");
    CHECK_THROWS_AS(plan_resolve(folder, history_of(folder, 2), *folder.find(2), true),
                    HistoryError);
  }
}
