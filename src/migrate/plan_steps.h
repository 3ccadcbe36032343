#pragma once

#include <vector>

#include "migrate/plan.h"

namespace tenantctl {

/// What the planners build their plans from.

/// The row that a revision leaves behind; position and digest follow by rechain().
AppliedRevision row_of(const Revision& revision);

/// A step that leads from `before`; its mark is to be set.
Step step_from(const History& before, Step::Kind kind);

/// A step that leads from `before` to `after` without running anything; its changes are to be set.
Step record_step(const History& before, const History& after, Scope scope);

/// The updates of rows that are in both: behind a removed or changed one they keep their order, and
/// position and digest follow.
std::vector<RowChange> differences(const History& before, const History& after);

/// Has what is missing made by the plan's first step, or by one of its own where the first cannot
/// carry it: outside a transaction, or none.
void add_install(Plan& plan, Missing missing);

/// Behind all revisions: forgets the repeatables that are recorded and have no file any more, then
/// applies those whose checksum is not the recorded one, by name. `history` is what stands then; it
/// is brought forward.
void add_repeatables(Plan& plan, const RevisionFolder& folder, History& history);

/// Forgets all repeatables that `before` records with the first step of a downgrade, which was
/// planned without them; with a step of its own if that one runs outside a transaction.
void forget_repeatables(Plan& plan, const History& before);

}  // namespace tenantctl
