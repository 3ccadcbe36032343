#include <algorithm>
#include <optional>
#include <thread>

#include "cli/options.h"
#include "cli/shared_rows.h"
#include "cli/tenant_databases.h"
#include "cli/tenant_mover.h"
#include "cli/tenants.h"
#include "migrate/schema_drop.h"
#include "output/folder_writer.h"
#include "output/result_writer.h"
#include "pq/server_error.h"

namespace tenantctl::cli {
namespace {

struct DropOptions {
  std::vector<std::string> names;
  HomeTables tables;
  std::string admin_url;
  bool force = false;
};

SchemaDrop drop_of(Session& session, const VersionTable& table, const Settings& settings) {
  return {session.pipeline(), table, settings.version_table};
}

// A table that only bears the version table's name is not worth losing its schema for.
void check_readable(Session& session, const Context& context, const std::string& name) {
  const VersionTable table(SchemaName::existing(name),
                           table_options(context.settings, session.run_id()));
  try {
    read_history(session.pipeline(), table, session.deadline());
  } catch (const pq::ServerError& error) {
    throw UsageError(fmt::format("\"{}\" is no tenant: its version table cannot be read: {}", name,
                                 error.what()),
                     "DROP SCHEMA removes what tenantctl does not know.");
  }
}

// Only what is ours: anything else of that name is not a tenant.
void check_droppable(Session& session, const Context& context, const std::string& name) {
  if (name == context.settings.shared_schema) {
    throw UsageError(fmt::format("{} holds the shared scope: it is no tenant", name),
                     "tenantctl downgrade base --scope shared takes it back.");
  }
  const Fleet fleet = session.schemas({name});
  const FoundSchema& found = fleet.schemas.front();
  if (found.state == FoundSchema::State::ours) {
    check_readable(session, context, name);
    return;
  }
  const bool missing = found.state == FoundSchema::State::missing;
  throw UsageError(
      fmt::format("\"{}\" is no tenant: {}", name,
                  missing ? "there is no such schema" : "it has no version table of ours"),
      missing ? "tenantctl tenant list shows all."
              : "DROP SCHEMA removes what tenantctl does not know.");
}

bool is_there(Session& session, const std::string& name) {
  return session.schemas({name}).schemas.front().state != FoundSchema::State::missing;
}

// After a loss nobody knows what became of the last DROP, until the schema is looked for again.
void drop_tenant(const Context& context, Session& session, const std::string& name) {
  const VersionTable table(SchemaName::existing(name),
                           table_options(context.settings, session.run_id()));
  constexpr int most_losses = 3;
  std::optional<pq::Deadline> lost_at;
  for (int losses = 0;;) {
    try {
      if (losses > 0) {
        session.revive();
        if (!is_there(session, name))
          return;
      }
      drop_of(session, table, context.settings).run(0, session.deadline());
      return;
    } catch (const UnavailableError& error) {
      // The lost session may still hold the lock; who else does was there before us.
      const bool is_over =
          lost_at && pq::Clock::now() - *lost_at >= context.settings.reconnect_timeout;
      if (losses == 0)
        throw;
      if (is_over || signal_count() > 0) {
        throw Error(fmt::format("whether {} was dropped is not known: {}", name, error.what()),
                    "Run the command again: it goes on where it stopped.");
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    } catch (const pq::ServerError&) {
      // It went while we looked.
      if (losses == 0 || is_there(session, name))
        throw;
      return;
    } catch (const pq::ConnectionLost& error) {
      lost_at = lost_at.value_or(pq::Clock::now());
      if (++losses == most_losses) {
        throw Error(fmt::format("whether {} was dropped is not known: {}", name, error.what()),
                    "Run the command again: it goes on where it stopped.");
      }
    }
  }
}

// Who lives in the schemas. Read before anything is dropped: what is gone must not end in a
// question.
std::vector<RegisteredTenant> inhabitants(TenantRegistry& registry,
                                          const std::vector<std::string>& schemas) {
  if (!registry.is_installed())
    return {};
  std::vector<RegisteredTenant> tenants = registry.find(schemas);
  std::erase_if(tenants, [&schemas](const RegisteredTenant& tenant) {
    return !tenant.is_here() || std::ranges::find(schemas, tenant.schema) == schemas.end();
  });
  for (RegisteredTenant& tenant : tenants) {
    // One role for many is nobody's own, and stays.
    if (!tenant.runtime_role.empty() &&
        registry.schemas_of_roles({tenant.runtime_role}).size() != 1)
      tenant.runtime_role.clear();
  }
  return tenants;
}

// Whoever lived there alone lives nowhere any more.
void forget_dropped(const Context& context, Session& session,
                    const std::vector<RegisteredTenant>& registered, const std::string& schema) {
  const auto tenant = std::ranges::find(registered, schema, &RegisteredTenant::schema);
  if (tenant == registered.end())
    return;
  if (!tenant->runtime_role.empty())
    runtime_roles(context, session).drop(tenant->runtime_role);
  tenant_registry(context, session).remove({tenant->slug});
}

// Of the names those that are homes of shared rows; a home goes when nobody lives there.
std::vector<std::string> homes_to_drop(const Context& context, Session& session,
                                       const std::vector<std::string>& names) {
  std::vector<std::string> homes;
  for (const TenantPlace& place : tenant_places(context, session).all()) {
    if (std::ranges::count(names, place.schema) == 0)
      continue;
    if (!place.is_home()) {
      throw UsageError(fmt::format("\"{}\" is of the pool, and nobody's yet", place.schema),
                       "tenantctl tenant pool --keep 0 empties the pool.");
    }
    homes.push_back(place.schema);
  }
  return homes;
}

void close_homes(const Context& context, Session& session, const std::vector<std::string>& homes) {
  for (const std::string& home : homes) {
    if (tenant_places(context, session).close_home(home))
      continue;
    throw UsageError(fmt::format("\"{}\" is a home of shared rows, and tenants live there", home),
                     "Drop them first, by their slugs. Nothing was dropped.");
  }
}

ExitCode run_drop(const Context& context, const DropOptions& options) {
  std::vector<std::string> names = options.names;
  for (const std::string& name : names) {
    if (!TenantRegistry::is_slug(name))
      SchemaName::existing(name);
  }
  Session session(context);
  refuse_moving(context, session, names);
  const auto sharing = take_rows_tenants(context, session, names);
  const auto databases = database_tenants(context, session, names);
  std::erase_if(names, [&databases](const std::string& name) {
    return std::ranges::any_of(databases, [&name](const RegisteredTenant& tenant) {
      return tenant.slug == name || tenant.place() == name;
    });
  });
  if (databases.empty() && options.force) {
    throw UsageError("--force is for tenants with a database of their own",
                     "A schema is dropped whoever is connected.");
  }
  for (const std::string& name : names)
    SchemaName::existing(name);
  const std::vector<std::string> homes = homes_to_drop(context, session, names);
  for (const std::string& name : names)
    check_droppable(session, context, name);
  check_erasable(context, session, sharing, options.tables);
  check_droppable_databases(context, session, databases, options.admin_url);
  if (!confirm(context,
               fmt::format("Drop {} with everything in {}?", fmt::join(options.names, ", "),
                           options.names.size() == 1 ? "it" : "them"))) {
    throw UsageError("not confirmed: nothing was dropped");
  }
  TenantRegistry registry = tenant_registry(context, session);
  const std::vector<RegisteredTenant> registered = inhabitants(registry, names);
  close_homes(context, session, homes);
  for (const std::string& name : names) {
    drop_tenant(context, session, name);
    forget_dropped(context, session, registered, name);
  }
  for (const std::string& home : homes)
    tenant_places(context, session).forget_home(home);
  for (const RegisteredTenant& tenant : databases) {
    drop_database(context, session, tenant, options.admin_url, options.force);
    names.push_back(tenant.slug);
  }
  write_dropped(*context.out, context.settings.output, names,
                drop_rows_tenants(context, session, sharing, options.tables));
  return ExitCode::ok;
}

}  // namespace

void undo_failed_tenants(const Context& context, Session& session, Report& report) {
  for (SchemaReport& schema : report.schemas) {
    const bool made_something = schema.steps > 0 || schema.revision > 0;
    if (!is_problem(schema.result) || !made_something)
      continue;
    const VersionTable table(SchemaName::existing(schema.schema),
                             table_options(context.settings, session.run_id()));
    try {
      session.revive();
      drop_of(session, table, context.settings).run(0, session.deadline());
      schema.revision = 0;
      schema.steps = 0;
      if (schema.failure) {
        std::string& hint = schema.failure->hint;
        hint = "Nothing of the tenant was kept." + (hint.empty() ? "" : " " + hint);
      }
    } catch (const Error& error) {
      if (!schema.failure)
        schema.failure = std::make_unique<Failure>();
      schema.failure->hint = fmt::format(
          "The unfinished schema could not be removed ({}): run tenantctl tenant drop {}.",
          error.what(), schema.schema);
    }
  }
}

void add_tenant_drop(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand("drop", "remove a tenant with everything in it");
  auto options = std::make_shared<DropOptions>();
  command
      ->add_option("NAME", options->names,
                   "schema, or slug of a tenant of shared rows or with a database")
      ->required();
  describe_home_tables(*command, options->tables);
  add_duration(*command, "--lock-wait", context.settings.lock_wait,
               "patience with transactions that had entered a tenant of shared rows");
  describe_admin(*command, options->admin_url);
  add_switch(*command, "--force", options->force, "end the sessions that use the database")
      ->group("Databases");
  describe_tenants(*command, context);
  add_switch(*command, "-y,--yes", context.settings.yes, "do not ask");
  add_example(*command, "tenantctl tenant drop tenant_acme --yes");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_drop(context, *options); };
  });
}

}  // namespace tenantctl::cli
