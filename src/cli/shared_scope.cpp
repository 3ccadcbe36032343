#include "cli/shared_scope.h"

namespace tenantctl::cli {

void SharedScope::expect(const FleetPlan& plan) {
  for (const FleetPlan::Group& group : plan.groups) {
    for (const Step& step : group.work.plan.steps) {
      if (step.kind == Step::Kind::upgrade)
        planned_.insert(step.row.number);
    }
  }
}

void SharedScope::know(const std::vector<Standing>& elsewhere) {
  for (const Standing& standing : elsewhere) {
    for (const AppliedRevision& row : standing.history) {
      if (row.state == RowState::applied)
        elsewhere_.insert(row.number);
    }
  }
}

bool SharedScope::has(RevisionNumber number) {
  return elsewhere_.contains(number) || has_here(number);
}

bool SharedScope::has_here(RevisionNumber number) {
  if (planned_.contains(number))
    return true;
  if (!applied_)
    applied_ = read();
  return applied_->contains(number);
}

std::set<RevisionNumber> SharedScope::read() const {
  std::set<RevisionNumber> numbers;
  const Fleet fleet = session_.schemas({context_.settings.shared_schema});
  for (const Standing& standing : session_.standings(fleet, {0}, folder_)) {
    for (const AppliedRevision& row : standing.history) {
      if (row.state == RowState::applied)
        numbers.insert(row.number);
    }
  }
  return numbers;
}

}  // namespace tenantctl::cli
