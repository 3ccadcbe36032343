#pragma once

#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pq/pipeline.h"

namespace tenantctl {

/// The roles as which tenants' sessions work: one of each tenant's own, without login, named by
/// rule and told to be ours by its comment, or one that is there already, for many.
///
/// What a role gets is USAGE on the schema, reading and writing of its tables and sequences, and by
/// default privileges the same of what the current role will make there; of the version table
/// nothing. Roles of tenants' own are members of one group, which holds what they need of the gate:
/// ten thousand entries in the functions' access lists would be read at each call.
///
/// Every function throws UsageError for a role that is somebody else's, is missing or may not be
/// made; ServerError, ConnectionLost.
class RuntimeRoles {
 public:
  /// `database`: whose registry the tenants are in; empty: the one that is connected to.
  RuntimeRoles(pq::Pipeline& pipeline, std::string version_table,
               std::chrono::milliseconds patience, std::string database = {});

  /// `rt_DATABASE_SCHEMA`; one that would be longer than 63 bytes is cut and ends in a part of its
  /// digest.
  static std::string name_of(std::string_view database, std::string_view schema);
  std::string database();

  /// Throws UsageError unless that role is there, no superuser and no tenant's own.
  void check_given(const std::string& role);
  /// Throws UsageError if one of these roles is there and not ours.
  void check_free(const std::vector<std::string>& roles);

  /// Makes the schema's own role if it is not there, and grants it what it needs, `members` the
  /// role: all of it, in one transaction, or nothing. May be given again.
  void make(const std::string& role, const std::string& schema,
            const std::vector<std::string>& members);
  /// Grants a given role what it needs of the schema.
  void grant(const std::string& role, const std::string& schema);
  /// The same two for a tenant whose own database is connected to. The role, or who may become it,
  /// may connect; the gate inside is for everybody who may.
  void make_inside(const std::string& role, const std::string& schema,
                   const std::vector<std::string>& members);
  void grant_inside(const std::string& role, const std::string& schema);
  /// Removes the role of a tenant that is gone, if it is one of ours. False if it is not, or not
  /// there. Throws UsageError if something else still depends on it.
  bool drop(const std::string& role);
  /// The same as part of the transaction in which the tenant goes; a role on which something else
  /// depends, or that may not be dropped, is left, as is_ours() then tells.
  pq::Message drop_along(const std::string& role);
  /// There, and made by us as a tenant's own.
  bool is_ours(const std::string& role);

  /// Of some roles: those that are ours, see no more than they should and which exactly `members`
  /// may become; and those that are not there.
  struct Found {
    std::set<std::string> fitting = {};
    std::set<std::string> absent = {};
  };
  Found find(const std::vector<std::string>& roles, const std::vector<std::string>& members);

 private:
  pq::Deadline deadline() const { return pq::Clock::now() + patience_; }
  std::string purpose();
  static pq::Message let_connect(const std::string& role);
  void add_grants(std::vector<pq::Message>& messages, const std::string& role,
                  const std::string& schema) const;
  void run(std::vector<pq::Message> messages);

  pq::Pipeline& pipeline_;
  std::string version_table_;
  std::chrono::milliseconds patience_;
  std::string database_;
};

}  // namespace tenantctl
