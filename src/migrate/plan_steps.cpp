#include "migrate/plan_steps.h"

#include <algorithm>
#include <utility>

namespace tenantctl {

AppliedRevision row_of(const Revision& revision) {
  AppliedRevision row;
  row.number = revision.number;
  row.name = revision.title();
  row.checksum = revision.checksum;
  return row;
}

Step step_from(const History& before, Step::Kind kind) {
  Step step;
  step.kind = kind;
  step.expected = newest_digest(before);
  step.expected_repeatables = repeatables_digest(before);
  return step;
}

Step record_step(const History& before, const History& after, Scope scope) {
  Step step = step_from(before, Step::Kind::record);
  step.mark = Mark::of(scope, after);
  return step;
}

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

}  // namespace tenantctl
