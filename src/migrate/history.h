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

/// One row of a version table. Positions count from 1 without gaps, in the order applied.
struct AppliedRevision {
  std::int64_t position = 0;
  RevisionNumber number = 0;
  std::string name;  ///< `0012_backfill_total`
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
};

/// The applied revisions of one schema, by position. Schemas with the same newest digest have the
/// same history.
using History = std::vector<AppliedRevision>;

/// Digest of a history that goes on with one more revision: SHA-256 over the previous digest (empty
/// at base), the number and the checksum.
std::string next_digest(std::string_view previous, RevisionNumber number,
                        std::string_view checksum);

/// Digest over the first `count` statements of a section as they are written in the file.
std::string statements_digest(const Section& section, std::size_t count);

/// Sets every row's position and digest from its number and checksum, in order.
void rechain(History& history);

/// Throws HistoryError if positions or digests do not follow from the rows: edited by hand.
void check_chain(const History& history);

/// What the folder's first `count` revisions leave behind when applied in order.
History history_of(const RevisionFolder& folder, std::size_t count);

}  // namespace tenantctl
