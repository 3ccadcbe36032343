#pragma once

#include <chrono>
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
}  // namespace refusal

/// How our transactions run; the same for every schema of a run.
struct TableOptions {
  std::string name = "tenantctl_version";
  std::vector<std::string> owners;  ///< besides the current role
  std::string run_id;
  std::string tool_version;
};

/// All SQL about one schema's version table, as messages to send. Owns no connection. Every name is
/// qualified; values that a DO block needs stand in it as literals, because DO takes no parameters.
class VersionTable {
 public:
  /// First key of the advisory lock; the second is the schema's oid, which follows a rename and
  /// cannot collide. Transaction and session form exclude each other.
  static constexpr int lock_class = 1952670769;

  VersionTable(SchemaName schema, TableOptions options);

  const SchemaName& schema() const { return schema_; }

  pq::Message create_schema() const;
  pq::Message create_table() const;

  /// What the schema must look like for a transaction to go on.
  struct Expected {
    bool installs = false;       ///< the table is not there yet
    std::string digest = {};     ///< newest row's; empty: no row
    RevisionNumber running = 0;  ///< the one row that may be half-way...
    std::string progress = {};   ///< ...and how far it has come; empty: wherever
  };
  /// Takes the schema's lock until the end of the transaction, then checks: gone, busy, foreign,
  /// moved. Lock and check are separate statements, so that the check sees what the last holder
  /// committed (READ COMMITTED).
  pq::Message fence(const Expected& expected) const;

  /// The lock alone, for reading under it (transaction) and for work outside a transaction
  /// (session; released by unlock or the end of the session).
  pq::Message lock() const;
  pq::Message lock_session() const;
  static pq::Message unlock_session();

  /// The row goes in before the revision's SQL, with a guard: any COMMIT before close() fails
  /// with 23503, because guard 0 references no position.
  pq::Message insert_guarded(const AppliedRevision& row, const std::string& origin) const;
  pq::Message guard(const AppliedRevision& row) const;  ///< the same, for a row that is there
  /// Around SET CONSTRAINTS ALL, which would check the guard: lifted before, set again after.
  pq::Message lift_guard(const AppliedRevision& row) const;
  std::vector<pq::Message> set_guard(const AppliedRevision& row) const;
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

 private:
  std::string ownership_check(bool with_table) const;
  std::string place_check(const Expected& expected) const;
  static std::string block(const std::string& declarations, const std::string& body);
  std::string lock_statement(std::string_view function) const;
  pq::Message exactly_one(const std::string& statement) const;
  pq::Message insert(const AppliedRevision& row, const std::string& origin, bool guarded) const;

  SchemaName schema_;
  TableOptions options_;
  std::string table_;  ///< "schema"."table"
};

}  // namespace tenantctl
