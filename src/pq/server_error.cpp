#include "pq/server_error.h"

#include <fmt/format.h>
#include <libpq-fe.h>

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

std::string field(const PGresult* result, int code) {
  const char* value = PQresultErrorField(result, code);
  return value == nullptr ? "" : value;
}

}  // namespace

ServerFields fields_of(const PGresult* result) {
  ServerFields fields{.sqlstate = field(result, PG_DIAG_SQLSTATE),
                      .severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED),
                      .message = field(result, PG_DIAG_MESSAGE_PRIMARY),
                      .detail = field(result, PG_DIAG_MESSAGE_DETAIL),
                      .hint = field(result, PG_DIAG_MESSAGE_HINT),
                      .context = field(result, PG_DIAG_CONTEXT),
                      .schema = field(result, PG_DIAG_SCHEMA_NAME),
                      .table = field(result, PG_DIAG_TABLE_NAME),
                      .constraint = field(result, PG_DIAG_CONSTRAINT_NAME),
                      .position = 0};
  const std::string position = field(result, PG_DIAG_STATEMENT_POSITION);
  if (!position.empty()) {
    fields.position = std::stoi(position);
  }
  if (fields.message.empty()) {
    fields.message = PQresultErrorMessage(result);
  }
  return fields;
}

ServerError::ServerError(ServerFields fields)
    : Error(headline(fields), fields.hint), fields_(std::move(fields)) {}

ConnectionLost::ConnectionLost(const std::string& message, ServerFields reason)
    : Error(message), reason_(std::move(reason)) {}

ConnectFailed::ConnectFailed(const std::string& message, std::string hint, std::string sqlstate)
    : UnavailableError(message, std::move(hint)), sqlstate_(std::move(sqlstate)) {}

}  // namespace tenantctl::pq
