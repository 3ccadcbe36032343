#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/mark.h"
#include "migrate/plan.h"
#include "pq/message.h"
#include "tenant/schema_name.h"

namespace tenantctl {

/// SQLSTATEs that our own blocks raise (class TC is nobody else's). The client cannot decide
/// between messages that are sent already, so the server does.
namespace refusal {
inline constexpr std::string_view gone = "TC001";     ///< no such schema
inline constexpr std::string_view busy = "TC002";     ///< another session holds the schema's lock
inline constexpr std::string_view moved = "TC003";    ///< not where the plan says
inline constexpr std::string_view foreign = "TC004";  ///< the version table is not ours to write
inline constexpr std::string_view escaped = "TC005";  ///< the revision's text ended its transaction
inline constexpr std::string_view tampered = "TC006";  ///< the revision's text changed our rows
inline constexpr std::string_view named = "TC007";     ///< stored texts say the name of a schema
}  // namespace refusal

/// How our transactions run; the same for every schema of a run.
struct TableOptions {
  std::string name = "tenantctl_version";
  std::vector<std::string> owners;  ///< besides the current role
  /// Roles that see where schemas stand: those that are there may read a table that is made.
  std::vector<std::string> readers = {};
  std::string run_id;
  std::string tool_version;
};

/// An error of our own: its code and words if the server raised one for us. Plain SQL has no RAISE,
/// and a DO block is compiled anew each time it is sent (1.3 ms of 2.7 for a small revision:
/// measured); so our checks fail by a cast of their message to a number (22P02), read back here.
struct OwnRefusal {
  std::string_view code;  ///< one of refusal::; views the error
  std::string_view message;
};
std::optional<OwnRefusal> own_refusal(const pq::ServerFields& error);

/// All SQL about one schema's version table, as messages to send. Owns no connection. Every name is
/// qualified.
class VersionTable {
 public:
  /// First key of the advisory lock; the second is the schema's oid, which follows a rename and
  /// cannot collide. Transaction and session form exclude each other.
  static constexpr int lock_class = 1952670769;

  VersionTable(SchemaName schema, TableOptions options);

  const SchemaName& schema() const { return schema_; }

  pq::Message create_schema() const;
  pq::Message create_table() const;
  pq::Message keep_to_owner() const;  ///< what default privileges opened of a table that was made
  pq::Message let_read() const;       ///< the readers of a table that was made

  enum class Hold {
    transaction,  ///< the lock goes with the transaction
    session       ///< with unlock_all(), DISCARD ALL, or the session
  };
  /// The first half of the fence, as SQL text to go on with after SELECT: one value and its FROM.
  /// Takes the schema's lock without waiting, then checks: gone, busy, foreign, and that the
  /// version table is there, or is not. Parameters, from number `first` on: schema (name), table
  /// (name), whether the table is yet to be made (bool), whether the session holds the lock (bool).
  static std::string entry_condition(const std::vector<std::string>& owners, int first);
  /// Values of those parameters.
  std::vector<std::optional<std::string>> entry_values(bool installs, Hold hold) const;

  /// Where the schema must stand for a transaction to go on.
  struct Expected {
    std::string digest = {};       ///< newest row's; empty: no row
    RevisionNumber running = 0;    ///< the one row that may be half-way...
    std::string progress = {};     ///< ...and how far it has come; empty: wherever
    std::string run_id = {};       ///< that wrote the newest row; empty: whichever
    std::string repeatables = {};  ///< their digest; empty: none may be recorded
  };
  /// The second half, in a statement of its own, so that it sees what the last holder of the lock
  /// committed (READ COMMITTED): moved, unless the rows are the expected ones.
  pq::Message place(const Expected& expected) const;
  /// The same, and sets the search_path for the revision's SQL, for this transaction.
  pq::Message place(const Expected& expected, const std::string& search_path) const;

  /// The lock alone, for reading under it (transaction) and for work outside a transaction
  /// (session; released by unlock or the end of the session).
  pq::Message lock() const;
  pq::Message lock_session() const;
  static pq::Message unlock_all();  ///< every advisory lock of the session
  static pq::Message discard();     ///< and everything else of it

  /// Behind definitions, which cannot commit: the finished row.
  pq::Message insert_finished(const AppliedRevision& row, const std::string& origin) const;
  pq::Message remove_finished(const AppliedRevision& row) const;

  /// The row goes in before the revision's SQL, with a guard: any COMMIT before close() fails
  /// with 23503, because guard 0 references no position.
  pq::Message insert_guarded(const AppliedRevision& row, const std::string& origin) const;
  pq::Message guard(const AppliedRevision& row) const;  ///< the same, for a row that is there
  /// The same, for the row of a repeatable that is applied again: it becomes this run's.
  pq::Message guard_again(const AppliedRevision& row) const;
  /// Around SET CONSTRAINTS ALL, which would check the guard: lifted before, set again after.
  pq::Message lift_guard(const AppliedRevision& row) const;
  std::vector<pq::Message> set_guard(const AppliedRevision& row) const;
  /// Before the guard is lifted, where the revision's text may have reached the table: it must
  /// still be ours alone, with `revisions` rows of revisions, none but `row` written in this
  /// transaction.
  pq::Message untouched(const AppliedRevision& row, std::size_t revisions) const;
  /// Lifts the guard for good; raises unless exactly this transaction's row is there.
  pq::Message close(const AppliedRevision& row) const;
  pq::Message close_and_remove(const AppliedRevision& row) const;

  /// Rows of revisions outside a transaction.
  /// As the column `statement` holds it: `up:2`, `down:1`.
  static std::string progress_text(const AppliedRevision& row);
  pq::Message insert_running(const AppliedRevision& row) const;
  pq::Message start_running(const AppliedRevision& row) const;
  pq::Message progress(const AppliedRevision& row) const;
  pq::Message failed_at(const AppliedRevision& row, const pq::ServerFields& error) const;
  pq::Message finish_running(const AppliedRevision& row) const;
  pq::Message remove(const AppliedRevision& row) const;

  pq::Message change(const RowChange& change, const std::string& origin) const;
  pq::Message mark(const Mark& mark) const;

  /// All rows in order; they arrive in `history`, which must live until the answer is there.
  pq::Message read(History& history) const;
  /// The table's comment as it is now; nothing arrives if there is no such table.
  pq::Message read_comment(std::optional<std::string>& comment) const;

 private:
  static std::string place_condition(const Expected& expected);
  pq::Message lock_with(std::string_view function) const;
  static pq::Message exactly_one(const std::string& change);
  enum class Guard { none, set };
  pq::Message insert(const AppliedRevision& row, const std::string& origin, Guard guard,
                     std::string_view duration = "NULL") const;

  SchemaName schema_;
  TableOptions options_;
  std::string table_;  ///< "schema"."table"
};

}  // namespace tenantctl
