#include <algorithm>
#include <utility>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/survey.h"
#include "cli/tenants.h"
#include "output/roles_writer.h"
#include "rollout/site_visits.h"
#include "tenant/fleet_roles.h"

namespace tenantctl::cli {
namespace {

struct RolesOptions {
  FleetRoleNames names;
  bool without_execute = false;
  bool dry_run = false;
  bool sql = false;
};

// Who logs in makes the roles, and sees them where --role names one that is not there yet.
Context as_login(const Context& context) {
  Context plain = context;
  plain.settings.role.clear();
  return plain;
}

Context as_owner(const Context& context, const std::string& owner) {
  Context acting = context;
  acting.settings.role = owner;
  acting.settings.quiet = true;
  return acting;
}

FleetRoles open_roles(pq::Pipeline& pipeline, const Settings& settings) {
  return {pipeline, settings.version_table, settings.answer_timeout};
}

FleetRoleNames complete_names(const Context& context, FleetRoles& roles, FleetRoleNames names) {
  if (names.owner.empty())
    names.owner = context.settings.role;
  return roles.complete(std::move(names));
}

ExitCode show_roles_plan(const Context& context, const RolesOptions& options,
                         std::vector<FleetRoleStep> steps, const FleetRoleFacts& facts) {
  for (FleetRoleStep& step : plan_reading(facts))
    steps.push_back(std::move(step));
  if (context.is_json())
    write_roles_plan_json(*context.out, steps, facts.owner.name);
  else if (options.sql)
    write_roles_sql(*context.out, steps, facts.owner.name);
  else
    write_roles_plan(*context.out, steps);
  return ExitCode::ok;
}

// A schema that is dropped meanwhile takes its batch along: the others are read anew.
std::size_t let_all_read(FleetRoles roles, const FleetRoleNames& names) {
  constexpr int most_tries = 5;
  std::size_t count = 0;
  for (int tries = 1;; ++tries) {
    const FleetRoleFacts facts = roles.read(names);
    try {
      std::size_t left = facts.unreadable.size();
      for (const FleetRoleStep& step : plan_reading(facts)) {
        roles.run({step}, names.owner);
        const std::size_t done = std::min(left, tables_at_a_time);
        count += done;
        left -= done;
      }
      return count;
    } catch (const pq::ServerError& error) {
      const bool is_gone = error.is("3F000") || error.is("42P01");
      if (!is_gone || tries == most_tries)
        throw;
    }
  }
}

void settle_databases(const Context& acting, Session& session, const FleetRoleNames& names,
                      RolesInstall& result) {
  std::vector<RegisteredTenant> tenants;
  if (session.fleet().has_registry)
    tenants = tenant_registry(acting, session).elsewhere().tenants;
  std::erase_if(tenants, [](const RegisteredTenant& tenant) {
    return tenant.state == "provisioning" || tenant.state == "deleting";
  });
  std::vector<pq::ConnectOptions> sites;
  for (const RegisteredTenant& tenant : tenants)
    sites.push_back(session.connect_options(tenant.site()));
  const Settings& settings = acting.settings;
  const auto settle = [&](std::size_t /*site*/, SiteSession& database) {
    FleetRoles roles = open_roles(database.pipeline(), settings);
    const FleetRoleFacts facts = roles.read(names);
    if (!facts.status.is_there || !facts.migrator.is_there)
      throw Error("the roles are not on that server");
    try {
      roles.run(plan_connecting(facts), names.owner);
      let_all_read(roles, names);
    } catch (const UsageError& error) {
      // A translation: what one database does not allow keeps nobody else from it.
      throw Error(error.what(), error.hint());
    }
  };
  const std::vector<std::string> problems = visit_sites(sites, connections_for(acting), settle);
  for (std::size_t i = 0; i < tenants.size(); ++i) {
    if (problems[i].empty())
      ++result.databases;
    else
      result.failed.push_back(
          {.tenant = tenants[i].slug, .result = "failed", .message = problems[i]});
  }
}

ExitCode run_roles_install(const Context& context, const RolesOptions& options) {
  const Context plain = as_login(context);
  Session session(plain);
  FleetRoles roles = open_roles(session.pipeline(), plain.settings);
  const FleetRoleNames names = complete_names(context, roles, options.names);
  const FleetRoleFacts facts = roles.read(names);
  const std::vector<FleetRoleStep> steps = plan_roles(facts, options.without_execute);
  if (options.dry_run || options.sql)
    return show_roles_plan(context, options, steps, facts);
  RolesInstall result;
  if (!steps.empty())
    roles.run(steps, names.owner);
  for (const FleetRoleStep& step : steps)
    result.done.push_back(step.what);
  result.tables = let_all_read(roles, names);
  const Context acting = as_owner(context, names.owner);
  Session owner(acting);
  settle_databases(acting, owner, names, result);
  result.facts = roles.read(names);
  write_roles_install(*context.out, *context.err, context.settings.output, result);
  return result.failed.empty() ? ExitCode::ok : ExitCode::failed;
}

ExitCode run_roles_show(const Context& context, const RolesOptions& options) {
  const Context plain = as_login(context);
  Session session(plain);
  FleetRoles roles = open_roles(session.pipeline(), plain.settings);
  write_roles(*context.out, context.settings.output,
              roles.read(complete_names(context, roles, options.names)));
  return ExitCode::ok;
}

void describe_names(CLI::App& command, FleetRoleNames& names) {
  add_setting(command, "--owner-role", names.owner,
              "role that owns everything; else --role, else DATABASE_owner");
  add_setting(command, "--migrator-role", names.migrator,
              "role that logs in and acts as it; else DATABASE_migrator");
  add_setting(command, "--status-role", names.status,
              "role that sees where schemas stand; else DATABASE_status");
}

void add_roles_install(CLI::App& roles, Context& context) {
  CLI::App* command =
      roles.add_subcommand("install", "make owner, migrating and status role, or complete them");
  auto options = std::make_shared<RolesOptions>();
  describe_names(*command, options->names);
  add_switch(*command, "--no-public-execute", options->without_execute,
             "what the owner makes from now on is not for everybody to call");
  add_switch(*command, "-n,--dry-run", options->dry_run, "tell what would be done, touch nothing");
  add_switch(*command, "--sql", options->sql, "print the SQL that would be sent");
  describe_question(*command, context.settings);
  add_example(*command, "tenantctl roles install --sql");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_roles_install(context, *options); };
  });
}

}  // namespace

void add_roles(CLI::App& app, Context& context) {
  CLI::App* roles = app.add_subcommand("roles", "who owns, who migrates, who may look");
  roles->require_subcommand(1);
  add_example(*roles, "tenantctl roles install --sql");
  add_roles_install(*roles, context);
  CLI::App* show = roles->add_subcommand("show", "the roles as they are, and what is amiss");
  auto options = std::make_shared<RolesOptions>();
  describe_names(*show, options->names);
  describe_question(*show, context.settings);
  add_example(*show, "tenantctl roles show");
  show->callback([&context, options] {
    context.run = [&context, options] { return run_roles_show(context, *options); };
  });
}

}  // namespace tenantctl::cli
