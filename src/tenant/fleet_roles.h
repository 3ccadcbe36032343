#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// As whom people and pipelines work on one database with the tool: a role that owns everything and
/// logs in to nothing, one that logs in and acts as it, and one that sees where schemas stand and
/// nothing of what is in them.
struct FleetRoleNames {
  std::string owner;
  std::string migrator;
  std::string status;
};

/// A role as the catalog shows it.
struct FleetRole {
  std::string name;
  std::string purpose;  ///< owner, migrator, status
  bool is_there = false;
  bool is_made = false;  ///< by the tool, as its comment says
  bool may_log_in = false;
  bool inherits = false;
  std::vector<std::string> powers;   ///< attributes besides: SUPERUSER, CREATEROLE, ...
  std::vector<std::string> groups;   ///< whose member it is, the owner left out
  std::vector<std::string> reaches;  ///< roles it may act as that reach beyond any right
  bool may_connect = false;
};

/// What stands in one database.
struct FleetRoleFacts {
  std::string database;
  int server_version = 0;
  FleetRole owner;
  FleetRole migrator;
  FleetRole status;
  bool migrator_acts = false;      ///< may become the owner
  bool migrator_is_owner = false;  ///< has the owner's rights without becoming it
  bool login_acts = false;         ///< who is connected may become the owner
  bool owner_creates = false;      ///< schemas, and temporary tables, in the database
  std::string schema_owner;        ///< of schema tenantctl; empty: there is none
  bool status_sees = false;        ///< what is in schema tenantctl
  bool status_will_see = false;    ///< what the owner makes there
  struct OwnTable {
    std::string schema;
    std::string name;
  };
  std::vector<OwnTable> unreadable;  ///< version tables, and those of seeds, closed to status
  /// Functions with SECURITY DEFINER in tenants' schemas that status may execute.
  std::vector<std::string> definers;
  /// Tables and views beside version tables, as a whole or a column, that status may read or
  /// change.
  std::vector<std::string> reached;
  std::size_t readable = 0;  ///< how many version tables it may read
  /// Version tables of roles besides the owner: whose, and how many.
  std::vector<std::pair<std::string, std::size_t>> strangers;
};

/// So many version tables become readable in one transaction.
inline constexpr std::size_t tables_at_a_time = 100;

/// One thing to be done, and how.
struct FleetRoleStep {
  std::string what;
  std::vector<std::string> sql;
  bool as_owner = false;  ///< else as who may make roles
};

/// All SQL about these roles. That a database has a status role stands in no table: it is who may
/// read what the owner will make in schema tenantctl, by default privileges. So the catalog tells
/// it to whoever makes a version table, and nobody but the owner can say it.
class FleetRoles {
 public:
  FleetRoles(pq::Pipeline& pipeline, std::string version_table, std::chrono::milliseconds patience)
      : pipeline_(pipeline), version_table_(std::move(version_table)), patience_(patience) {}

  /// Empty names become `DATABASE_owner`, `_migrator`, `_status`. Throws UsageError for two that
  /// are the same, or longer than a name may be.
  FleetRoleNames complete(FleetRoleNames names);

  /// Throws ServerError, ConnectionLost.
  FleetRoleFacts read(const FleetRoleNames& names);

  /// All of them in one transaction, each as whom it is for. Throws UsageError where that is not
  /// allowed, ServerError, ConnectionLost.
  void run(const std::vector<FleetRoleStep>& steps, const std::string& owner);

 private:
  pq::Deadline deadline() const { return pq::Clock::now() + patience_; }

  pq::Pipeline& pipeline_;
  std::string version_table_;
  std::chrono::milliseconds patience_;
};

/// The steps that make the roles and let them do what they are for; nothing where all is so.
/// `without_execute`: what the owner makes from now on is not for everybody to call. Throws
/// UsageError for a role that is there and may do what it must not: nothing changes such a one.
std::vector<FleetRoleStep> plan_roles(const FleetRoleFacts& facts, bool without_execute);
/// What the migrating and the status role need to get into this database.
std::vector<FleetRoleStep> plan_connecting(const FleetRoleFacts& facts);
/// A step for each so many tables that the status role may not read yet; each is a
/// transaction of its own, for the server's lock table's sake.
std::vector<FleetRoleStep> plan_reading(const FleetRoleFacts& facts);
/// What is not as it should be, a sentence each.
std::vector<std::string> find_amiss(const FleetRoleFacts& facts);

/// The status roles of this database, those that the current role has let into schema tenantctl:
/// no failure where there is no such schema.
pq::Message read_status_roles(std::vector<std::string>& roles);

/// Lets status roles, as far as they are there, read one version table: a block of SQL that does
/// not fail where they are not.
std::string grant_reading(const std::vector<std::string>& roles, const std::string& schema,
                          std::string_view version_table);

}  // namespace tenantctl
