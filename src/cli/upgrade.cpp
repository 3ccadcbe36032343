#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "cli/plan.h"
#include "revision/target.h"

namespace tenantctl::cli {
namespace {

struct UpgradeOptions {
  std::string target = "head";
  bool create = false;
  std::string plan;         ///< a file of `tenantctl plan`
  bool has_target = false;  ///< TARGET was given
};

Migration upgrade_migration(const Settings& settings, const std::string& target) {
  Migration migration;
  migration.target = target;
  migration.plan = [parsed = Target::parse(target), late = settings.allow_out_of_order](
                       const RevisionFolder& folder, const History& history, Missing missing) {
    return plan_upgrade(folder, history, parsed, {.allow_out_of_order = late, .missing = missing});
  };
  // The first upgrade of the shared scope makes its schema.
  migration.create_shared = Missing::schema;
  return migration;
}

// A schema of that name would be another tenant, beside the one who is meant.
void refuse_settled(const Context& context, Session& session, const Fleet& fleet) {
  std::vector<std::string> missing;
  for (const FoundSchema& found : fleet.schemas) {
    if (found.state == FoundSchema::State::missing || found.state == FoundSchema::State::bare)
      missing.push_back(found.schema);
  }
  if (!fleet.has_registry || missing.empty())
    return;
  for (const RegisteredTenant& tenant : tenant_registry(context, session).find_own(missing)) {
    if (tenant.is_elsewhere()) {
      throw UsageError(fmt::format("tenant {} lives in {}: --create would make another one here",
                                   tenant.slug, tenant.place()),
                       "Leave --create away.");
    }
  }
}

ExitCode run(const Context& context, const UpgradeOptions& options) {
  const Settings& settings = context.settings;
  Migration migration = upgrade_migration(settings, options.target);
  const Scope scope = scope_of_schemas(context);
  if (settings.schemas.empty() && scope == Scope::tenant) {
    throw UsageError(
        "upgrade needs a schema",
        "Name it with --schema, or say --scope shared; upgrade-all takes all tenants.");
  }
  for (const std::string& schema : settings.schemas) {
    if (options.create && scope == Scope::tenant) {
      SchemaName::create(schema);
    } else {
      SchemaName::existing(schema);
    }
  }
  const Folders folders = read_folders(context);
  if (!settings.from.empty()) {
    return print_sql_offline(
        context, folders, scope,
        settings.schemas.empty() ? settings.shared_schema : settings.schemas.front(), migration);
  }
  migration.shared = scope == Scope::shared;
  migration.tenants = scope == Scope::tenant;
  if (migration.tenants)
    migration.schemas = settings.schemas;
  if (options.create) {
    migration.create = Missing::schema;
    migration.prepare = [&context](Session& session, const Fleet& fleet,
                                   const std::vector<std::uint32_t>& /*selected*/) {
      refuse_settled(context, session, fleet);
    };
    refuse_kept(context, migration.schemas);
  }
  return migrate(context, folders, migration);
}

ExitCode run_all(const Context& context, const UpgradeOptions& options) {
  if (!options.plan.empty())
    return carry_out_plan(context, options.plan, options.has_target);
  const Folders folders = read_folders(context);
  return migrate(context, folders, upgrade_all_migration(context, folders, options.target));
}

CLI::Option* describe_target(CLI::App& command, std::string& target) {
  return command.add_option("TARGET", target, "head, a revision (unique prefix), or +N")
      ->capture_default_str();
}

void describe_upgrade(CLI::App& command, Settings& settings) {
  describe_output(command, settings);
  describe_folder(command, settings);
  describe_connection(command, settings);
  describe_run(command, settings);
  describe_plan(command, settings);
  add_switch(command, "--allow-out-of-order", settings.allow_out_of_order,
             "apply revisions that are older than applied ones");
  add_switch(command, "-q,--quiet", settings.quiet, "no progress, no warnings");
}

}  // namespace

Migration upgrade_all_migration(const Context& context, const Folders& folders,
                                const std::string& target) {
  Migration migration = upgrade_migration(context.settings, target);
  const Target parsed = Target::parse(target);
  migration.tenants = true;
  migration.follows = true;
  // An empty shared folder asks for no shared schema.
  migration.shared = !folders.shared.is_blank();
  // TARGET is about tenants; the shared scope is a prerequisite and goes to its head.
  migration.plan = [parsed, late = context.settings.allow_out_of_order](
                       const RevisionFolder& folder, const History& history, Missing missing) {
    const Target& goal = folder.scope() == Scope::shared ? Target::head() : parsed;
    return plan_upgrade(folder, history, goal, {.allow_out_of_order = late, .missing = missing});
  };
  if (parsed.kind() == Target::Kind::revision)
    parsed.find_in(folders.tenant);
  return migration;
}

void add_upgrade(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("upgrade", "bring schemas, or the shared scope, forward");
  auto options = std::make_shared<UpgradeOptions>();
  describe_target(*command, options->target);
  describe_schemas(*command, context.settings);
  describe_scope(*command, context.settings, "shared or tenant; told by the schema else");
  add_switch(*command, "--create", options->create,
             "make what is missing: schema and version table");
  describe_upgrade(*command, context.settings);
  add_example(*command, "tenantctl upgrade --schema tenant_acme");
  command->callback([&context, options] {
    context.run = [&context, options] { return run(context, *options); };
  });
}

void add_upgrade_all(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("upgrade-all", "bring the shared scope, then every tenant forward");
  auto options = std::make_shared<UpgradeOptions>();
  CLI::Option* target = describe_target(*command, options->target);
  add_setting(*command, "--plan", options->plan,
              "file of tenantctl plan: exactly that, and no schema that is elsewhere")
      ->group("Plan");
  describe_schemas(*command, context.settings);
  describe_selection(*command, context.settings);
  describe_waves(*command, context.settings);
  describe_upgrade(*command, context.settings);
  add_example(*command, "tenantctl upgrade-all --canary 1 --waves 10%,100% --max-failures 2%");
  command->callback([&context, options, target] {
    options->has_target = target->count() > 0;
    context.run = [&context, options] { return run_all(context, *options); };
  });
}

}  // namespace tenantctl::cli
