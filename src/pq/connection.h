#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pq/server_error.h"

struct pg_conn;

namespace tenantctl::pq {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

/// How to reach the server. `url` is whatever libpq takes (URI, keywords, or empty for PG*
/// variables, service file and .pgpass). Nothing of it is ever printed.
struct ConnectOptions {
  std::string url;
  std::string application_name = "tenantctl";
  std::chrono::milliseconds timeout{10'000};
  std::string database = {};  ///< instead of the one that `url` and the environment name
  std::string role = {};      ///< as which its transactions act; empty: as who logs in
};

/// One session with a server: owns the socket. Non-blocking throughout; every wait has a deadline.
/// Move-only; one thread at a time. Statements travel through a Pipeline.
class Connection {
 public:
  /// Begins to connect and returns at once; advance() goes on. Throws ConnectFailed if the
  /// connection string is unusable (without quoting it: it may hold a password).
  static Connection start(const ConnectOptions& options);

  /// start() and wait until ready. Throws ConnectFailed, also when the time is over.
  static Connection open(const ConnectOptions& options);

  enum class Progress { reading, writing, ready };
  /// One step of connecting, to be called when the socket is ready for what the last step asked
  /// for. Throws ConnectFailed.
  Progress advance();

  int socket() const;
  int backend_pid() const;     ///< as the startup said; a pooler's invention behind a pooler
  int server_version() const;  ///< 150018 for 15.18
  std::string parameter(const std::string& name) const;  ///< ParameterStatus, empty if unknown
  std::string host() const;
  std::string database() const;
  std::string user() const;
  /// As which our transactions on it are to act, whoever logged in: ConnectOptions. Nothing is
  /// sent because of it; whoever begins a transaction says it (transaction.h).
  const std::string& role() const { return role_; }
  bool is_local() const;  ///< Unix socket or loopback
  bool is_encrypted() const;

  /// What another program of libpq's needs to reach the same server as the same role, as PG*
  /// variables: so that no password stands on a command line.
  std::vector<std::pair<std::string, std::string>> environment() const;

  pg_conn* handle() const { return connection_.get(); }

 private:
  struct Closer {
    void operator()(pg_conn* connection) const;
  };
  Connection(pg_conn* connection, std::string role)
      : connection_(connection), role_(std::move(role)) {}

  std::unique_ptr<pg_conn, Closer> connection_;
  std::string role_;
};

/// Waits until `socket` is readable (or writable, if `write`) or the deadline is over: false then.
/// A signal ends the wait early with true.
bool wait_for(int socket, bool write, Deadline deadline);

}  // namespace tenantctl::pq
