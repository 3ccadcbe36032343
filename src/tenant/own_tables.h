#pragma once

#include <string>

#include "base/text.h"

namespace tenantctl {

/// The table beside a version table in which seeds are recorded; made when the first one runs.
inline std::string seed_table_name(const std::string& version_table) {
  return version_table + "_seed";
}

/// Tables of ours in a tenant's schema, an array for `<> ALL ($n::pg_catalog.text[])`: they are
/// nobody's rows.
inline std::string own_tables(const std::string& version_table) {
  return array_of({version_table, seed_table_name(version_table)});
}

}  // namespace tenantctl
