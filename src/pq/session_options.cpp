#include "pq/session_options.h"

#include <fmt/format.h>

#include "base/text.h"
#include "pq/conninfo.h"

namespace tenantctl::pq {
namespace {

// White space ends an option unless a backslash is in front of it.
std::string option(std::string_view name, std::string_view value) {
  return fmt::format("-c {}={}", name, backslashed(value, " \\"));
}

}  // namespace

bool limits_transactions(int server_version) { return server_version >= 170000; }

std::vector<SessionSetting> session_values(int server_version) {
  std::vector<SessionSetting> values{{"statement_timeout", "0"},
                                     {"lock_timeout", "10s"},
                                     {"idle_in_transaction_session_timeout", "60s"},
                                     {"search_path", "pg_catalog, pg_temp"},
                                     {"default_transaction_read_only", "off"},
                                     {"default_transaction_deferrable", "off"},
                                     {"default_transaction_isolation", "read committed"},
                                     {"standard_conforming_strings", "on"},
                                     {"synchronous_commit", "on"},
                                     {"exit_on_error", "off"},
                                     {"client_min_messages", "warning"}};
  if (server_version >= 140000) {
    values.push_back({"idle_session_timeout", "0"});
  }
  if (limits_transactions(server_version)) {
    values.push_back({"transaction_timeout", "0"});
  }
  return values;
}

std::string session_options(int server_version, bool superuser, std::string_view role) {
  std::string options;
  for (const SessionSetting& setting : session_values(server_version)) {
    options += (options.empty() ? "" : " ") + option(setting.name, setting.value);
  }
  return options + (superuser ? " " + option("session_replication_role", "origin") : "") +
         (role.empty() ? "" : " " + option("role", role));
}

std::string with_session_options(const std::string& url, const std::string& options) {
  const std::string own = Conninfo::resolve(url).value("options");
  const std::string all = own.empty() ? options : own + " " + options;
  switch (form_of(url)) {
    case ConninfoForm::lacks_scheme:
      return url;
    case ConninfoForm::name:
      return fmt::format("{} options={}", url.empty() ? "" : "dbname=" + quote_conninfo(url),
                         quote_conninfo(all));
    case ConninfoForm::pairs:
      return fmt::format("{} options={}", url, quote_conninfo(all));
    case ConninfoForm::uri:
      break;
  }
  // A question mark may stand in a password as well: libpq tells whether it begins the parameters.
  for (const char separator : {'?', '&'}) {
    std::string candidate = fmt::format("{}{}options={}", url, separator, percent_encoded(all));
    if (Conninfo::parse(candidate).value("options") == all) {
      return candidate;
    }
  }
  return url;
}

}  // namespace tenantctl::pq
