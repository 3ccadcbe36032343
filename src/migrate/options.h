#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "migrate/version_table.h"
#include "sql/script.h"

namespace tenantctl {

/// How revisions run; the same for every schema of a run.
struct MigrateOptions {
  TableOptions table;
  std::string shared_schema = "shared";
  bool shared_in_path = false;  ///< the user's SQL of tenants sees the shared schema unqualified
  std::vector<std::string> search_path_extra;
  std::chrono::milliseconds lock_timeout{1'000};
  /// Outside a transaction, where a wait that fails leaves an invalid index behind.
  std::chrono::milliseconds concurrent_lock_timeout{30'000};
  std::chrono::milliseconds statement_timeout{0};  ///< 0: none
  sql::Variables variables;                        ///< --var name=value
  int server_version = 0;                          ///< settings differ by version
  std::string role = {};  ///< as which all of it is done; empty: as who logged in
  /// A session of our own, not a pooler's: statements may be prepared and locks held in it.
  bool direct = true;
};

}  // namespace tenantctl
