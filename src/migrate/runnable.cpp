#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "migrate/plan.h"
#include "pq/stop_point.h"

namespace tenantctl {
namespace {

using sql::StatementKind;

struct Refusal {
  std::string_view what;  ///< empty: it may run
  std::string_view hint;
};

Refusal refusal_of(const sql::Statement& statement, bool transaction) {
  switch (statement.kind) {
    case StatementKind::begin:
    case StatementKind::commit:
    case StatementKind::transaction_control:
      if (pq::is_off(pq::Protection::first_token)) {
        return {};
      }
      return {"controls the transaction",
              "A revision runs in a transaction of tenantctl's own, together with its version row: "
              "leave BEGIN, COMMIT, ROLLBACK and SAVEPOINT out."};
    case StatementKind::copy_stream:
      return {"streams data to or from the client",
              "Use INSERT, or COPY from a file on the server."};
    case StatementKind::meta_command:
      return {"is a psql command", "Only the server reads revisions: write SQL instead."};
    case StatementKind::discard:
      return {"resets the session", "Leave DISCARD out: tenantctl resets between schemas."};
    case StatementKind::set_role:
    case StatementKind::set_authorization:
      if (transaction) {
        return {};
      }
      return {"changes the session's role outside a transaction",
              "Move it into a revision that runs in a transaction."};
    case StatementKind::ordinary:
    case StatementKind::set_constraints:
    case StatementKind::create_index_concurrently:
    case StatementKind::drop_index_concurrently:
    case StatementKind::reindex_concurrently:
      break;
  }
  if (transaction && statement.needs_autocommit) {
    return {"cannot run inside a transaction",
            "Put it alone into a revision whose section says transaction:false "
            "(tenantctl revision ... --no-transaction)."};
  }
  return {};
}

}  // namespace

bool leaves_traces(const Section& section) {
  const auto& statements = section.script.statements();
  return std::any_of(statements.begin(), statements.end(),
                     [](const sql::Statement& statement) { return statement.leaves_traces; });
}

bool may_leave_traces(const Section& section) {
  const auto& statements = section.script.statements();
  return std::any_of(statements.begin(), statements.end(), [](const sql::Statement& statement) {
    return statement.leaves_traces || statement.calls;
  });
}

void check_runnable(const Revision& revision, const Section& section) {
  for (const sql::Statement& statement : section.script.statements()) {
    const Refusal refusal = refusal_of(statement, section.transaction);
    if (refusal.what.empty()) {
      continue;
    }
    throw UsageError(fmt::format("{} {} holds a statement that {}",
                                 revision.is_seed           ? "seed"
                                 : revision.is_repeatable() ? "repeatable"
                                                            : "revision",
                                 revision.title(), refusal.what),
                     std::string(refusal.hint), place_of(revision, section, statement.first_token));
  }
}

}  // namespace tenantctl
