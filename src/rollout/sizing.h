#pragma once

#include <cstddef>
#include <string>

#include "migrate/plan.h"
#include "pq/pipeline.h"

namespace tenantctl {

/// What a server has room for, as its settings and its sessions say.
struct ServerRoom {
  std::size_t max_connections = 0;  ///< those of ordinary roles: reserved ones are taken off
  std::size_t connections = 0;      ///< of clients, our own control connection included
  std::size_t lock_slots = 0;       ///< of the shared lock table, for all sessions together
  std::size_t locks = 0;            ///< of these taken, by whomever

  std::size_t free_connections() const {
    return connections < max_connections ? max_connections - connections : 0;
  }
  std::size_t free_locks() const { return locks < lock_slots ? lock_slots - locks : 0; }
};

/// Throws ServerError, ConnectionLost.
ServerRoom read_room(pq::Pipeline& pipeline, pq::Deadline deadline);

/// How many connections to work with when nobody says: two for each core where the server shares
/// this machine, else four (measured with scripts/bench: more than twice the cores gain nothing);
/// at most half of what is free, and at least one.
std::size_t choose_jobs(const ServerRoom& room, bool is_local, std::size_t cores);

/// How many connections fit into the lock table when a schema takes so many locks: together at most
/// half of what is free, because a full table fails other sessions' statements and even refuses new
/// connections; at least one.
std::size_t jobs_for_locks(const ServerRoom& room, std::size_t locks_of_schema);

/// That fewer connections work than were meant to, with the arithmetic.
std::string locks_text(const ServerRoom& room, std::size_t locks_of_schema, std::size_t jobs);

/// The largest transaction of the plan might take so many locks that `jobs` of them come near to
/// half of what is free: then the first schema goes alone and is counted. A guess from the number
/// of statements, on the careful side.
bool may_fill_locks(const ServerRoom& room, const Plan& plan, std::size_t jobs);

/// Throws UsageError with the arithmetic if so many connections cannot be had.
void check_jobs(const ServerRoom& room, std::size_t jobs);

}  // namespace tenantctl
