#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "revision/scope.h"
#include "sql/script.h"

namespace tenantctl {

/// The leading digits of a revision's file name as a number, so that 007 and 7 are one revision.
/// At most 18 digits: PostgreSQL's bigint holds them.
using RevisionNumber = std::int64_t;

/// One direction of a revision: the SQL between its marker line and the next, BOM and CRLF
/// normalised. What is hashed and what is sent come from this one buffer.
struct Section {
  std::string sql;
  int first_line = 1;       ///< the file's line on which `sql` starts
  bool transaction = true;  ///< false: statement by statement, each alone (`transaction:false`)

  /// `sql` cut into statements, the outer BEGIN ... COMMIT pair dropped (`dropped_transaction`).
  sql::Script script;
  bool dropped_transaction = false;
};

/// A directive `requires shared 20261120101500`: tenants get the revision only where the shared
/// scope has that one.
struct Requirement {
  RevisionNumber number = 0;
  int line = 1;  ///< where it stands, from 1
};

/// A directive `param plan = free` of a seed: a value that its SQL reads from a setting.
struct Parameter {
  std::string name;                                  ///< [a-z][a-z0-9_]*
  std::optional<std::string> preset = std::nullopt;  ///< nothing: it must be given
  int line = 1;                                      ///< where it stands, from 1
};

/// One change in the folder, with an up and perhaps a down section: numbered and applied once, or
/// repeatable, with a name instead of a number, and applied again whenever its checksum changes; or
/// a seed, with a name as well, run once in each tenant. A value: it holds the text that was read
/// once, so a file that changes later changes nothing.
struct Revision {
  RevisionNumber number = 0;  ///< without one: repeatable_number() of its name, below 0
  std::string digits;         ///< as the file name has them, for display: `0012`
  std::string slug;           ///< `backfill_total`; of what has no number its whole name
  std::string file;           ///< path as given by the folder, for messages
  Scope scope = Scope::tenant;
  Section up;
  std::optional<Section> down;  ///< absent: irreversible
  /// `sha256:` and 64 hexadecimal digits over the up section with its options.
  std::string checksum;
  /// `-- tenantctl: lock-timeout 2s`
  std::optional<std::chrono::milliseconds> lock_timeout;
  std::vector<Requirement> requires_shared;
  /// `-- tenantctl: serial`: runs in one schema at a time.
  bool serial = false;
  std::vector<Parameter> parameters;  ///< of a seed
  bool is_seed = false;

  bool is_repeatable() const { return number < 0 && !is_seed; }
  std::string title() const { return number < 0 ? slug : digits + "_" + slug; }
};

/// The place in a revision's file of a byte of one of its sections.
Place place_of(const Revision& revision, const Section& section, std::size_t byte);

}  // namespace tenantctl
