#include <fmt/format.h>

#include <algorithm>

#include "cli/options.h"
#include "cli/tenants.h"
#include "output/tenant_writer.h"

namespace tenantctl::cli {
namespace {

/// A change of a tenant's state that a person may ask for.
struct StateChange {
  std::string verb;               ///< the command
  std::string to;                 ///< the state behind it
  std::vector<std::string> from;  ///< the states before it
};

struct StateOptions {
  std::vector<std::string> names;
  std::string reason;
};

// All are found before the first is changed.
std::vector<std::string> slugs_of(TenantRegistry& registry, const std::vector<std::string>& names) {
  if (!registry.is_installed()) {
    throw UsageError("there is no registry in this database: tenants have no state",
                     "tenantctl registry init --adopt makes it and registers who is there.");
  }
  const std::vector<RegisteredTenant> tenants = registry.find_own(names);
  const TenantsByName by_name(tenants);
  std::vector<std::string> slugs;
  for (const std::string& name : names) {
    const RegisteredTenant* tenant = by_name.find(name);
    if (tenant == nullptr) {
      throw UsageError(fmt::format("no tenant \"{}\" is registered", name),
                       "tenantctl registry check names who is not; nothing was changed.");
    }
    slugs.push_back(tenant->slug);
  }
  return slugs;
}

ExitCode run_change(const Context& context, const StateChange& change,
                    const StateOptions& options) {
  Session session(context);
  TenantRegistry registry = tenant_registry(context, session);
  const std::vector<std::string> slugs = slugs_of(registry, options.names);
  const auto changed = registry.change_state(slugs, change.from, change.to, options.reason);
  const std::vector<RegisteredTenant> now = registry.find(slugs);
  const TenantsByName by_name(now);
  std::vector<TenantResult> results;
  for (const std::string& slug : slugs) {
    const RegisteredTenant* tenant = by_name.find(slug);
    const std::string state = tenant == nullptr ? "gone" : tenant->state;
    if (std::ranges::binary_search(changed, slug)) {
      results.push_back({.tenant = slug, .result = change.to});
    } else if (state == change.to) {
      results.push_back({.tenant = slug, .result = "unchanged"});
    } else {
      results.push_back({.tenant = slug,
                         .result = "failed",
                         .message = fmt::format("it is {}: tenant {} takes who is {}", state,
                                                change.verb, fmt::join(change.from, " or "))});
    }
  }
  write_tenant_results(*context.out, *context.err, context.settings.output, context.command,
                       results);
  return std::ranges::any_of(results, &TenantResult::is_problem) ? ExitCode::failed : ExitCode::ok;
}

void add_change(CLI::App& tenant, Context& context, const StateChange& change,
                const std::string& help) {
  CLI::App* command = tenant.add_subcommand(change.verb, help);
  auto options = std::make_shared<StateOptions>();
  command->add_option("NAME", options->names, "tenant, by slug or schema")->required();
  add_setting(*command, "--reason", options->reason, "why; kept in the tenant's metadata");
  describe_question(*command, context.settings);
  add_example(*command, fmt::format("tenantctl tenant {} acme", change.verb));
  command->callback([&context, change, options] {
    context.run = [&context, change, options] { return run_change(context, change, *options); };
  });
}

}  // namespace

void add_tenant_states(CLI::App& tenant, Context& context) {
  add_change(tenant, context, {.verb = "suspend", .to = "suspended", .from = {"ready"}},
             "say in the registry that a tenant may not be entered until it is resumed");
  add_change(tenant, context, {.verb = "resume", .to = "ready", .from = {"suspended", "archived"}},
             "make a suspended or archived tenant ready again");
  add_change(tenant, context, {.verb = "archive", .to = "archived", .from = {"ready", "suspended"}},
             "say in the registry that a tenant is kept, but no customer any more");
}

}  // namespace tenantctl::cli
