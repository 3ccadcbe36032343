#pragma once

#include <string>

#include "support/database.h"

namespace tenantctl::testing {

/// An INSERT into public.journal: one row for every time that the revision was kept.
std::string journal(int revision);
void create_journal(TestDatabase& database);
/// Rows of the journal, and rows that are there more than once.
std::string journal_counts(TestDatabase& database);

/// Asks `sql` until it says `t`; false after ten seconds.
bool becomes_true(TestDatabase& database, const std::string& sql);

}  // namespace tenantctl::testing
