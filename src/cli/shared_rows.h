#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/registration.h"
#include "cli/session.h"
#include "output/rows_writer.h"

namespace tenantctl::cli {

/// Tenants of shared rows that are to be made.
struct RowsNewcomers {
  std::vector<std::string> slugs;
  std::size_t count = 0;  ///< or so many, numbered
  std::string prefix;
  std::string home;  ///< empty: the only one there is
};

/// Registers tenants that share a home, as ready: a row each, in one round trip. A home that is not
/// there yet is made first, and upgraded like a tenant's schema.
ExitCode create_rows_tenants(const Context& context, const RowsNewcomers& newcomers,
                             const NewcomerOptions& options);

/// Tables of a home: which column says whose a row is, and which tables are the same for all.
struct HomeTables {
  std::string tenant_column = "tenant_id";
  std::vector<std::string> common;
};
void describe_home_tables(CLI::App& command, HomeTables& tables);

/// Takes the names out of `names` that are slugs of tenants who share a home, and returns them.
std::vector<RegisteredTenant> take_rows_tenants(const Context& context, Session& session,
                                                std::vector<std::string>& names);

/// Throws UsageError, with the list, if a home has tables of which nobody can tell whose rows they
/// hold.
void check_erasable(const Context& context, Session& session,
                    const std::vector<RegisteredTenant>& tenants, const HomeTables& tables);

/// Closes each tenant, deletes its rows, then its row of the registry. Given again, it goes on.
std::vector<RowsDropped> drop_rows_tenants(const Context& context, Session& session,
                                           const std::vector<RegisteredTenant>& tenants,
                                           const HomeTables& tables);

}  // namespace tenantctl::cli
