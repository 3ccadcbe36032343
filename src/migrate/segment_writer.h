#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "migrate/options.h"
#include "migrate/plan.h"
#include "migrate/segment.h"
#include "migrate/version_table.h"
#include "sql/script.h"

namespace tenantctl {

/// What a direct session needs before its first segment, and again after each DISCARD ALL: a safe
/// search_path, and the statements that every transaction begins with, prepared. A flight.
std::vector<pq::Message> session_setup(const MigrateOptions& options);

/// What a transaction of a schema's that is no step of a plan begins with: our settings, LOCAL, and
/// the schema's lock, or a refusal where it is not to be had or no version table of ours stands.
pq::Message fence(const VersionTable& table, const MigrateOptions& options);
/// The same settings with the path that the user's SQL runs under.
pq::Message sql_settings(const MigrateOptions& options, std::chrono::milliseconds lock_timeout,
                         const std::string& search_path);
std::string search_path_of(const SchemaName& schema, Scope scope, const MigrateOptions& options);
/// What :"schema", :'tenant' and --var stand for in a schema.
sql::Variables variables_of(const SchemaName& schema, const MigrateOptions& options);

/// SET or RESET: outside a transaction it holds for the statements behind it.
bool sets_session(const sql::Script& script, const sql::Statement& statement);

/// Writes the segments of one schema's plan: what is sent, message by message, and what each
/// message is for. Holds no state of the way; the plan and the options must outlive it.
class SegmentWriter {
 public:
  SegmentWriter(const SchemaName& schema, const Plan& plan, const MigrateOptions& options);

  /// The steps from `first` on that run in transactions, as many as one segment takes. Several on
  /// a direct session keep the schema's lock from the first to the last, so that only the first
  /// needs the fence.
  Segment transactions(std::size_t first) const;

  /// Outside a transaction: the row says `running` before the first statement; then the session's
  /// own settings, because SET LOCAL has no meaning there.
  Segment start(std::size_t step, const AppliedRevision& row) const;
  Segment statement(std::size_t step, std::size_t statement) const;
  Segment finish(std::size_t step) const;
  /// One message of ours, in a transaction of its own.
  Segment record(std::size_t step, pq::Message message) const;
  /// One message of ours that cannot be in a transaction.
  static Segment alone(std::size_t step, Part part, pq::Message message);

  const VersionTable& table() const { return table_; }
  /// What :"schema", :'tenant' and --var stand for in this schema.
  const sql::Variables& variables() const { return variables_; }
  std::string rendered(const Step& step, std::size_t statement) const;

 private:
  enum class Entry {
    unprepared,  ///< takes the lock for its transaction; nothing is taken from the session
    alone,       ///< the same, by the prepared statement
    first,       ///< takes the lock for the steps behind it too
    behind       ///< the session has the lock already, and has checked
  };
  std::size_t last_of(std::size_t first) const;
  bool keeps_session(std::size_t first, std::size_t last) const;
  void add_step(Segment& segment, std::size_t index, Entry entry) const;
  void add_entry(Segment& segment, std::size_t index, Entry entry) const;
  pq::Message entry_message(std::size_t index, Entry entry) const;
  pq::Message behind_message(std::size_t index) const;
  pq::Message record_settings(std::size_t step) const;
  VersionTable::Expected expected(std::size_t index) const;
  pq::Message first_row(const Step& step) const;
  void add_sql(Segment& segment, std::size_t index) const;
  void add_undo(Segment& segment, std::size_t index) const;
  void add_reset(Segment& segment, std::size_t index) const;
  bool is_guarded(const Step& step) const;
  /// Its text may change the version table, not only its own row's guard.
  bool reaches_table(const Step& step) const;
  pq::Message take_own_role() const;
  static pq::Message give_role_back();
  void add_bookkeeping(Segment& segment, std::size_t index) const;
  std::chrono::milliseconds lock_timeout(std::size_t index) const;
  void add_end(Segment& segment, std::size_t index, const Mark& mark) const;
  std::string search_path() const;

  const Plan& plan_;
  const MigrateOptions& options_;
  VersionTable table_;
  sql::Variables variables_;
};

}  // namespace tenantctl
