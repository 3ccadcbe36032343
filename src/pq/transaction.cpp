#include "pq/transaction.h"

#include <utility>

namespace tenantctl::pq {
namespace {

Message begin(Access access) {
  return {.sql = access == Access::read_only ? "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
                                             : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"};
}

// LOCAL, so that nothing is left behind in a pooler's session.
Message settings() {
  return {.sql =
              "SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true), "
              "pg_catalog.set_config('jit', 'off', true), "
              "pg_catalog.set_config('max_parallel_workers_per_gather', '0', true), "
              "pg_catalog.set_config('statement_timeout', '0', true), "
              "pg_catalog.set_config('lock_timeout', '10s', true), "
              "pg_catalog.set_config('standard_conforming_strings', 'on', true), "
              "pg_catalog.set_config('synchronous_commit', 'on', true), "
              "pg_catalog.set_config('client_min_messages', 'warning', true)"};
}

}  // namespace

void run_transaction(Pipeline& pipeline, std::vector<Message> messages, Access access,
                     Deadline deadline) {
  std::vector<Message> flight;
  flight.reserve(messages.size() + 3);
  flight.push_back(begin(access));
  flight.push_back(settings());
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

void end_transaction(Pipeline& pipeline, const FlightAnswer& answer, Deadline deadline) {
  if (!answer.in_failed_transaction && !answer.in_transaction) {
    return;
  }
  std::vector<Message> rollback;
  rollback.push_back({.sql = "ROLLBACK"});
  pipeline.wait_for_answer(std::move(rollback), deadline);
}

}  // namespace tenantctl::pq
