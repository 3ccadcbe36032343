#include "migrate/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "migrate/autocommit_run.h"

namespace tenantctl {
namespace {

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 5;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown; ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > shown) {
    text += fmt::format(" and {} more", names.size() - shown);
  }
  return text;
}

std::string noun(const std::vector<std::string>& names) {
  return names.size() == 1 ? "revision" : "revisions";
}

std::string was(const std::vector<std::string>& names) {
  return names.size() == 1 ? "was" : "were";
}

RevisionNumber highest(const History& history) {
  RevisionNumber number = 0;
  for (const AppliedRevision& row : history) {
    number = std::max(number, row.number);
  }
  return number;
}

// Every applied revision must be in the folder as it was when it was applied.
void check_against(const RevisionFolder& folder, const History& history) {
  check_chain(history);
  std::vector<std::string> vanished;
  std::vector<std::string> edited;
  for (const AppliedRevision& row : history) {
    const Revision* revision = folder.find(row.number);
    if (revision == nullptr) {
      vanished.push_back(row.name);
    } else if (revision->checksum != row.checksum && row.state == RowState::applied) {
      // What stopped half-way may be mended: its finished statements are checked one by one.
      edited.push_back(row.name);
    }
  }
  if (!vanished.empty()) {
    throw HistoryError(
        fmt::format("{} {} {} applied but not in the folder", noun(vanished), listed(vanished),
                    was(vanished)),
        "Restore the file, or check out the branch that this schema was upgraded from.");
  }
  if (!edited.empty()) {
    throw HistoryError(
        fmt::format("{} {} {} edited after being applied", noun(edited), listed(edited),
                    was(edited)),
        "Restore the file and put the change into a new revision, or record an intended edit with "
        "tenantctl accept-checksum.");
  }
}

void refuse_unfinished(const History& history, std::string_view act) {
  for (const AppliedRevision& row : history) {
    if (row.state == RowState::applied) {
      continue;
    }
    throw HistoryError(
        fmt::format("revision {} stopped half-way outside a transaction", row.name),
        fmt::format("Run {} again until it is finished, or say resolve, before another {}.",
                    row.reverting ? "downgrade" : "upgrade", act));
  }
}

AppliedRevision row_of(const Revision& revision) {
  AppliedRevision row;
  row.number = revision.number;
  row.name = revision.title();
  row.checksum = revision.checksum;
  return row;
}

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

void refuse_late(const std::vector<const Revision*>& pending, const History& history) {
  const RevisionNumber newest = highest(history);
  std::vector<std::string> late;
  for (const Revision* revision : pending) {
    if (revision->number < newest) {
      late.push_back(revision->title());
    }
  }
  if (late.empty()) {
    return;
  }
  throw HistoryError(
      fmt::format("{} {} came late: newer ones are applied already", noun(late), listed(late)),
      "Give the file a newer number, or apply it after them with --allow-out-of-order.");
}

// An install of its own where the first step cannot carry it: outside a transaction, or none.
void add_install(Plan& plan, Missing missing) {
  if (missing == Missing::nothing) {
    return;
  }
  if (plan.steps.empty() || !plan.steps.front().in_transaction()) {
    Step install;
    install.kind = Step::Kind::install;
    install.mark = plan.from;
    plan.steps.insert(plan.steps.begin(), std::move(install));
  }
  plan.steps.front().creates_table = true;
  plan.steps.front().creates_schema = missing == Missing::schema;
}

// Rows behind a removed or changed one keep their order; position and digest follow.
std::vector<RowChange> differences(const History& before, const History& after) {
  std::vector<RowChange> changes;
  for (const AppliedRevision& row : after) {
    const auto old = std::find_if(before.begin(), before.end(), [&](const AppliedRevision& other) {
      return other.number == row.number;
    });
    if (old == before.end()) {
      continue;
    }
    if (old->position != row.position || old->digest != row.digest ||
        old->checksum != row.checksum) {
      changes.push_back({RowChange::Kind::update, old->position, row});
    }
  }
  return changes;
}

// A run that ended without a word may have sent the next statement, and it may have happened.
void refuse_unknown(const Step& step) {
  const sql::Script& script = step.section().script;
  if (step.row.failed || step.row.confirmed >= script.statements().size() ||
      is_resumable(script, script.statements()[step.row.confirmed])) {
    return;
  }
  throw HistoryError(
      fmt::format("revision {} was interrupted at its statement {}: whether that ran is not known",
                  step.row.name, step.row.confirmed + 1),
      "Look at the schema, then say tenantctl resolve with --applied or --reverted.");
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
  step.expected = history.back().digest;
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

void add_upgrade(Plan& plan, const Revision& revision, History& history, Scope scope) {
  check_runnable(revision, revision.up);
  Step step;
  step.kind = Step::Kind::upgrade;
  step.revision = &revision;
  step.expected = history.empty() ? "" : history.back().digest;
  history.push_back(row_of(revision));
  rechain(history);
  step.row = history.back();
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
  Step step;
  step.kind = Step::Kind::downgrade;
  step.revision = &revision;
  step.row = row;
  step.expected = history.back().digest;
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

Step record_step(const History& before, const History& after, Scope scope) {
  Step step;
  step.kind = Step::Kind::record;
  step.expected = before.empty() ? "" : before.back().digest;
  step.mark = Mark::of(scope, after);
  return step;
}

// Nothing of the row would change: also a position or checksum that was changed by hand would.
bool is_same(const AppliedRevision& row, const AppliedRevision& wanted) {
  return row.number == wanted.number && row.position == wanted.position &&
         row.checksum == wanted.checksum && row.digest == wanted.digest &&
         row.state == wanted.state;
}

// Where a stamp leads: the folder up to the target.
std::size_t stamped_count(const RevisionFolder& folder, const Target& target) {
  switch (target.kind()) {
    case Target::Kind::head:
      return folder.revisions().size();
    case Target::Kind::base:
      return 0;
    case Target::Kind::revision:
      return static_cast<std::size_t>(&target.find_in(folder) - folder.revisions().data()) + 1;
    case Target::Kind::forward:
    case Target::Kind::back:
      break;
  }
  throw UsageError(fmt::format("stamp cannot go to \"{}\"", target.text()),
                   "Name a revision, head or base.");
}

}  // namespace

const Section& Step::section() const {
  return kind == Kind::downgrade ? *revision->down : revision->up;
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
  }
  add_install(plan, options.missing);
  plan.to = Mark::of(folder.scope(), now);
  return plan;
}

Plan plan_downgrade(const RevisionFolder& folder, const History& history, const Target& target) {
  check_against(folder, history);
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  History now = history;
  resume(plan, folder, now, true);
  // Positions move while rows go, so what is to go is decided before.
  std::vector<RevisionNumber> reverted;
  for (const AppliedRevision& row : now) {
    if (is_reverted(row, history, target, folder)) {
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
  plan.to = Mark::of(folder.scope(), now);
  return plan;
}

Plan plan_undo(const RevisionFolder& folder, const History& history, const std::string& run_id) {
  const auto is_of_run = [&run_id](const AppliedRevision& row) { return row.run_id == run_id; };
  const auto count = std::count_if(history.begin(), history.end(), is_of_run);
  if (count == 0) {
    Plan plan;
    plan.from = plan.to = Mark::of(folder.scope(), history);
    return plan;
  }
  const auto other = std::find_if_not(history.end() - count, history.end(), is_of_run);
  if (other != history.end()) {
    throw HistoryError(
        fmt::format("the schema has moved on since the run: {} came after it", other->name),
        "Undo the later runs first; tenantctl runs lists them. Or name the schema and a revision: "
        "tenantctl downgrade.");
  }
  Plan plan = plan_downgrade(folder, history, Target::parse(fmt::format("-{}", count)));
  for (Step& step : plan.steps) {
    step.expected_run = run_id;
  }
  return plan;
}

Plan plan_stamp(const RevisionFolder& folder, const History& history, const Target& target,
                Missing missing) {
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  const History after = history_of(folder, stamped_count(folder, target));
  plan.to = Mark::of(folder.scope(), after);
  const bool same = plan.from == plan.to && missing == Missing::nothing &&
                    std::equal(history.begin(), history.end(), after.begin(), after.end(), is_same);
  if (same) {
    return plan;
  }
  Step step = record_step(history, after, folder.scope());
  step.origin = "stamp";
  // Rows that stay as they are keep their times; from the first difference on they are new.
  std::size_t kept = 0;
  while (kept < history.size() && kept < after.size() && is_same(history[kept], after[kept])) {
    ++kept;
  }
  for (std::size_t i = history.size(); i > kept; --i) {
    step.changes.push_back({RowChange::Kind::remove, history[i - 1].position, {}});
  }
  for (std::size_t i = kept; i < after.size(); ++i) {
    step.changes.push_back({RowChange::Kind::insert, 0, after[i]});
  }
  plan.steps.push_back(std::move(step));
  add_install(plan, missing);
  return plan;
}

Plan plan_accept(const RevisionFolder& folder, const History& history, const Revision& revision) {
  check_chain(history);
  refuse_unfinished(history, "change");
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  History after = history;
  for (AppliedRevision& row : after) {
    if (row.number == revision.number) {
      row.checksum = revision.checksum;
    }
  }
  rechain(after);
  plan.to = Mark::of(folder.scope(), after);
  Step step = record_step(history, after, folder.scope());
  step.changes = differences(history, after);
  if (!step.changes.empty()) {
    plan.steps.push_back(std::move(step));
  }
  return plan;
}

Plan plan_resolve(const RevisionFolder& folder, const History& history, const Revision& revision,
                  bool applied) {
  check_chain(history);
  const auto at = std::find_if(history.begin(), history.end(), [](const AppliedRevision& row) {
    return row.state != RowState::applied;
  });
  if (at == history.end() || at->number != revision.number) {
    throw HistoryError(fmt::format("revision {} did not stop half-way here", revision.title()),
                       "tenantctl current shows where the schema stands.");
  }
  History after = history;
  AppliedRevision& row = after[static_cast<std::size_t>(at - history.begin())];
  if (applied) {
    row = row_of(revision);
  } else {
    after.erase(after.begin() + (at - history.begin()));
  }
  rechain(after);
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  plan.to = Mark::of(folder.scope(), after);
  Step step = record_step(history, after, folder.scope());
  step.changes.push_back({RowChange::Kind::remove, at->position, {}});
  if (applied) {
    step.changes.push_back(
        {RowChange::Kind::insert, 0, after[static_cast<std::size_t>(at - history.begin())]});
  }
  for (RowChange& change : differences(history, after)) {
    if (change.row.number != revision.number) {
      step.changes.push_back(std::move(change));
    }
  }
  plan.steps.push_back(std::move(step));
  return plan;
}

Plan plan_remark(const RevisionFolder& folder, const History& history) {
  check_chain(history);
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  plan.to = plan.from;
  plan.steps.push_back(record_step(history, history, folder.scope()));
  return plan;
}

}  // namespace tenantctl
