#include "migrate/schema_rename.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

// First the rows, then, if there are any, the refusal that takes the whole transaction back. They
// are on their way to us by then.
std::string guarded(const std::string& query, bool forces) {
  return fmt::format(
      "WITH found AS MATERIALIZED ({}) SELECT f.kind, f.name, 0 FROM found f UNION ALL "
      "SELECT NULL, NULL, (CASE WHEN {} OR NOT EXISTS (SELECT FROM found) THEN '0' "
      "ELSE 'tenantctl {}: texts name the schema' END)::pg_catalog.int4",
      query, forces ? "true" : "false", refusal::named);
}

}  // namespace

std::vector<StoredText> SchemaRename::run(Request request, pq::Deadline deadline) {
  std::vector<StoredText> texts;
  std::vector<pq::Message> messages;
  messages.push_back(table_.lock());
  messages.push_back({.sql = fmt::format("ALTER SCHEMA {} RENAME TO {}", table_.schema().quoted(),
                                         request.to.quoted())});
  std::ranges::move(request.alongside, std::back_inserter(messages));
  const TextSearch search{.old_name = table_.schema().text(),
                          .schema = request.to.text(),
                          .shared_schema = request.shared_schema,
                          .server_version = pipeline_.connection().server_version()};
  messages.push_back({.sql = guarded(stored_texts_query(search), request.forces),
                      .on_row = [&texts](const pq::Row& row) {
                        if (!row.is_null(0)) {
                          texts.push_back(
                              {.kind = std::string(row.text(0)), .name = std::string(row.text(1))});
                        }
                      }});
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline);
  } catch (const pq::ServerError& error) {
    const auto refused = own_refusal(error.fields());
    if (!refused || refused->code != refusal::named) {
      explain(error, request.to);
    }
  }
  std::ranges::sort(texts, {}, [](const StoredText& text) { return text.kind + ' ' + text.name; });
  return texts;
}

void SchemaRename::explain(const pq::ServerError& error, const SchemaName& to) const {
  const auto refused = own_refusal(error.fields());
  const std::string name = escaped_name(table_.schema().text());
  if (refused && refused->code == refusal::busy) {
    throw UnavailableError(fmt::format("{}: another session is migrating the schema", name),
                           "Wait until it ends and try again; nothing was changed.");
  }
  if (refused && refused->code == refusal::gone) {
    throw Error(fmt::format("{}: the schema is gone", name),
                "tenantctl tenant list shows all; nothing was changed.");
  }
  if (error.is("42P06")) {
    throw UsageError(
        fmt::format("a schema of that name is there already: {}", escaped_name(to.text())),
        "Use another name; nothing was changed.");
  }
  throw error;
}

}  // namespace tenantctl
