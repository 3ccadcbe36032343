#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tenantctl::pq {

/// A role may limit a whole transaction since 17.
bool limits_transactions(int server_version);

struct SessionSetting {
  std::string_view name;
  std::string_view value;
};

/// What a session of ours holds against whatever its role or database says.
std::vector<SessionSetting> session_values(int server_version);

/// The same in the form of PGOPTIONS, to start a session with: then RESET ALL too, by whatever
/// function, leads to them and not to what role and database say. Nobody but a superuser may start
/// with all of them. RESET ROLE leads to `role`, SET ROLE NONE and a new authorization do not.
std::string session_options(int server_version, bool superuser, std::string_view role = {});

/// `url` with `options` behind those that it, a service or PGOPTIONS has already. A pooler may
/// refuse the startup because of them (PgBouncer before 1.20). An unusable url stays as it is.
std::string with_session_options(const std::string& url, const std::string& options);

}  // namespace tenantctl::pq
