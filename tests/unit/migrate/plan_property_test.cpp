#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "migrate/plan.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

/// A version table with the constraints that the real one has: position and revision are unique
/// after every single change. Takes plans as the server would.
class Table {
 public:
  const History& rows() const { return rows_; }

  void run(const Plan& plan, const RevisionFolder& folder) {
    require(plan.from == Mark::of(Scope::tenant, rows_), "from");
    for (const Step& step : plan.steps)
      run(step);
    check_chain(rows_);
    require(plan.to == Mark::of(Scope::tenant, rows_), "to");
    require(plan.empty() || plan.steps.back().mark == plan.to, "mark of the last step");
    static_cast<void>(folder);
  }

  /// A run outside a transaction ends before the step does.
  void interrupt(const Step& step) {
    AppliedRevision row = step.row;
    row.state = RowState::running;
    row.reverting = step.kind == Step::Kind::downgrade;
    row.confirmed = 0;
    row.statement_digest = statements_digest(step.section(), 0);
    row.failed = true;
    if (!row.reverting && !step.resumes)
      insert(row);
    else
      at(row.position) = row;
  }

 private:
  static void require(bool holds, const std::string& what) {
    if (!holds)
      throw std::logic_error(what);
  }

  void run(const Step& step) {
    require(step.expected == newest_digest(rows_), "fence");
    require(step.expected_repeatables == repeatables_digest(rows_), "fence of repeatables");
    if (step.kind == Step::Kind::upgrade && step.resumes) {
      AppliedRevision& row = at(step.row.position);
      require(row.state == RowState::running, "running");
      row.state = RowState::applied;
      row.checksum = step.row.checksum;
      row.digest = step.row.digest;
    } else if (step.applies_again) {
      AppliedRevision& row = at(step.row.position);
      require(row.name == step.row.name && row.checksum != step.row.checksum, "changed");
      row.checksum = step.row.checksum;
      row.digest = step.row.digest;
    } else if (step.kind == Step::Kind::upgrade) {
      insert(step.row);
    } else if (step.kind == Step::Kind::downgrade) {
      require(at(step.row.position).number == step.row.number, "the right row");
      remove(step.row.position);
    }
    for (const RowChange& change : step.changes)
      run(change);
    sort();
    check_chain(rows_);
    require(step.mark == Mark::of(Scope::tenant, rows_), "mark");
  }

  void run(const RowChange& change) {
    switch (change.kind) {
      case RowChange::Kind::insert:
        insert(change.row);
        break;
      case RowChange::Kind::remove:
        remove(change.position);
        break;
      case RowChange::Kind::update: {
        AppliedRevision& row = at(change.position);
        require(row.number == change.row.number, "the right row");
        row.position = change.row.position;
        row.checksum = change.row.checksum;
        row.digest = change.row.digest;
        require_unique();
        break;
      }
    }
  }

  AppliedRevision& at(std::int64_t position) {
    const auto found = std::find_if(rows_.begin(), rows_.end(), [position](const auto& row) {
      return row.position == position;
    });
    require(found != rows_.end(), "no such position");
    return *found;
  }

  void insert(const AppliedRevision& row) {
    rows_.push_back(row);
    require_unique();
    sort();
  }

  void remove(std::int64_t position) {
    const AppliedRevision& row = at(position);
    rows_.erase(rows_.begin() + (&row - rows_.data()));
  }

  void require_unique() const {
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      for (std::size_t j = i + 1; j < rows_.size(); ++j) {
        require(rows_[i].position != rows_[j].position, "position is unique");
        require(rows_[i].number != rows_[j].number, "revision is unique");
      }
    }
  }

  void sort() {
    std::sort(rows_.begin(), rows_.end(),
              [](const auto& a, const auto& b) { return a.position < b.position; });
  }

  History rows_;
};

/// People who write, edit and lose revisions and migrate one schema back and forth.
class Team {
 public:
  explicit Team(std::uint32_t seed) : random_(seed) {}

  std::size_t upto(std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(0, most)(random_);
  }

  RevisionFolder folder() const {
    std::vector<Revision> revisions;
    for (const auto& [number, revision] : revisions_)
      revisions.push_back(revision);
    std::vector<Revision> repeatables;
    for (const auto& [name, repeatable] : repeatables_)
      repeatables.push_back(repeatable);
    return {Scope::tenant, std::move(revisions), std::move(repeatables)};
  }

  void write_repeatable() {
    const std::string name(1, static_cast<char>('a' + upto(3)));
    repeatables_.insert_or_assign(name, repeatable_of(name, fmt::format("SELECT {};", upto(2))));
  }

  void lose_repeatable() { repeatables_.erase(std::string(1, static_cast<char>('a' + upto(3)))); }

  void write_revision() {
    const auto number = static_cast<RevisionNumber>(1 + upto(11));
    const bool transaction = upto(3) > 0;
    const std::string options = transaction ? "" : " transaction:false";
    const std::string down =
        upto(5) > 0 ? fmt::format("-- migrate:down{}\nANALYZE;\n", options) : "";
    revisions_.insert_or_assign(
        number, revision_of(number, fmt::format("-- migrate:up{}\nANALYZE; SELECT {};\n{}", options,
                                                upto(1), down)));
  }

  void lose_revision() {
    if (!revisions_.empty())
      revisions_.erase(
          std::next(revisions_.begin(), static_cast<std::ptrdiff_t>(upto(revisions_.size() - 1))));
  }

  Target target(const RevisionFolder& folder, char sign) {
    const std::size_t kind = upto(2);
    if (kind == 0)
      return Target::parse(sign == '+' ? "head" : "base");
    if (kind == 1 || folder.empty())
      return Target::parse(fmt::format("{}{}", sign, 1 + upto(3)));
    return Target::parse(folder.revisions()[upto(folder.revisions().size() - 1)].digits);
  }

  Plan plan(const RevisionFolder& folder, const History& history) {
    switch (upto(9)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return plan_upgrade(folder, history, target(folder, '+'),
                            {.allow_out_of_order = upto(1) == 0});
      case 4:
      case 5:
        return plan_downgrade(folder, history, target(folder, '-'));
      case 6:
        return plan_stamp(folder, history, Target::parse(upto(1) == 0 ? "head" : "base"));
      case 7:
        return folder.empty() ? plan_remark(folder, history)
                              : plan_accept(folder, history, some(folder));
      case 8:
        return folder.empty() ? plan_remark(folder, history)
                              : plan_resolve(folder, history, some(folder), upto(1) == 0);
      default:
        return plan_remark(folder, history);
    }
  }

  const Revision& some(const RevisionFolder& folder) {
    return folder.revisions()[upto(folder.revisions().size() - 1)];
  }

 private:
  std::mt19937 random_;
  std::map<RevisionNumber, Revision> revisions_;
  std::map<std::string, Revision> repeatables_;
};

struct Tally {
  int plans = 0;
  int refused = 0;
  int interrupted = 0;
  int repeatables = 0;
};

// One turn of a team: perhaps a change of the folder, then a plan, carried out or interrupted.
void turn(Team& team, Table& table, Tally& tally) {
  if (team.upto(2) == 0)
    team.write_revision();
  if (team.upto(15) == 0)
    team.lose_revision();
  if (team.upto(3) == 0)
    team.write_repeatable();
  if (team.upto(9) == 0)
    team.lose_repeatable();
  const RevisionFolder folder = team.folder();
  Plan plan;
  try {
    plan = team.plan(folder, table.rows());
  } catch (const HistoryError&) {
    ++tally.refused;
    return;
  }
  ++tally.plans;
  tally.repeatables +=
      static_cast<int>(std::count_if(plan.steps.begin(), plan.steps.end(), [](const Step& step) {
        return step.is_about_repeatables() || step.forgotten_repeatables();
      }));
  const auto stop = std::find_if(plan.steps.begin(), plan.steps.end(),
                                 [](const Step& step) { return !step.in_transaction(); });
  if (stop == plan.steps.end() || team.upto(1) == 0) {
    table.run(plan, folder);
    return;
  }
  ++tally.interrupted;
  Plan until = plan;
  until.steps.resize(static_cast<std::size_t>(stop - plan.steps.begin()));
  until.to = until.steps.empty() ? until.from : until.steps.back().mark;
  table.run(until, folder);
  table.interrupt(*stop);
}

}  // namespace

TEST_SUITE("migrate/plan/property") {
  TEST_CASE("whatever a team plans, the version table adds up and the mark says so") {
    Tally tally;
    for (std::uint32_t seed = 1; seed <= 40; ++seed) {
      Team team(seed);
      Table table;
      for (int i = 0; i < 40; ++i) {
        CAPTURE(seed);
        CAPTURE(i);
        REQUIRE_NOTHROW(turn(team, table, tally));
        REQUIRE_NOTHROW(check_chain(table.rows()));
      }
    }
    // The test would say nothing if all was refused.
    CHECK(tally.plans > 500);
    CHECK(tally.refused > 100);
    CHECK(tally.interrupted > 50);
    CHECK(tally.repeatables > 100);
  }
}
