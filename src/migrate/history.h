#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "revision/revision_folder.h"

namespace tenantctl {

/// A schema's version table says something that the folder does not allow: a revision was edited
/// or has vanished, one came late, or somebody changed rows by hand. The schema is left alone.
class HistoryError : public Error {
 public:
  using Error::Error;
};

/// How far the rows of a revision that ran outside a transaction have come.
enum class RowState { applied, running, needs_decision };

std::string_view to_text(RowState state);

/// Repeatables have rows in the same table, behind all revisions': at this position less their
/// number (which is below 0), so that a name has the same position in every schema. They have a
/// chain of their own, in the order of their positions.
inline constexpr std::int64_t first_repeatable = std::int64_t{1} << 62;

/// One row of a version table. Positions of revisions count from 1 without gaps, in the order
/// applied.
struct AppliedRevision {
  std::int64_t position = 0;
  RevisionNumber number = 0;
  std::string name;  ///< `0012_backfill_total`; of a repeatable `invoice_totals`
  std::string checksum;
  std::string digest;  ///< chained up to and with this row
  RowState state = RowState::applied;

  /// Outside a transaction: which section is under way and how many of its statements the server
  /// has confirmed, with their digest, so that resuming notices an edit.
  bool reverting = false;
  std::size_t confirmed = 0;
  std::string statement_digest;
  bool failed = false;  ///< the server refused the next statement; else it may have run unnoticed

  /// The run that ran its up section. Known only from rows that were read; empty for what was
  /// stamped or imported.
  std::string run_id = {};

  bool is_repeatable() const { return position >= first_repeatable; }
};

/// The rows of one schema by position: the applied revisions, then the repeatables. Schemas with
/// the same newest digest have the same revisions.
using History = std::vector<AppliedRevision>;

/// The rows of the one and of the other kind.
History revisions_of(const History& history);
History repeatables_of(const History& history);

/// Digest of the newest revision; empty at base.
std::string newest_digest(const History& history);

/// Digest of the last repeatable, which sums up all of them; empty if there are none.
std::string repeatables_digest(const History& history);

/// The row that a repeatable leaves behind; its digest follows by rechain().
AppliedRevision repeatable_row(const Revision& repeatable);

/// Digest of a history that goes on with one more revision: SHA-256 over the previous digest (empty
/// at base), the number and the checksum.
std::string next_digest(std::string_view previous, RevisionNumber number,
                        std::string_view checksum);

/// Digest over the first `count` statements of a section as they are written in the file.
std::string statements_digest(const Section& section, std::size_t count);

/// Sets every row's position and digest from its number and checksum, in order; a repeatable's
/// number from its name.
void rechain(History& history);

/// Throws HistoryError if positions or digests do not follow from the rows: edited by hand.
void check_chain(const History& history);

/// What the folder's first `count` revisions leave behind when applied in order, without
/// repeatables.
History history_of(const RevisionFolder& folder, std::size_t count);

}  // namespace tenantctl
