#include "pq/session_options.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>
#include <memory>

namespace tenantctl::pq {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, FreeOptions>;

std::string value_of(const Options& options, std::string_view name) {
  for (const PQconninfoOption* o = options.get(); o != nullptr && o->keyword != nullptr; ++o) {
    if (o->keyword == name && o->val != nullptr) {
      return o->val;
    }
  }
  return "";
}

Options parsed(const std::string& url) {
  char* error = nullptr;
  Options options(PQconninfoParse(url.c_str(), &error));
  PQfreemem(error);
  return options;
}

// As libpq resolves it, with service files and the environment: a mode of TLS that there is not
// ends that before the network.
std::string own_options(const std::string& url) {
  const std::array<const char*, 3> names{"dbname", "sslmode", nullptr};
  const std::array<const char*, 3> values{url.c_str(), "none", nullptr};
  const std::unique_ptr<PGconn, void (*)(PGconn*)> unconnected(
      PQconnectStartParams(names.data(), values.data(), 1), PQfinish);
  return value_of(Options(unconnected == nullptr ? nullptr : PQconninfo(unconnected.get())),
                  "options");
}

// White space ends an option unless a backslash is in front of it.
std::string option(std::string_view name, std::string_view value) {
  std::string text = fmt::format("-c {}=", name);
  for (const char character : value) {
    text += character == ' ' || character == '\\' ? "\\" : "";
    text += character;
  }
  return text;
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char character : text) {
    encoded += fmt::format("%{:02X}", static_cast<unsigned char>(character));
  }
  return encoded;
}

std::string quoted(std::string_view text) {
  std::string value = "'";
  for (const char character : text) {
    value += character == '\'' || character == '\\' ? "\\" : "";
    value += character;
  }
  return value + "'";
}

}  // namespace

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
  if (server_version >= 170000) {
    values.push_back({"transaction_timeout", "0"});
  }
  return values;
}

std::string session_options(int server_version, bool superuser) {
  std::string options;
  for (const SessionSetting& setting : session_values(server_version)) {
    options += (options.empty() ? "" : " ") + option(setting.name, setting.value);
  }
  return options + (superuser ? " " + option("session_replication_role", "origin") : "");
}

std::string with_session_options(const std::string& url, const std::string& options) {
  const std::string own = own_options(url);
  const std::string all = own.empty() ? options : own + " " + options;
  const bool is_uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
  if (!is_uri) {
    // Without `=` it is the name of a database.
    const bool is_name = !url.empty() && url.find('=') == std::string::npos;
    if (is_name && url.find_first_of("@:/") != std::string::npos) {
      return url;
    }
    return fmt::format("{} options={}", is_name ? "dbname=" + quoted(url) : url, quoted(all));
  }
  // A question mark may stand in a password as well: libpq tells whether it begins the parameters.
  for (const char separator : {'?', '&'}) {
    std::string candidate = fmt::format("{}{}options={}", url, separator, percent_encoded(all));
    if (value_of(parsed(candidate), "options") == all) {
      return candidate;
    }
  }
  return url;
}

}  // namespace tenantctl::pq
