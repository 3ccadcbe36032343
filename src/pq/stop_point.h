#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenantctl::pq {

class Connection;

/// Named places of a run at which tests/faults interrupts it. Only a build with TENANTCTL_FAULTS
/// stops anywhere; in every other one the functions below are empty and no name is in the program.
///
/// `after_` points lie inside a segment: the message was handed to the server, which has worked it
/// off, and nothing behind it has been sent. So the server is where the name says, although a
/// segment's answers are read all together. `outside_` points lie outside a transaction.
enum class StopPoint : std::uint8_t {
  connected,     ///< a worker's connection stands, nothing was sent
  set_up,        ///< the session's settings were answered
  planned,       ///< fleet read, plan made, nothing written
  ledger_begun,  ///< the run stands in the ledger
  ledger_due,    ///< every schema is over, the ledger does not know
  ledger_ended,
  segment_due,  ///< a segment is about to be sent
  after_begin,
  after_install,  ///< CREATE SCHEMA, CREATE TABLE of the version table
  after_entry,    ///< the schema's lock is taken
  after_settings,
  after_place,  ///< the rows were found where the plan expects them
  after_guard,  ///< guard row in: before the first statement
  after_statement,
  after_reset,
  after_close,
  after_row,
  after_mark,
  after_commit,      ///< COMMIT was worked off, the segment's Sync not sent
  after_unlock,      ///< the lock that a segment kept is free
  segment_sent,      ///< all of it worked off, nothing of the answer read
  segment_answered,  ///< answers read, not acted on
  outside_lock,
  outside_step,     ///< any other message of ours there
  outside_row,      ///< the row says running, not committed
  outside_running,  ///< committed
  outside_inspection,
  outside_statement,  ///< handed to the server, which may still be at it
  outside_answered,
  outside_progress,  ///< the statement is recorded as confirmed
  outside_applied,   ///< the row says applied, committed
  outside_release,
  move_begun,       ///< of a tenant: its row is written, nothing was made
  move_closed,      ///< the gate refuses the tenant
  move_copied,      ///< both transactions have done all, none is committed
  move_half,        ///< the other database's is committed, the registry's is not
  move_committed,   ///< the tenant lives in the target
  move_confirming,  ///< the source is about to go
  move_undoing,     ///< the tenant lives in the source again, the target is about to go
  move_emptied      ///< what was to go is gone, the move's row is not
};

/// What a negative control switches off: without it the fault matrix must find violations.
enum class Protection : std::uint8_t {
  lock,         ///< the schema's lock is never taken
  guard,        ///< no guard row, no close; and no look at first tokens
  first_token,  ///< COMMIT in a revision is sent: what is left is the guard
  order,        ///< the version row follows in a transaction of its own
  fresh_read,   ///< the rows are not compared with the plan under the lock
  slow_lane     ///< a schema that met a lock is tried again before any other, on any connection
};

#ifdef TENANTCTL_FAULTS

/// TENANTCTL_FAULT=point:schema:hit:door stops the run when it comes by the point for that schema
/// (empty: any) for the hit-th time; point `*` counts every point. The program connects to the Unix
/// socket `door`, writes `point schema pid`, and obeys the line that it reads: `kill` (SIGKILL for
/// itself), `term` (SIGTERM), `cut` (shutdown of the connection's socket), `until POINT` (goes on
/// and stops there next), anything else goes on.
void stop_point(StopPoint point, std::string_view schema, const Connection* connection);

/// The points behind each message of the flight that is sent next.
void announce_points(std::string schema, std::vector<StopPoint> behind);
void stop_before_flight(const Connection& connection);
void stop_behind_message(std::size_t message, const Connection& connection);
void stop_behind_flight(const Connection& connection);

/// TENANTCTL_BREAK names one.
bool is_off(Protection protection);

#else

inline void stop_point(StopPoint /*point*/, std::string_view /*schema*/,
                       const Connection* /*connection*/) {}
inline void stop_before_flight(const Connection& /*connection*/) {}
inline void stop_behind_message(std::size_t /*message*/, const Connection& /*connection*/) {}
inline void stop_behind_flight(const Connection& /*connection*/) {}
constexpr bool is_off(Protection /*protection*/) { return false; }

#endif

}  // namespace tenantctl::pq
