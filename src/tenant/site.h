#pragma once

#include <string>
#include <string_view>

namespace tenantctl {

/// Where one connection leads besides the database that a command is connected to: another
/// database of the same server, or one of another server. A schema there is called
/// `database/schema` by every command, report and ledger.
struct Site {
  std::string cluster;   ///< a name out of [clusters]; empty: the same server
  std::string database;  ///< empty: the one that the cluster's connection string names

  /// `database`, `cluster:database` or `cluster:`: what stands in front of the slash.
  std::string name() const { return cluster.empty() ? database : cluster + ":" + database; }
  std::string name_of(std::string_view schema) const { return name() + "/" + std::string(schema); }
  /// The schema's own name, out of what name_of() gave.
  std::string schema_of(std::string_view full) const {
    return std::string(full.substr(name().size() + 1));
  }
};

}  // namespace tenantctl
