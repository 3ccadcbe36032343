#pragma once

#include <memory>
#include <string>
#include <vector>

struct pg_conn;
struct pg_result;

namespace tenantctl::testing {

/// An empty database of a test's own, on the server that PGHOST, PGPORT and PGUSER name (see
/// scripts/with_postgres), and a connection to it, as a superuser would have. Dropped at the end,
/// whoever is still connected, together with its role.
///
/// Deliberately not the product's own code: a test must not trust what it tests.
class TestDatabase {
 public:
  /// Throws std::runtime_error if there is no server.
  TestDatabase();
  ~TestDatabase();

  TestDatabase(const TestDatabase&) = delete;
  TestDatabase& operator=(const TestDatabase&) = delete;

  const std::string& name() const { return name_; }

  /// As a URI, through the pooler that TENANTCTL_TEST_POOLER names if it is set, so that it serves
  /// as DATABASE_URL, as --database-url and for psql alike.
  std::string conninfo() const { return conninfo_as({}); }

  /// A role that may log in but owns nothing; created by the first call. Returns its name.
  const std::string& second_role();

  /// The same for another role; with the password of second_role() if it is that.
  std::string conninfo_as(const std::string& role) const;

  /// After the server was restarted. Tries for ten seconds.
  void reconnect();

  /// One or several statements; several are one transaction. All three throw std::runtime_error
  /// with the server's words if it refuses.
  void execute(const std::string& sql);

  /// The first field of the first row. Throws if there is no row. NULL reads as "".
  std::string value(const std::string& sql);

  /// All fields as text. NULL reads as "".
  std::vector<std::vector<std::string>> rows(const std::string& sql);

 private:
  struct Close {
    void operator()(pg_conn* connection) const;
    void operator()(pg_result* result) const;
  };
  using Connection = std::unique_ptr<pg_conn, Close>;
  using Result = std::unique_ptr<pg_result, Close>;

  static Connection open(const std::string& conninfo);
  static Result run(const Connection& connection, const std::string& sql);

  std::string name_;
  std::string role_;  // empty until second_role()
  Connection connection_;
};

/// The same database by way of `pooler`, as HOST:PORT.
std::string pooled_conninfo(const std::string& conninfo, const std::string& pooler);

/// The suites run through a pooler (scripts/test --pooler).
bool is_pooled();

}  // namespace tenantctl::testing
