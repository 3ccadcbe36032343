#pragma once

#include <string>

namespace tenantctl::sql {

/// Whether a statement's text calls a function that is not one of PostgreSQL's own harmless ones:
/// what an application's function does in the session (set_config, a temporary table, an advisory
/// lock) cannot be seen in the text that calls it. True also for what libpg_query cannot parse.
///
/// What is called indirectly, by a trigger or a domain's check, is not in the text either: every
/// transaction of ours therefore begins with the session's own role.
bool calls_unknown(const std::string& parseable);

}  // namespace tenantctl::sql
