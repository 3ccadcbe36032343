#pragma once

#include <cstddef>
#include <vector>

#include "pq/message.h"

namespace tenantctl {

/// What a message of a segment is for: by it an error is understood.
enum class Part {
  begin,
  settings,
  install,  ///< CREATE SCHEMA, CREATE TABLE of the version table
  fence,
  row,        ///< our rows: guard, progress, changes
  statement,  ///< the user's SQL
  close,
  mark,
  commit,
  lock,    ///< session lock, outside a transaction
  release  ///< lets the session's lock go, or DISCARD ALL
};

/// One schema's work that travels together, up to its Sync, with the origin of every message.
struct Segment {
  struct Origin {
    std::size_t step = 0;  ///< index into the plan's steps
    Part part = Part::begin;
    std::size_t statement = 0;  ///< of the section, for Part::statement
  };

  std::vector<pq::Message> messages;
  std::vector<Origin> origins;
  /// Must be alone on its connection: nothing before it unanswered, nothing sent behind it.
  bool alone = false;
  /// Holds the schema's lock beyond its transactions: if it fails, unlock_all() is due.
  bool holds_lock = false;
  /// Ends with DISCARD ALL, which takes prepared statements along.
  bool discards = false;

  /// Has every transaction tell, before its COMMIT, how many locks it holds in the shared lock
  /// table; the most stand in `most` when the answers have come.
  void count_locks(std::size_t& most);

  void add(pq::Message message, Origin origin) {
    messages.push_back(std::move(message));
    origins.push_back(origin);
  }
};

}  // namespace tenantctl
