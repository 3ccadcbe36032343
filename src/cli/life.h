#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/tenants.h"
#include "output/tenant_writer.h"

namespace tenantctl::cli {

/// A tenant that a command line names: its schema, and its row if it is registered.
struct Named {
  std::string name;  ///< as given
  std::string schema;
  std::optional<RegisteredTenant> row;

  /// Lives in a schema of this database, as far as anybody knows.
  bool is_here() const { return !row || row->is_here(); }
};

/// Finds tenants by slug, schema or `database/schema`, each once; a name that no registry knows is
/// a schema's.
std::vector<Named> find_named(TenantRegistry& registry, const std::vector<std::string>& names);

/// The one place that tells who has not a schema of this database for himself, and what to do
/// instead. Throws UsageError for him, naming the command.
void refuse_elsewhere(const Context& context, const Named& tenant, std::string_view advice);

/// Does something to one tenant after the other and goes on after a failure: an error becomes its
/// result. An interrupt, or a server that cannot be reached any more, leaves the rest not started.
class EachTenant {
 public:
  using Act = std::function<TenantResult(std::size_t index)>;

  explicit EachTenant(const Context& context) : context_(context) {}

  std::vector<TenantResult> run(const std::vector<std::string>& names, const Act& act);
  /// Writes the results and turns them into an exit code.
  ExitCode finish(const std::vector<TenantResult>& results) const;
  ExitCode code_of(const std::vector<TenantResult>& results) const;

 private:
  const Context& context_;
  bool is_unavailable_ = false;
};

/// Tries something of which a lost connection may hide whether it happened: connects again, asks
/// `is_done`, and tries once more. Throws Error if nobody can tell in the end.
void settle(const Context& context, Session& session, const std::string& what,
            const std::function<void()>& attempt, const std::function<bool()>& is_done);

}  // namespace tenantctl::cli
