#include "pq/conninfo.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <array>
#include <memory>

#include "base/text.h"

namespace tenantctl::pq {

Conninfo Conninfo::take(void* options) {
  const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> owned(
      static_cast<PQconninfoOption*>(options), PQconninfoFree);
  Conninfo conninfo;
  conninfo.is_readable_ = owned != nullptr;
  for (const PQconninfoOption* o = owned.get(); o != nullptr && o->keyword != nullptr; ++o) {
    if (o->val != nullptr) {
      conninfo.values_.emplace(o->keyword, o->val);
    }
  }
  return conninfo;
}

Conninfo Conninfo::parse(const std::string& text) {
  char* error = nullptr;
  Conninfo conninfo = take(PQconninfoParse(text.c_str(), &error));
  PQfreemem(error);
  return conninfo;
}

// A mode of TLS that there is not ends the connecting before the network.
Conninfo Conninfo::resolve(const std::string& text) {
  const std::array<const char*, 3> names{"dbname", "sslmode", nullptr};
  const std::array<const char*, 3> values{text.c_str(), "none", nullptr};
  const std::unique_ptr<PGconn, void (*)(PGconn*)> unconnected(
      PQconnectStartParams(names.data(), values.data(), 1), PQfinish);
  return take(unconnected == nullptr ? nullptr : PQconninfo(unconnected.get()));
}

Conninfo Conninfo::defaults() { return take(PQconndefaults()); }

std::string Conninfo::value(std::string_view keyword) const {
  const auto at = values_.find(keyword);
  return at == values_.end() ? "" : at->second;
}

ConninfoForm form_of(const std::string& text) {
  if (text.starts_with("postgres://") || text.starts_with("postgresql://")) {
    return ConninfoForm::uri;
  }
  if (text.find('=') != std::string::npos) {
    return ConninfoForm::pairs;
  }
  return text.find_first_of("@:/") == std::string::npos ? ConninfoForm::name
                                                        : ConninfoForm::lacks_scheme;
}

std::string quote_conninfo(std::string_view text) { return "'" + backslashed(text, "'\\") + "'"; }

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char character : text) {
    encoded += fmt::format("%{:02X}", static_cast<unsigned char>(character));
  }
  return encoded;
}

std::string ssl_mode(const std::string& url) {
  const ConninfoForm form = form_of(url);
  std::string mode;
  if (form == ConninfoForm::uri || form == ConninfoForm::pairs) {
    mode = Conninfo::parse(url).value("sslmode");
  }
  if (mode.empty()) {
    mode = Conninfo::defaults().value("sslmode");
  }
  return mode.empty() ? "prefer" : mode;
}

}  // namespace tenantctl::pq
