#pragma once

#include "sql/phrase.h"

namespace tenantctl::sql {

/// ALTER TABLE ... ADD [COLUMN] ... DEFAULT, by its tokens. Words that look like it and are not:
/// DEFAULT in parentheses, BY DEFAULT AS IDENTITY, ON DELETE SET DEFAULT, ALTER COLUMN SET DEFAULT.
bool adds_default(const Phrase& phrase);

}  // namespace tenantctl::sql
