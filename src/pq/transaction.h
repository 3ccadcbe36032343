#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl::pq {

enum class Access { read_only, read_write };

/// Runs statements of our own (discovery, reading a version table, dropping a tenant) in one
/// transaction and one round trip: BEGIN, our settings, the messages, COMMIT. Revisions do not go
/// this way; they travel as segments.
///
/// Throws ServerError for the first message that failed, with nothing kept; Error if the server
/// answers COMMIT with anything else; ConnectionLost if the outcome is unknown. Reading also
/// switches jit and parallel query off, which cost more than they give on catalogs.
void run_transaction(Pipeline& pipeline, std::vector<Message> messages, Access access,
                     Deadline deadline);

/// A transaction of our own that takes several round trips, because what is sent next depends on
/// answers. ROLLBACK on destruction unless commit() was reached; that is best effort and never
/// throws: if it cannot be sent, the server rolls back when the session ends. Nothing but this may
/// use the pipeline meanwhile.
class OpenTransaction {
 public:
  /// READ COMMITTED READ WRITE. `patience` with each answer. Throws as run() does.
  OpenTransaction(Pipeline& pipeline, std::chrono::milliseconds patience);
  ~OpenTransaction();

  OpenTransaction(const OpenTransaction&) = delete;
  OpenTransaction& operator=(const OpenTransaction&) = delete;

  Pipeline& pipeline() { return pipeline_; }

  /// One flight. Throws ServerError for the first message that failed: the transaction is over
  /// then. Throws ConnectionLost.
  void run(std::vector<Message> messages);

  /// Throws Error if the server answers with anything but COMMIT, ConnectionLost if the outcome is
  /// unknown.
  void commit();

 private:
  FlightAnswer send(std::vector<Message> messages);

  Pipeline& pipeline_;
  std::chrono::milliseconds patience_;
  bool open_ = true;
};

/// What a session of our own is given before anything else, against what the role or the database
/// sets: no limit on time may strike before a transaction has set its own, nor while the session is
/// idle, and statements outside a transaction may write. Not through a pooler: it would stay there.
/// One flight, or the beginning of one; given a backend's pid, only a session with that one. Given
/// a role, the session acts as it from then on.
std::vector<Message> session_settings(int server_version, int only_backend = 0,
                                      std::string_view role = {});

/// What the flight of a question begins with that stands in no transaction block: the server takes
/// such a flight as one transaction, and these hold for it alone. A pooler's session, and one that
/// was made anew, has the role's settings: a path with others in front of pg_catalog, an isolation
/// that waits for writers. The question is asked as `role`.
std::vector<Message> question_settings(std::string_view role = {});

/// The role of who logged in. Only as that one may sessions of the same login be looked at and
/// ended: the role that they act as is no member of it.
inline constexpr std::string_view login_role = "none";

/// One more column of a SELECT of settings, comma first, which changes the role; for the
/// transaction if `local`. Nothing for no role.
std::string and_act_as(std::string_view role, bool local);

/// Sends ROLLBACK if the last flight left a failed or open transaction.
void end_transaction(Pipeline& pipeline, const FlightAnswer& answer, Deadline deadline);

}  // namespace tenantctl::pq
