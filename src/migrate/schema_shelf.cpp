#include "migrate/schema_shelf.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {

void SchemaShelf::run(const SchemaName& schema, std::vector<pq::Message> messages,
                      pq::Deadline deadline) {
  messages.insert(messages.begin(), VersionTable(schema, table_).lock());
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline);
  } catch (const pq::ServerError& error) {
    const auto refused = own_refusal(error.fields());
    if (refused && refused->code == refusal::busy) {
      throw UnavailableError("another session is migrating the schema",
                             "Wait until it ends and try again.");
    }
    if (refused && refused->code == refusal::gone) {
      throw Error("the schema is gone", "tenantctl tenant list shows all.");
    }
    if (error.is("42P06")) {
      throw UsageError("another schema has that name now",
                       "tenantctl tenant rename gives it another one.");
    }
    throw;
  }
}

void SchemaShelf::put_aside(const SchemaName& schema, std::vector<pq::Message> alongside,
                            pq::Deadline deadline) {
  alongside.push_back(DroppedTenants::put_aside(schema));
  run(schema, std::move(alongside), deadline);
}

std::vector<std::string> SchemaShelf::bring_back(const DroppedTenant& tenant,
                                                 std::vector<pq::Message> alongside,
                                                 pq::Deadline deadline) {
  std::vector<std::string> roles;
  std::vector<pq::Message> messages;
  messages.push_back(DroppedTenants::lost_roles(tenant, roles));
  std::ranges::move(alongside, std::back_inserter(messages));
  messages.push_back(DroppedTenants::bring_back(tenant));
  run(SchemaName::dropped(tenant.schema), std::move(messages), deadline);
  return roles;
}

}  // namespace tenantctl
