#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

struct pg_result;

namespace tenantctl::pq {

// SQLSTATEs that more than one caller asks for; PostgreSQL's documentation, appendix A.
inline constexpr std::string_view insufficient_privilege = "42501";
inline constexpr std::string_view invalid_parameter_value = "22023";
inline constexpr std::string_view undefined_object = "42704";

/// What the server said about one failed message, field by field. `position` counts characters
/// from 1 in the text that was sent; 0 means none.
struct ServerFields {
  std::string sqlstate = {};
  std::string severity = {};  ///< not localised: ERROR, FATAL, PANIC
  std::string message = {};
  std::string detail = {};
  std::string hint = {};
  std::string context = {};
  std::string schema = {};  ///< of the object the error is about
  std::string table = {};
  std::string constraint = {};
  int position = 0;

  bool is(std::string_view code) const { return sqlstate == code; }
};

/// Out of a result that is an error.
ServerFields fields_of(const pg_result* result);

/// A statement of our own that the server refused. One class for all SQLSTATEs: callers ask is().
class ServerError : public Error {
 public:
  explicit ServerError(ServerFields fields);

  bool is(std::string_view sqlstate) const { return fields_.sqlstate == sqlstate; }
  const ServerFields& fields() const { return fields_; }

 private:
  ServerFields fields_;
};

/// The connection ended before all answers came: what was sent may or may not have happened.
/// `reason` holds the server's last words (57P01 and the like), if it had any.
class ConnectionLost : public Error {
 public:
  explicit ConnectionLost(const std::string& message, ServerFields reason = {});
  const ServerFields& reason() const { return reason_; }

 private:
  ServerFields reason_;
};

/// No connection could be made. `sqlstate` as the server gave it (53300, 28P01, 57P03, ...), or
/// empty if no server answered.
class ConnectFailed : public UnavailableError {
 public:
  ConnectFailed(const std::string& message, std::string hint, std::string sqlstate);
  const std::string& sqlstate() const { return sqlstate_; }

 private:
  std::string sqlstate_;
};

}  // namespace tenantctl::pq
