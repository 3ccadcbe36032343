#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "migrate/plan.h"
#include "migrate/plan_checks.h"
#include "migrate/plan_steps.h"
#include "revision/file_name.h"

namespace tenantctl {
namespace {

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

// The rows of repeatables that have their name's place, chained anew: what somebody wrote elsewhere
// by hand is none.
History sound_repeatables(const History& history) {
  History repeatables = repeatables_of(history);
  std::erase_if(repeatables, [](const AppliedRevision& row) {
    return row.position != first_repeatable - repeatable_number(row.name);
  });
  rechain(repeatables);
  return repeatables;
}

// Leads from the repeatables' rows as they are to the sound ones; nothing if they are that.
void add_repeatable_changes(Step& step, const History& before, const History& sound) {
  for (const AppliedRevision& row : before) {
    const auto kept = std::find_if(
        sound.begin(), sound.end(),
        [&row](const AppliedRevision& other) { return other.position == row.position; });
    if (kept == sound.end()) {
      step.changes.push_back({RowChange::Kind::remove, row.position, {}});
    } else if (!is_same(row, *kept)) {
      step.changes.push_back({RowChange::Kind::update, row.position, *kept});
    }
  }
}

}  // namespace

Plan plan_stamp(const RevisionFolder& folder, const History& history, const Target& target,
                Missing missing) {
  Plan plan;
  plan.from = Mark::of(folder.scope(), history);
  const History before = revisions_of(history);
  const History stamped = history_of(folder, stamped_count(folder, target));
  const History repeatables = sound_repeatables(history);
  History after = stamped;
  after.insert(after.end(), repeatables.begin(), repeatables.end());
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
  while (kept < before.size() && kept < stamped.size() && is_same(before[kept], stamped[kept])) {
    ++kept;
  }
  add_repeatable_changes(step, repeatables_of(history), repeatables);
  for (std::size_t i = before.size(); i > kept; --i) {
    step.changes.push_back({RowChange::Kind::remove, before[i - 1].position, {}});
  }
  for (std::size_t i = kept; i < stamped.size(); ++i) {
    step.changes.push_back({RowChange::Kind::insert, 0, stamped[i]});
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
