#include "pq/server_error.h"

#include <fmt/format.h>

namespace tenantctl::pq {
namespace {

std::string headline(const ServerFields& fields) {
  std::string line = fields.message;
  if (!fields.sqlstate.empty()) {
    line += fmt::format(" (SQLSTATE {})", fields.sqlstate);
  }
  if (!fields.detail.empty()) {
    line += ": " + fields.detail;
  }
  return line;
}

}  // namespace

ServerError::ServerError(ServerFields fields)
    : Error(headline(fields), fields.hint), fields_(std::move(fields)) {}

ConnectionLost::ConnectionLost(const std::string& message, ServerFields reason)
    : Error(message), reason_(std::move(reason)) {}

ConnectFailed::ConnectFailed(const std::string& message, std::string hint, std::string sqlstate)
    : UnavailableError(message, std::move(hint)), sqlstate_(std::move(sqlstate)) {}

}  // namespace tenantctl::pq
