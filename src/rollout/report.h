#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "migrate/outcome.h"

namespace tenantctl {

/// What became of one selected schema. The counts of all add up to the selection.
enum class Result : std::uint8_t {
  applied,      ///< brought to its target in this run
  unchanged,    ///< stood there already
  failed,       ///< a revision or the history is wrong; stands at its last good revision
  busy,         ///< somebody else held its lock, or a lock it needs, until patience ended
  missing,      ///< the tenants query names it, but there is no such schema
  unmarked,     ///< a schema without a version table
  foreign,      ///< somebody else's hand in the version table: not touched
  gone,         ///< dropped while the run went on; not a failure
  in_doubt,     ///< the connection was lost at COMMIT and could not be settled by reading
  interrupted,  ///< cancelled by a signal; nothing half-done is kept
  not_started,
  unavailable  ///< the database it lives in cannot be reached
};
inline constexpr std::size_t result_count = 12;

std::string_view to_text(Result result);

/// Needs somebody's attention: the run's exit code is not 0.
bool is_problem(Result result);

/// Who holds the lock that a schema waits for, as pg_stat_activity shows it.
struct Blocker {
  int pid = 0;
  std::string user;
  std::string application;
  std::string state;                 ///< `active`, `idle in transaction`
  std::chrono::milliseconds age{0};  ///< of its transaction
  std::string query;                 ///< its last one, shortened

  bool operator==(const Blocker&) const = default;
};

struct SchemaReport {
  std::string schema;
  Result result = Result::not_started;
  RevisionNumber from = 0;        ///< where it stood when the run began; 0: base
  RevisionNumber revision = 0;    ///< where it stands, as far as known; 0: base
  std::uint32_t steps = 0;        ///< revisions and repeatables that went through in this run
  std::uint32_t repeatables = 0;  ///< of these, repeatables
  std::uint32_t tries = 0;
  std::chrono::milliseconds duration{0};
  std::unique_ptr<Failure> failure;
  std::unique_ptr<Blocker> blocker;  ///< the last that was seen in its way
};

/// A run over many schemas, as it ended. In the order in which schemas ended.
struct Report {
  std::vector<SchemaReport> schemas;
  std::chrono::milliseconds duration{0};
  bool interrupted = false;
  std::string stopped_by;    ///< why no further schema was started, if something stopped the run
  std::size_t appeared = 0;  ///< the last of `schemas`: they came while the run went on

  std::array<std::size_t, result_count> counts() const;
  std::size_t count(Result result) const { return counts()[static_cast<std::size_t>(result)]; }
  bool has_problem() const;
  /// Takes over what became of schemas that appeared while the run went on.
  void add_appeared(Report later);
};

/// Equal for schemas that failed for the same reason: same result, SQLSTATE, revision, file and
/// line.
std::string cause_key(const SchemaReport& report);

/// Schemas that failed for the same reason.
struct Cause {
  const SchemaReport* example = nullptr;     ///< the first
  std::vector<const SchemaReport*> members;  ///< by name

  std::vector<std::string_view> schemas() const;
};

/// The report's problems by cause, most schemas first. Views the report.
std::vector<Cause> causes_of(const Report& report);

}  // namespace tenantctl
