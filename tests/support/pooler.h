#pragma once

#include <string>
#include <vector>

#include "support/database.h"
#include "support/process.h"

namespace tenantctl::testing {

/// A PgBouncer in front of the tests' server, while the object lives.
class Pooler {
 public:
  enum class Mode { transaction, session };

  /// `size`: server connections for each database and user. Throws std::runtime_error if there is
  /// no pgbouncer or it does not start.
  explicit Pooler(int size = 3, Mode mode = Mode::transaction);
  ~Pooler();
  Pooler(const Pooler&) = delete;
  Pooler& operator=(const Pooler&) = delete;

  /// Of `role`, or of the tests' own.
  std::string conninfo(const TestDatabase& database, const std::string& role = {}) const;
  std::string address() const;  ///< HOST:PORT

  /// What its idle backends were left with: advisory locks, prepared statements, temporary tables
  /// and settings of a session; empty if nothing.
  std::vector<std::string> leftovers(TestDatabase& database) const;

 private:
  int size_;
  int port_;
  RunningProcess process_;
};

}  // namespace tenantctl::testing
