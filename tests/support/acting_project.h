#pragma once

#include <exception>
#include <iostream>
#include <string>

#include "support/database_project.h"

namespace tenantctl::testing {

/// A project whose tool logs in as one role, which may do nothing by itself, and acts as another,
/// which owns everything. Both go at the end, with what they own.
class ActingProject : public ManyDatabases {
 public:
  const std::string owner = database.name() + "_owner";
  const std::string login = database.second_role();

  ActingProject() {
    database.execute("CREATE ROLE " + owner + " CREATEDB; ALTER ROLE " + login +
                     " NOINHERIT; GRANT " + owner + " TO " + login + "; GRANT CREATE ON DATABASE " +
                     database.name() + " TO " + owner);
    tool.set_variable("DATABASE_URL", database.conninfo_as(login));
    tool.set_variable("TENANTCTL_ROLE", owner);
  }

  ~ActingProject() {
    try {
      for (const auto& row : database.rows("SELECT datname FROM pg_database WHERE starts_with("
                                           "datname, '" +
                                           database.name() + "_')"))
        database.execute("DROP DATABASE \"" + row.at(0) + "\" WITH (FORCE)");
      database.execute("RESET ROLE; DROP OWNED BY " + owner + ", " + login + " CASCADE");
      database.execute("REVOKE " + owner + " FROM " + login + "; DROP ROLE " + owner);
    } catch (const std::exception& error) {
      std::cerr << "a role was left behind: " << error.what() << '\n';
    }
  }

  ActingProject(const ActingProject&) = delete;
  ActingProject& operator=(const ActingProject&) = delete;

  /// What in this database, but for what PostgreSQL made, somebody else owns; "" if nothing.
  std::string strangers_things() const {
    std::string text;
    for (const auto& row :
         database.rows("SELECT n.nspname || '.' || c.relname || ' of ' || "
                       "pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid "
                       "= c.relnamespace WHERE n.nspname !~ '^(pg_|information_schema|public)' "
                       "AND pg_get_userbyid(c.relowner) <> '" +
                       owner +
                       "' UNION ALL SELECT nspname || ' of ' || pg_get_userbyid(nspowner) FROM "
                       "pg_namespace WHERE nspname !~ '^(pg_|information_schema|public)' AND "
                       "pg_get_userbyid(nspowner) <> '" +
                       owner + "' ORDER BY 1"))
      text += row.at(0) + "\n";
    return text;
  }
};

}  // namespace tenantctl::testing
