#include <algorithm>
#include <string>
#include <utility>

#include "migrate/plan_steps.h"

namespace tenantctl {
namespace {

RowChange removal_of(const AppliedRevision& row) {
  return {RowChange::Kind::remove, row.position, {}};
}

History::iterator find_row(History& history, const std::string& name) {
  return std::find_if(history.begin(), history.end(), [&name](const AppliedRevision& row) {
    return row.is_repeatable() && row.name == name;
  });
}

// What it made stays in the schema: nobody knows how to take that back.
void forget_vanished(Plan& plan, const RevisionFolder& folder, History& history) {
  const History before = history;
  std::vector<RowChange> changes;
  std::erase_if(history, [&](const AppliedRevision& row) {
    const bool vanished = row.is_repeatable() && folder.find_repeatable(row.name) == nullptr;
    if (vanished) {
      changes.push_back(removal_of(row));
    }
    return vanished;
  });
  if (changes.empty()) {
    return;
  }
  rechain(history);
  for (RowChange& change : differences(before, history)) {
    changes.push_back(std::move(change));
  }
  Step step = record_step(before, history, folder.scope());
  step.changes = std::move(changes);
  plan.steps.push_back(std::move(step));
}

// The rows behind it keep their places; their digests follow.
void record(History& history, const Revision& repeatable) {
  const AppliedRevision row = repeatable_row(repeatable);
  const auto at =
      std::find_if(history.begin(), history.end(),
                   [&row](const AppliedRevision& other) { return other.position >= row.position; });
  if (at != history.end() && at->position == row.position) {
    *at = row;
  } else {
    history.insert(at, row);
  }
  rechain(history);
}

void add_repeatable(Plan& plan, const Revision& repeatable, History& history, Scope scope) {
  const auto recorded = find_row(history, repeatable.slug);
  const bool is_recorded = recorded != history.end();
  if (is_recorded && recorded->checksum == repeatable.checksum) {
    return;
  }
  check_runnable(repeatable, repeatable.up);
  Step step = step_from(history, Step::Kind::upgrade);
  step.revision = &repeatable;
  step.applies_again = is_recorded;
  const History before = history;
  record(history, repeatable);
  step.row = *find_row(history, repeatable.slug);
  step.changes = differences(before, history);
  std::erase_if(step.changes,
                [&step](const RowChange& change) { return change.position == step.row.position; });
  step.mark = Mark::of(scope, history);
  plan.steps.push_back(std::move(step));
}

}  // namespace

void add_repeatables(Plan& plan, const RevisionFolder& folder, History& history) {
  forget_vanished(plan, folder, history);
  for (const Revision& repeatable : folder.repeatables()) {
    add_repeatable(plan, repeatable, history, folder.scope());
  }
}

void forget_repeatables(Plan& plan, const History& before) {
  const History repeatables = repeatables_of(before);
  if (repeatables.empty() || plan.empty()) {
    return;
  }
  if (!plan.steps.front().in_transaction()) {
    plan.steps.insert(plan.steps.begin(),
                      record_step(before, revisions_of(before), plan.from.scope));
  }
  Step& first = plan.steps.front();
  first.expected_repeatables = repeatables_digest(before);
  for (const AppliedRevision& row : repeatables) {
    first.changes.push_back(removal_of(row));
  }
}

std::size_t Step::forgotten_repeatables() const {
  return static_cast<std::size_t>(
      std::count_if(changes.begin(), changes.end(), [](const RowChange& change) {
        return change.kind == RowChange::Kind::remove && change.position >= first_repeatable;
      }));
}

bool Step::is_about_repeatables() const {
  if (revision != nullptr) {
    return revision->is_repeatable();
  }
  return !changes.empty() &&
         std::all_of(changes.begin(), changes.end(),
                     [](const RowChange& change) { return change.position >= first_repeatable; });
}

}  // namespace tenantctl
