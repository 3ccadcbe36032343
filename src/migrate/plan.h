#pragma once

#include <cstddef>
#include <functional>
#include <set>
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
    upgrade,    ///< run an up section, or a repeatable, and record it
    downgrade,  ///< run a down section and forget it
    record      ///< change rows without running anything: stamp, accept-checksum, mark again
  };
  Kind kind = Kind::record;
  const Revision* revision = nullptr;  ///< in the RevisionFolder that the plan was made from
  AppliedRevision row;  ///< upgrade: the row that comes; downgrade: the one that goes
  /// record: all; downgrade: rows that move up, repeatables that go; repeatable: digests behind it
  std::vector<RowChange> changes;
  std::string origin = "run";        ///< of inserted rows: run, stamp, import
  std::string expected;              ///< newest digest before this step; empty: no row
  std::string expected_run;          ///< run that wrote the newest revision's row; empty: whichever
  std::string expected_repeatables;  ///< digest of the repeatables before this step; empty: none
  bool resumes = false;              ///< the row is there already, in state running
  bool applies_again = false;        ///< a repeatable whose row is there already
  /// Builds what it says to build CONCURRENTLY without that word, in a transaction: nobody uses the
  /// schema yet.
  bool plainly = false;
  bool creates_schema = false;
  bool creates_table = false;
  Mark mark;  ///< after this step

  const Section& section() const;
  bool runs_sql() const { return kind == Kind::upgrade || kind == Kind::downgrade; }
  bool in_transaction() const { return !runs_sql() || plainly || section().transaction; }
  /// How many repeatables' rows go with it.
  std::size_t forgotten_repeatables() const;
  /// It runs a repeatable, or does nothing but forget some.
  bool is_about_repeatables() const;
};

/// What one group of schemas at the same place needs. A value that knows no schema; the folder it
/// was made from must outlive it.
struct Plan {
  Mark from;
  Mark to;
  std::vector<Step> steps;

  bool empty() const { return steps.empty(); }
  /// One of its revisions says `serial`: no other schema may run such a plan at the same time.
  bool is_serial() const;
};

/// What must be made first, for a schema that is not there or has no version table.
enum class Missing { nothing, table, schema };

/// Brings a schema forward. Where that leads to the folder's head, the repeatables that are not
/// recorded with today's checksum follow behind all revisions, and those without a file are
/// forgotten (what they made stays). Throws HistoryError if applied revisions were edited, vanished
/// or overtaken (late revisions, unless allowed); UsageError for base and -N, or if a revision to
/// run holds what can never run (a COMMIT, say), with its place.
struct UpgradeOptions {
  bool allow_out_of_order = false;
  Missing missing = Missing::nothing;
};
Plan plan_upgrade(const RevisionFolder& folder, const History& history, const Target& target,
                  const UpgradeOptions& options = {});

/// Takes a schema back: the revisions above the target, the newest applied first. All repeatables
/// are forgotten with the first, so that the next upgrade applies them again. Throws HistoryError
/// (as above, and for a revision without a down section), UsageError.
Plan plan_downgrade(const RevisionFolder& folder, const History& history, const Target& target);

/// Takes back what these runs applied, if it is still the newest there is: an empty plan if they
/// left nothing in the schema. The history must have been read, for each row's `run_id`. Throws
/// HistoryError as plan_downgrade(), and if the schema has moved on since.
Plan plan_undo(const RevisionFolder& folder, const History& history,
               const std::set<std::string>& run_ids);

/// Records the schema as standing at the target without running anything; repeatables stay as they
/// are recorded.
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

/// Throws HistoryError, with its place, if the plan upgrades by a revision whose `requires shared
/// N` does not hold: `shared_has` tells whether the shared scope has revision N, and is asked only
/// then.
void check_shared(const Plan& plan, const std::function<bool(RevisionNumber)>& shared_has);

/// A statement of the section may leave something in the session that the next schema would meet,
/// by what its text says.
bool leaves_traces(const Section& section);
/// The same, or it calls functions that may.
bool may_leave_traces(const Section& section);

/// Throws UsageError with its place if a statement of the section ends
/// the transaction, streams data, or does not fit the section's transaction option.
void check_runnable(const Revision& revision, const Section& section);

}  // namespace tenantctl
