#pragma once

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/project.h"

namespace tenantctl::testing {

/// A project whose tenants may have databases of their own, named after its own database; all of
/// them are dropped at the end.
class ManyDatabases : public Project {
 public:
  ManyDatabases() : prefix_(database.name() + "_") {
    tool.set_variable("TENANTCTL_DATABASE_PREFIX", prefix_);
  }

  ~ManyDatabases() {
    try {
      for (const auto& row : database.rows("SELECT datname FROM pg_database WHERE starts_with("
                                           "datname, '" +
                                           prefix_ + "')"))
        database.execute("DROP DATABASE \"" + row.at(0) + "\" WITH (FORCE)");
    } catch (const std::exception& error) {
      std::cerr << "a database was left behind: " << error.what() << '\n';
    }
  }

  ManyDatabases(const ManyDatabases&) = delete;
  ManyDatabases& operator=(const ManyDatabases&) = delete;

  std::string name_of(const std::string& tenant) const { return prefix_ + tenant; }

  /// To a database, as a role (empty: the project's own).
  std::string conninfo_to(const std::string& name, const std::string& role = {}) const {
    std::string uri = role.empty() ? database.conninfo() : database.conninfo_as(role);
    const std::string own = "@/" + database.name();
    return uri.replace(uri.find(own), own.size(), "@/" + name);
  }

 private:
  std::string prefix_;
};

/// With a registry.
class DatabaseProject : public ManyDatabases {
 public:
  DatabaseProject() { must({"registry", "init"}); }

  std::string schema_of(const std::string& tenant) const { return name_of(tenant) + "/tenant"; }

  void create(std::vector<std::string> tenants) {
    tenants.insert(tenants.begin(), {"tenant", "create", "--isolation", "database"});
    must(tenants);
  }

  std::string conninfo_of(const std::string& tenant) const { return conninfo_to(name_of(tenant)); }

  /// What psql prints in the tenant's database, or its error.
  std::string inside(const std::string& tenant, const std::string& sql) const {
    const auto run = run_process({"psql", "-XAtq", conninfo_of(tenant), "-c", sql});
    return run.exit_code == 0 ? run.out.substr(0, run.out.find_last_not_of('\n') + 1) : run.err;
  }

  std::string revision_in(const std::string& tenant) const {
    return inside(tenant,
                  "SELECT COALESCE((SELECT name FROM tenant.tenantctl_version WHERE revision > 0 "
                  "ORDER BY position DESC LIMIT 1), 'base')");
  }

  bool has_database(const std::string& tenant) {
    return database.value("SELECT count(*) FROM pg_database WHERE datname = '" + name_of(tenant) +
                          "'") == "1";
  }

  std::string states() {
    return database.value(
        "SELECT COALESCE(string_agg(slug || ' ' || state, ',' ORDER BY slug), "
        "'') FROM tenantctl.tenant");
  }
};

}  // namespace tenantctl::testing
