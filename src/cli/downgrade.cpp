#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "revision/target.h"

namespace tenantctl::cli {
namespace {

Migration downgrade_migration(const std::string& target) {
  Migration migration;
  migration.target = target;
  migration.plan = [parsed = Target::parse(target)](const RevisionFolder& folder,
                                                    const History& history, Missing /*missing*/) {
    return plan_downgrade(folder, history, parsed);
  };
  return migration;
}

// A dry run and --sql change nothing, so they need no answer.
bool go_on(const Context& context, const std::string& question) {
  return context.settings.dry_run || context.settings.sql || confirm(context, question);
}

ExitCode run(const Context& context, const std::string& target) {
  const Settings& settings = context.settings;
  Migration migration = downgrade_migration(target);
  const Scope scope = scope_of_schemas(context);
  if (settings.schemas.empty() && scope == Scope::tenant) {
    throw UsageError("downgrade needs a schema",
                     "Name it with --schema; downgrade-all takes all tenants.");
  }
  for (const std::string& schema : settings.schemas)
    SchemaName::existing(schema);
  const Folders folders = read_folders(context);
  if (!settings.from.empty()) {
    return print_sql_offline(
        context, folders, scope,
        settings.schemas.empty() ? settings.shared_schema : settings.schemas.front(), migration);
  }
  if (!go_on(context, fmt::format("Take {} back to {}?",
                                  scope == Scope::shared
                                      ? "the shared scope"
                                      : fmt::format("{}", fmt::join(settings.schemas, ", ")),
                                  target))) {
    throw UsageError("not confirmed: nothing was touched");
  }
  migration.shared = scope == Scope::shared;
  migration.tenants = scope == Scope::tenant;
  if (migration.tenants)
    migration.schemas = settings.schemas;
  return migrate(context, folders, migration);
}

ExitCode run_all(const Context& context, const std::string& target) {
  Migration migration = downgrade_migration(target);
  const Folders folders = read_folders(context);
  if (!go_on(context, fmt::format("Take every selected tenant back to {}?", target))) {
    throw UsageError("not confirmed: nothing was touched");
  }
  // Tenants only: what they share is taken back by name (downgrade --scope shared).
  migration.tenants = true;
  return migrate(context, folders, migration);
}

void describe_common(CLI::App& command, Context& context, std::string& target) {
  command.add_option("TARGET", target, "base, a revision (unique prefix), or -N")->required();
  describe_schemas(command, context.settings);
  describe_output(command, context.settings);
  describe_folder(command, context.settings);
  describe_connection(command, context.settings);
  describe_run(command, context.settings);
  describe_plan(command, context.settings);
  add_switch(command, "-y,--yes", context.settings.yes, "do not ask");
  add_switch(command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
}

}  // namespace

void add_downgrade(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("downgrade", "take schemas, or the shared scope, back");
  auto target = std::make_shared<std::string>();
  describe_scope(*command, context.settings, "shared or tenant; told by the schema else");
  describe_common(*command, context, *target);
  add_example(*command, "tenantctl downgrade -1 --schema tenant_acme");
  command->callback(
      [&context, target] { context.run = [&context, target] { return run(context, *target); }; });
}

void add_downgrade_all(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("downgrade-all", "take every tenant back");
  auto target = std::make_shared<std::string>();
  describe_common(*command, context, *target);
  describe_selection(*command, context.settings);
  describe_waves(*command, context.settings);
  add_example(*command, "tenantctl downgrade-all 20261120101600 --yes");
  command->callback([&context, target] {
    context.run = [&context, target] { return run_all(context, *target); };
  });
}

}  // namespace tenantctl::cli
