#include "pq/transaction.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/text.h"
#include "pq/session_options.h"

namespace tenantctl::pq {
namespace {

Message begin(Access access) {
  return {.sql = access == Access::read_only ? "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
                                             : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"};
}

// As a plain SET, which takes no snapshot: one that is serializable and deferrable by default would
// wait for it until every serializable writer is done.
Message read_committed() { return {.sql = "SET transaction_isolation = 'read committed'"}; }

std::string set_all(const std::vector<SessionSetting>& settings, bool local) {
  std::string sql;
  for (const SessionSetting& setting : settings) {
    sql += fmt::format("{}pg_catalog.set_config('{}', '{}', {})", sql.empty() ? "" : ", ",
                       setting.name, setting.value, local);
  }
  return sql;
}

// LOCAL, so that nothing is left behind in a pooler's session.
Message settings(const Connection& connection) {
  std::vector<SessionSetting> values = session_values(connection.server_version());
  values.push_back({"jit", "off"});
  values.push_back({"max_parallel_workers_per_gather", "0"});
  values.push_back({"array_nulls", "on"});
  return {.sql = "SELECT " + set_all(values, true) + and_act_as(connection.role(), true)};
}

}  // namespace

std::string and_act_as(std::string_view role, bool local) {
  return role.empty()
             ? ""
             : fmt::format(", pg_catalog.set_config('role', {}, {})", quote_literal(role), local);
}

std::vector<Message> session_settings(int server_version, int only_backend, std::string_view role) {
  // Operators with their schema: the path may still be the role's, with others in front of it.
  std::string sql = "SELECT " + set_all(session_values(server_version), false) +
                    ", CASE WHEN pg_catalog.current_setting('session_replication_role') "
                    "OPERATOR(pg_catalog.<>) 'origin' "
                    "AND pg_catalog.current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' "
                    "THEN pg_catalog.set_config('session_replication_role', 'origin', false) END" +
                    and_act_as(role, false);
  if (only_backend != 0) {
    sql +=
        fmt::format(" WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {}", only_backend);
  }
  std::vector<Message> messages;
  messages.push_back(read_committed());
  messages.push_back({.sql = std::move(sql)});
  return messages;
}

std::vector<Message> question_settings(std::string_view role) {
  std::vector<Message> messages;
  messages.push_back(read_committed());
  messages.push_back(
      {.sql = "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)" +
              and_act_as(role, true)});
  return messages;
}

void run_transaction(Pipeline& pipeline, std::vector<Message> messages, Access access,
                     Deadline deadline) {
  std::vector<Message> flight;
  flight.reserve(messages.size() + 3);
  flight.push_back(begin(access));
  flight.push_back(settings(pipeline.connection()));
  for (Message& message : messages) {
    flight.push_back(std::move(message));
  }
  flight.push_back({.sql = "COMMIT"});
  const FlightAnswer answer = pipeline.wait_for_answer(std::move(flight), deadline);
  end_transaction(pipeline, answer, deadline);
  if (const Answer* failure = answer.failure()) {
    throw ServerError(*failure->error);
  }
  if (answer.answers.back().tag != "COMMIT") {
    throw Error("the server answered COMMIT with " + answer.answers.back().tag);
  }
}

OpenTransaction::OpenTransaction(Pipeline& pipeline, std::chrono::milliseconds patience)
    : pipeline_(pipeline), patience_(patience) {
  std::vector<Message> flight;
  flight.push_back(begin(Access::read_write));
  flight.push_back(settings(pipeline.connection()));
  // The other side of a copy may have to work for long.
  flight.push_back(
      {.sql = "SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true)"});
  run(std::move(flight));
}

OpenTransaction::~OpenTransaction() {
  if (!open_ || pipeline_.is_lost()) {
    return;
  }
  try {
    std::vector<Message> rollback;
    rollback.push_back({.sql = "ROLLBACK"});
    send(std::move(rollback));
  } catch (const Error&) {
    // The session ends with its connection, and so does the transaction.
    pipeline_.give_up();
  }
}

FlightAnswer OpenTransaction::send(std::vector<Message> messages) {
  return pipeline_.wait_for_answer(std::move(messages), Clock::now() + patience_);
}

void OpenTransaction::run(std::vector<Message> messages) {
  const FlightAnswer answer = send(std::move(messages));
  if (const Answer* failure = answer.failure()) {
    open_ = false;
    end_transaction(pipeline_, answer, Clock::now() + patience_);
    throw ServerError(*failure->error);
  }
}

void OpenTransaction::commit() {
  std::vector<Message> messages;
  messages.push_back({.sql = "COMMIT"});
  open_ = false;
  const FlightAnswer answer = send(std::move(messages));
  if (const Answer* failure = answer.failure()) {
    throw ServerError(*failure->error);
  }
  if (answer.answers.back().tag != "COMMIT") {
    throw Error("the server answered COMMIT with " + answer.answers.back().tag);
  }
}

void end_transaction(Pipeline& pipeline, const FlightAnswer& answer, Deadline deadline) {
  if (!answer.in_failed_transaction && !answer.in_transaction) {
    return;
  }
  std::vector<Message> rollback;
  rollback.push_back({.sql = "ROLLBACK"});
  pipeline.wait_for_answer(std::move(rollback), deadline);
}

}  // namespace tenantctl::pq
