#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// A database as the server's catalog shows it.
struct FoundDatabase {
  std::string name;
  std::string owner;
  std::string comment;
  bool takes_connections = false;
  bool is_broken = false;  ///< a DROP was interrupted: it can only be dropped again
};

/// Who a database is made for: whose it will be, and who else may connect to it.
struct DatabaseRoles {
  std::string owner;
  std::vector<std::string> guests = {};
};

/// All SQL about databases as such: how one is made, closed, and dropped. The server takes none of
/// it in a transaction, so each statement stands alone, and where one was killed the catalog says
/// how far it came.
///
/// A database is made with the door shut, PUBLIC's right to connect is taken away, and only then it
/// is opened: nobody is ever in it who was not let in.
///
/// All functions throw ServerError, ConnectionLost.
class Databases {
 public:
  /// `admin` is a session that may create databases, not through a pooler.
  Databases(pq::Pipeline& admin, DatabaseRoles roles, std::chrono::milliseconds patience)
      : admin_(admin), roles_(std::move(roles)), patience_(patience) {}

  /// Those of the names that there are, by name.
  std::vector<FoundDatabase> find(const std::vector<std::string>& names);

  /// Makes it, shut, out of `source`; an empty one means the server's own template.
  void create(const std::string& name, const std::string& source);
  /// Takes PUBLIC's rights, gives guests theirs and lets connections in. May be said again.
  void open(const std::string& name);
  /// Lets connections in again, with the rights that there are.
  void reopen(const std::string& name);
  /// The same as a part of a transaction: its owner's, in any database of the server.
  static pq::Message reopening(const std::string& name);
  /// Fails with 55006 while somebody is connected.
  void rename(const std::string& from, const std::string& to);
  /// How many sessions use it, but for our own; with `force` they are ended first, as far as we
  /// may.
  std::size_t end_sessions(const std::string& name, bool force);
  /// Lets no new connection in.
  void shut(const std::string& name);
  /// With `force` whoever is connected is thrown out; else that fails with 55006. No failure if
  /// there is none.
  void drop(const std::string& name, bool force);
  void comment(const std::string& name, const std::string& text);

  /// A session lock by which two runs do not change the same template at once; false if another
  /// session holds it. Ends with the session.
  bool try_lock(const std::string& name);

 private:
  void run(std::string sql);
  void end_own_sessions(const std::string& name);

  pq::Pipeline& admin_;
  DatabaseRoles roles_;
  std::chrono::milliseconds patience_;
};

/// Tells a server that runs from every other: its system, and when it was started.
std::string server_identity(pq::Pipeline& pipeline, pq::Deadline deadline);

/// The role that a session acts as, to whom a database that it makes belongs; its guests are who
/// logged in, if that is another, and the status roles.
DatabaseRoles read_own_roles(pq::Pipeline& pipeline, pq::Deadline deadline);

}  // namespace tenantctl
