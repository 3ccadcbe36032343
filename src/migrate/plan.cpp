#include "migrate/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "migrate/plan_checks.h"
#include "migrate/plan_steps.h"

namespace tenantctl {
namespace {

std::vector<const Revision*> pending_of(const RevisionFolder& folder, const History& history) {
  std::set<RevisionNumber> applied;
  for (const AppliedRevision& row : history) {
    applied.insert(row.number);
  }
  std::vector<const Revision*> pending;
  for (const Revision& revision : folder.revisions()) {
    if (!applied.contains(revision.number)) {
      pending.push_back(&revision);
    }
  }
  return pending;
}

// The pending revisions that the target asks for.
std::vector<const Revision*> selected(const RevisionFolder& folder, const History& history,
                                      const Target& target) {
  std::vector<const Revision*> pending = pending_of(folder, history);
  switch (target.kind()) {
    case Target::Kind::head:
      break;
    case Target::Kind::forward:
      if (pending.size() > target.steps()) {
        pending.resize(target.steps());
      }
      break;
    case Target::Kind::revision: {
      const RevisionNumber last = target.find_in(folder).number;
      std::erase_if(pending, [last](const Revision* r) { return r->number > last; });
      break;
    }
    case Target::Kind::base:
    case Target::Kind::back:
      throw UsageError(fmt::format("upgrade cannot go to \"{}\"", target.text()),
                       "Use tenantctl downgrade to go back.");
  }
  return pending;
}

Step resumed_step(const RevisionFolder& folder, const AppliedRevision& row) {
  Step step;
  step.kind = row.reverting ? Step::Kind::downgrade : Step::Kind::upgrade;
  step.revision = folder.find(row.number);
  step.row = row;
  step.resumes = true;
  if (row.reverting && !step.revision->down) {
    throw HistoryError(fmt::format("revision {} has lost its down section", row.name),
                       "Restore the file: its down section stopped half-way.");
  }
  if (statements_digest(step.section(), row.confirmed) != row.statement_digest) {
    throw HistoryError(
        fmt::format("revision {} stopped half-way and its finished statements were edited",
                    row.name),
        "Restore the statements that ran already; change only those that did not.");
  }
  check_runnable(*step.revision, step.section());
  refuse_unknown(step);
  return step;
}

// The revision that stopped half-way is the next to finish, whatever the target.
void resume(Plan& plan, const RevisionFolder& folder, History& history, bool reverting) {
  const auto at = std::find_if(history.begin(), history.end(), [](const AppliedRevision& row) {
    return row.state != RowState::applied;
  });
  if (at == history.end()) {
    return;
  }
  if (at->reverting != reverting || at->state == RowState::needs_decision) {
    refuse_unfinished(history, reverting ? "downgrade" : "upgrade");
  }
  Step step = resumed_step(folder, *at);
  step.expected = newest_digest(history);
  step.expected_repeatables = repeatables_digest(history);
  const History before = history;
  if (reverting) {
    history.erase(at);
    rechain(history);
    step.changes = differences(before, history);
  } else {
    at->state = RowState::applied;
    at->checksum = step.revision->checksum;
    rechain(history);
    step.row = *at;
  }
  step.mark = Mark::of(folder.scope(), history);
  plan.steps.push_back(std::move(step));
}

// Every statement only works on an index CONCURRENTLY.
bool is_concurrent(const Section& section) {
  const auto& statements = section.script.statements();
  return !section.transaction && !statements.empty() &&
         std::all_of(statements.begin(), statements.end(), [](const sql::Statement& statement) {
           return statement.kind == sql::StatementKind::create_index_concurrently ||
                  statement.kind == sql::StatementKind::drop_index_concurrently;
         });
}

void add_upgrade(Plan& plan, const Revision& revision, History& history, Scope scope) {
  check_runnable(revision, revision.up);
  Step step = step_from(history, Step::Kind::upgrade);
  step.revision = &revision;
  const auto end = std::find_if(history.begin(), history.end(),
                                [](const AppliedRevision& row) { return row.is_repeatable(); });
  const auto at = history.insert(end, row_of(revision));
  rechain(history);
  step.row = *at;
  step.mark = Mark::of(scope, history);
  plan.steps.push_back(std::move(step));
}

void add_downgrade(Plan& plan, const RevisionFolder& folder, History& history, std::size_t index) {
  const AppliedRevision row = history[index];
  const Revision& revision = *folder.find(row.number);
  if (!revision.down) {
    throw HistoryError(
        fmt::format("revision {} has no down section: it cannot be taken back", row.name),
        "Write the section, or choose a target that keeps this revision.");
  }
  check_runnable(revision, *revision.down);
  Step step = step_from(history, Step::Kind::downgrade);
  step.revision = &revision;
  step.row = row;
  const History before = history;
  history.erase(history.begin() + static_cast<std::ptrdiff_t>(index));
  rechain(history);
  step.changes = differences(before, history);
  step.mark = Mark::of(folder.scope(), history);
  plan.steps.push_back(std::move(step));
}

// How many of the newest rows `-N` takes, and which others the target takes.
bool is_reverted(const AppliedRevision& row, const History& history, const Target& target,
                 const RevisionFolder& folder) {
  switch (target.kind()) {
    case Target::Kind::base:
      return true;
    case Target::Kind::back:
      return row.position >
             static_cast<std::int64_t>(history.size()) - static_cast<std::int64_t>(target.steps());
    case Target::Kind::revision:
      return row.number > target.find_in(folder).number;
    case Target::Kind::head:
    case Target::Kind::forward:
      break;
  }
  throw UsageError(fmt::format("downgrade cannot go to \"{}\"", target.text()),
                   "Name a revision, base, or -N.");
}

// Repeatables are written for the newest revisions: on the way there, or back at an earlier target,
// what they use may not be there.
bool leads_to_head(const RevisionFolder& folder, const History& history, const Target& target) {
  if (target.kind() == Target::Kind::revision &&
      &target.find_in(folder) != &folder.revisions().back()) {
    return false;
  }
  return pending_of(folder, history).empty();
}

}  // namespace

const Section& Step::section() const {
  return kind == Kind::downgrade ? *revision->down : revision->up;
}

bool Plan::is_serial() const {
  return std::any_of(steps.begin(), steps.end(), [](const Step& step) {
    return step.revision != nullptr && step.revision->serial;
  });
}

Plan plan_upgrade(const RevisionFolder& folder, const History& history, const Target& target,
                  const UpgradeOptions& options) {
  check_against(folder, history);
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  History now = history;
  resume(plan, folder, now, false);
  const std::vector<const Revision*> pending = selected(folder, now, target);
  if (!options.allow_out_of_order) {
    refuse_late(pending, now);
  }
  for (const Revision* revision : pending) {
    add_upgrade(plan, *revision, now, folder.scope());
    // The schema is made by the same plan: there is nobody to keep from waiting.
    plan.steps.back().plainly = options.missing == Missing::schema && is_concurrent(revision->up);
  }
  if (leads_to_head(folder, now, target)) {
    add_repeatables(plan, folder, now);
  }
  add_install(plan, options.missing);
  plan.to = Mark::of(folder.scope(), now);
  return plan;
}

Plan plan_downgrade(const RevisionFolder& folder, const History& history, const Target& target) {
  check_against(folder, history);
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  const History revisions = revisions_of(history);
  History now = revisions;
  resume(plan, folder, now, true);
  // Positions move while rows go, so what is to go is decided before.
  std::vector<RevisionNumber> reverted;
  for (const AppliedRevision& row : now) {
    if (is_reverted(row, revisions, target, folder)) {
      reverted.push_back(row.number);
    }
  }
  std::reverse(reverted.begin(), reverted.end());
  for (const RevisionNumber number : reverted) {
    const auto at = std::find_if(now.begin(), now.end(), [number](const AppliedRevision& row) {
      return row.number == number;
    });
    add_downgrade(plan, folder, now, static_cast<std::size_t>(at - now.begin()));
  }
  plan.to = plan.empty() ? plan.from : Mark::of(folder.scope(), now);
  forget_repeatables(plan, history);
  return plan;
}

Plan plan_undo(const RevisionFolder& folder, const History& history,
               const std::set<std::string>& run_ids) {
  const History revisions = revisions_of(history);
  const auto is_of_run = [&run_ids](const AppliedRevision& row) {
    return run_ids.count(row.run_id) > 0;
  };
  const auto count = std::count_if(revisions.begin(), revisions.end(), is_of_run);
  if (count == 0) {
    Plan plan;
    plan.from = plan.to = Mark::of(folder.scope(), history);
    return plan;
  }
  const auto other = std::find_if_not(revisions.end() - count, revisions.end(), is_of_run);
  if (other != revisions.end()) {
    throw HistoryError(
        fmt::format("the schema has moved on since the run: {} came after it", other->name),
        "Undo the later runs first; tenantctl runs lists them. Or name the schema and a revision: "
        "tenantctl downgrade.");
  }
  Plan plan = plan_downgrade(folder, history, Target::parse(fmt::format("-{}", count)));
  auto row = revisions.rbegin();
  for (Step& step : plan.steps) {
    step.expected_run = row->run_id;
    ++row;
  }
  return plan;
}

}  // namespace tenantctl
