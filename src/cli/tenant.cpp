#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "cli/tenants.h"
#include "revision/target.h"

namespace tenantctl::cli {
namespace {

struct AdoptOptions {
  std::vector<std::string> names;
  std::string like;
  std::string at = "base";
};

ExitCode run_adopt(const Context& context, const AdoptOptions& options) {
  if (options.like.empty() == options.names.empty()) {
    throw UsageError("adopt needs --like or --schema", "Give one of them: --like 'tenant_%'.");
  }
  for (const std::string& name : options.names) {
    SchemaName::existing(name);
    if (name == "public") {
      throw UsageError("public is no tenant",
                       "Unqualified names of every session end there: give the tenant a schema of "
                       "its own.");
    }
  }
  const Folders folders = read_folders(context);
  const Target target = Target::parse(options.at);
  Migration migration;
  migration.target = options.at;
  migration.tenants = true;
  migration.create = Missing::table;
  migration.schemas = options.names;
  if (!options.like.empty()) {
    Session session(context);
    migration.schemas = read_schema_names(session.pipeline(), options.like, session.deadline());
    std::erase(migration.schemas, context.settings.shared_schema);
    if (migration.schemas.empty()) {
      throw UsageError(fmt::format("no schema is like '{}'", options.like),
                       "The pattern is SQL's: % any run, _ any character.");
    }
  }
  refuse_kept(context, migration.schemas);
  // A schema that has its version table already is left as it is.
  migration.plan = [target](const RevisionFolder& folder, const History& history, Missing missing) {
    if (missing == Missing::nothing) {
      Plan plan;
      plan.from = plan.to = Mark::of(folder.scope(), history);
      return plan;
    }
    return plan_stamp(folder, history, target, missing);
  };
  return migrate(context, folders, migration);
}

void add_adopt(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("adopt", "give existing schemas an empty version table");
  auto options = std::make_shared<AdoptOptions>();
  add_setting(*command, "--like", options->like, "SQL pattern of schema names");
  add_setting(*command, "-s,--schema", options->names, "schema (repeatable)");
  add_setting(*command, "--at", options->at, "revision that they are at already")
      ->capture_default_str();
  describe_tenants(*command, context);
  describe_run(*command, context.settings);
  describe_plan(*command, context.settings);
  add_example(*command, "tenantctl tenant adopt --like 'tenant_%'");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_adopt(context, *options); };
  });
}

}  // namespace

void describe_tenants(CLI::App& command, Context& context) {
  describe_output(command, context.settings);
  describe_folder(command, context.settings);
  describe_connection(command, context.settings);
  add_switch(command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
}

void add_tenant(CLI::App& app, Context& context) {
  CLI::App* tenant = app.add_subcommand("tenant", "the life of a tenant");
  tenant->require_subcommand(1);
  add_tenant_create(*tenant, context);
  add_tenant_list(*tenant, context);
  add_tenant_show(*tenant, context);
  add_tenant_rename(*tenant, context);
  add_tenant_drop(*tenant, context);
  add_tenant_undrop(*tenant, context);
  add_tenant_purge(*tenant, context);
  add_tenant_move(*tenant, context);
  add_adopt(*tenant, context);
  add_tenant_pool(*tenant, context);
  add_tenant_seed(*tenant, context);
  add_tenant_states(*tenant, context);
  add_tenant_export(*tenant, context);
  add_tenant_import(*tenant, context);
  add_tenant_clone(*tenant, context);
  add_example(*tenant, "tenantctl tenant create tenant_acme");
}

}  // namespace tenantctl::cli
