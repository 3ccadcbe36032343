#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/registration.h"
#include "cli/seeds.h"
#include "cli/session.h"
#include "output/rows_writer.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// Tenants of shared rows that are to be made.
struct RowsNewcomers {
  std::vector<std::string> slugs;
  std::size_t count = 0;  ///< or so many, numbered
  std::string prefix;
  std::string home;  ///< empty: the only one there is
};

/// Registers tenants that share a home, as ready: a row each, in one round trip, or with seeds in
/// one transaction with these. A home that is not there yet is made first, and upgraded like a
/// tenant's schema.
ExitCode create_rows_tenants(const Context& context, const Folders& folders, const SeedWork& work,
                             const RowsNewcomers& newcomers, const NewcomerOptions& options);

/// Tables of a home: which column says whose a row is, and which tables are the same for all.
struct HomeTables {
  std::string tenant_column = "tenant_id";
  std::vector<std::string> common;
};
void describe_home_tables(CLI::App& command, HomeTables& tables);

/// Throws UsageError, with the list, if a home has tables of which nobody can tell whose rows they
/// hold.
void check_erasable(const Context& context, Session& session,
                    const std::vector<RegisteredTenant>& tenants, const HomeTables& tables);

/// Closes the tenant for good and deletes its rows. Given again, it goes on. The row of the
/// registry is still there behind it.
std::vector<ErasedRows> erase_rows(const Context& context, Session& session,
                                   const RegisteredTenant& tenant, const HomeTables& tables);

}  // namespace tenantctl::cli
