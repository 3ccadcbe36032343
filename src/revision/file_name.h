#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "revision/revision.h"

namespace tenantctl {

/// What a revision's file is called: `0012_backfill_total.sql`.
struct FileName {
  RevisionNumber number = 0;
  std::string digits;
  std::string slug;

  /// Nothing if `name` (without a folder) is not a revision's: up to 18 digits, an underscore, a
  /// slug of ASCII letters, digits, `_`, `-` and `.`, and `.sql`.
  static std::optional<FileName> parse(std::string_view name);
};

/// The name of a repeatable from its file's: `invoice_totals` of `invoice_totals.sql`, a slug as a
/// revision's. Nothing if the file's name (without a folder) is not a repeatable's.
std::optional<std::string> repeatable_name(std::string_view file_name);

/// What stands for a repeatable where revisions have their number: below 0, and made of the name
/// alone, so that it is the same in every schema, whatever else was recorded there before.
RevisionNumber repeatable_number(std::string_view name);

/// A name that nobody can have meant as a revision: hidden, or neither starting with a digit nor
/// ending in .sql. Anything else that does not parse is worth a finding.
bool is_unrelated(std::string_view name);

}  // namespace tenantctl
