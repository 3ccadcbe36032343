#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace tenantctl::pq {

/// What a connection string says, as libpq reads it, or what holds without one: keyword by keyword.
class Conninfo {
 public:
  /// What `text` itself says. Nothing where libpq cannot read it: not is_readable().
  static Conninfo parse(const std::string& text);
  /// With what a service file and the environment add to it, found without the network.
  static Conninfo resolve(const std::string& text);
  /// What the environment says alone.
  static Conninfo defaults();

  bool is_readable() const { return is_readable_; }
  /// Empty when it is not said.
  std::string value(std::string_view keyword) const;

 private:
  Conninfo() = default;
  /// libpq's PQconninfoOption, which this header does not know; may be nullptr.
  static Conninfo take(void* options);

  bool is_readable_ = false;
  std::map<std::string, std::string, std::less<>> values_;
};

/// How a connection string is written.
enum class ConninfoForm {
  uri,
  pairs,        ///< keyword=value
  name,         ///< of a database, or nothing at all
  lacks_scheme  ///< `me:secret@host`, which would be a database's name to libpq
};
ConninfoForm form_of(const std::string& text);

/// `text` as a value of keyword=value pairs.
std::string quote_conninfo(std::string_view text);
/// `text` as a value in a URI: every byte of it encoded.
std::string percent_encoded(std::string_view text);

/// libpq's own sslmode of `url` and the environment, to warn when it is weaker than verify-full.
std::string ssl_mode(const std::string& url);

}  // namespace tenantctl::pq
