#include "migrate/held_schema.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

void check(const pq::FlightAnswer& answer, const std::string& schema) {
  const pq::Answer* failure = answer.failure();
  if (failure == nullptr) {
    return;
  }
  const auto refused = own_refusal(*failure->error);
  if (refused && refused->code == refusal::busy) {
    throw UnavailableError(
        fmt::format("{}: another session is migrating the schema", escaped_name(schema)),
        "Wait until it ends and try again.");
  }
  if (refused && refused->code == refusal::gone) {
    throw Error(fmt::format("{}: the schema is gone", escaped_name(schema)),
                "tenantctl tenant list shows all.");
  }
  throw pq::ServerError(*failure->error);
}

}  // namespace

HeldSchema::HeldSchema(const pq::ConnectOptions& connect, const VersionTable& table,
                       pq::Deadline deadline)
    : connection_(pq::Connection::open(connect)), pipeline_(connection_), table_(table) {
  std::vector<pq::Message> messages =
      pq::session_settings(connection_.server_version(), 0, connect.role);
  messages.push_back(table_.lock_session());
  check(pipeline_.wait_for_answer(std::move(messages), deadline), table_.schema().text());
}

HeldSchema::Snapshot HeldSchema::take(pq::Deadline deadline) {
  Snapshot snapshot;
  std::optional<std::string> comment;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"});
  messages.push_back({.sql = "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.to_char("
                             "pg_catalog.transaction_timestamp() AT TIME ZONE 'UTC', "
                             "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
                      .on_row = [&snapshot](const pq::Row& row) {
                        snapshot.name = row.text(0);
                        snapshot.at = row.text(1);
                      }});
  messages.push_back(table_.read_comment(comment));
  check(pipeline_.wait_for_answer(std::move(messages), deadline), table_.schema().text());
  snapshot.mark = comment.value_or("");
  return snapshot;
}

}  // namespace tenantctl
