#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "migrate/history.h"
#include "migrate/mark.h"
#include "revision/revision_folder.h"
#include "revision/target.h"

namespace tenantctl {

/// One change of a row that runs no SQL of the user's.
struct RowChange {
  enum class Kind { insert, remove, update };
  Kind kind = Kind::update;
  std::int64_t position = 0;  ///< of the row as it is now; 0 for insert
  AppliedRevision row;        ///< as it is to be; ignored for remove
};

/// One transaction (or, outside of one, one revision) on the way of a schema.
struct Step {
  enum class Kind {
    install,    ///< only the version table (and schema)
    upgrade,    ///< run an up section and record it
    downgrade,  ///< run a down section and forget it
    record      ///< change rows without running anything: stamp, accept-checksum, mark again
  };
  Kind kind = Kind::record;
  const Revision* revision = nullptr;  ///< in the RevisionFolder that the plan was made from
  AppliedRevision row;             ///< upgrade: the row that comes; downgrade: the one that goes
  std::vector<RowChange> changes;  ///< record: all; downgrade: rows that move up
  std::string origin = "run";      ///< of inserted rows: run, stamp, import
  std::string expected;            ///< newest digest before this step; empty: no row
  std::string expected_run;        ///< run that wrote the newest row; empty: whichever
  bool resumes = false;            ///< the row is there already, in state running
  bool creates_schema = false;
  bool creates_table = false;
  Mark mark;  ///< after this step

  const Section& section() const;
  bool runs_sql() const { return kind == Kind::upgrade || kind == Kind::downgrade; }
  bool in_transaction() const { return !runs_sql() || section().transaction; }
};

/// What one group of schemas at the same place needs. A value that knows no schema; the folder it
/// was made from must outlive it.
struct Plan {
  Mark from;
  Mark to;
  std::vector<Step> steps;

  bool empty() const { return steps.empty(); }
};

/// What must be made first, for a schema that is not there or has no version table.
enum class Missing { nothing, table, schema };

/// Brings a schema forward. Throws HistoryError if applied revisions were edited, vanished or
/// overtaken (late revisions, unless allowed); UsageError for base and -N, or if
/// a revision to run holds what can never run (a COMMIT, say), with its place.
struct UpgradeOptions {
  bool allow_out_of_order = false;
  Missing missing = Missing::nothing;
};
Plan plan_upgrade(const RevisionFolder& folder, const History& history, const Target& target,
                  const UpgradeOptions& options = {});

/// Takes a schema back: the revisions above the target, the newest applied first. Throws
/// HistoryError (as above, and for a revision without a down section), UsageError.
Plan plan_downgrade(const RevisionFolder& folder, const History& history, const Target& target);

/// Takes back what one run applied, if it is still the newest there is: an empty plan if the run
/// left nothing in the schema. The history must have been read, for `run_id`. Throws HistoryError
/// as plan_downgrade(), and if the schema has moved on since.
Plan plan_undo(const RevisionFolder& folder, const History& history, const std::string& run_id);

/// Records the schema as standing at the target without running anything.
Plan plan_stamp(const RevisionFolder& folder, const History& history, const Target& target,
                Missing missing = Missing::nothing);

/// Takes the checksum that the file has today for one applied revision. An empty plan if it is the
/// same already.
Plan plan_accept(const RevisionFolder& folder, const History& history, const Revision& revision);

/// A person's word on a revision that stopped half-way outside a transaction, where the server
/// cannot tell: it stands as applied, or nothing of it stands. Throws HistoryError if the revision
/// is not the one that stopped.
Plan plan_resolve(const RevisionFolder& folder, const History& history, const Revision& revision,
                  bool applied);

/// Writes the mark again from the rows (it was lost, or somebody wrote another comment).
Plan plan_remark(const RevisionFolder& folder, const History& history);

/// A statement of the section may leave something in the session that the next schema would meet.
bool leaves_traces(const Section& section);

/// Throws UsageError with its place if a statement of the section ends
/// the transaction, streams data, or does not fit the section's transaction option.
void check_runnable(const Revision& revision, const Section& section);

}  // namespace tenantctl
