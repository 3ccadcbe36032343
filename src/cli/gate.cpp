#include "tenant/gate.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/resident_gates.h"
#include "cli/session.h"
#include "cli/tenants.h"
#include "output/gate_writer.h"

namespace tenantctl::cli {
namespace {

struct GateSettings {
  std::vector<std::string> runtime_roles;
  std::vector<std::string> claim_roles;
  std::string admin_role;
};

// Who has a database that is whole.
std::vector<RegisteredTenant> residents(const Context& context, Session& session) {
  std::vector<RegisteredTenant> tenants = tenant_registry(context, session).elsewhere().tenants;
  std::erase_if(tenants, [](const RegisteredTenant& tenant) {
    return tenant.isolation != "database" || tenant.state == "provisioning" ||
           tenant.state == "deleting";
  });
  return tenants;
}

ExitCode run_install(const Context& context, const GateSettings& gate) {
  Session session(context);
  GateOptions options{.version_table = context.settings.version_table,
                      .path_behind = path_behind(context.settings),
                      .runtime_roles = gate.runtime_roles,
                      .claim_roles = gate.claim_roles};
  if (!gate.admin_role.empty()) {
    options.admin_role = gate.admin_role;
  }
  const Installed installed = tenant_gate(context, session).install(options);
  const ResidentGates inside = settle_residents(context, session, residents(context, session));
  write_gate_install(*context.out, *context.err, context.settings.output, installed, inside);
  return inside.failed.empty() ? ExitCode::ok : ExitCode::failed;
}

ExitCode run_show(const Context& context) {
  Session session(context);
  const auto state = tenant_gate(context, session).show();
  if (!state) {
    throw UsageError("there is no gate in this database", "tenantctl gate install installs it.");
  }
  write_gate(*context.out, context.settings.output, *state);
  return ExitCode::ok;
}

void add_install(CLI::App& gate, Context& context) {
  CLI::App* command = gate.add_subcommand("install", "make the gate, or take it to this version");
  auto settings = std::make_shared<GateSettings>();
  add_setting(*command, "--runtime-role", settings->runtime_roles,
              "role that may enter tenants (repeatable)");
  add_setting(*command, "--claim-role", settings->claim_roles,
              "role that may claim tenants of the pool (repeatable)");
  add_setting(*command, "--admin-role", settings->admin_role,
              "group that may look across tenants, made if there is none");
  add_setting(*command, "--search-path-extra", context.settings.search_path_extra,
              "schema behind the tenant's in the search_path (repeatable)");
  add_switch(*command, "--shared-in-path", context.settings.shared_in_path,
             "tenants see the shared schema's names unqualified");
  describe_question(*command, context.settings);
  add_example(*command, "tenantctl gate install --runtime-role app --admin-role support");
  command->callback([&context, settings] {
    context.run = [&context, settings] { return run_install(context, *settings); };
  });
}

}  // namespace

void add_gate(CLI::App& app, Context& context) {
  CLI::App* gate = app.add_subcommand("gate", "functions by which applications enter a tenant");
  gate->require_subcommand(1);
  add_example(*gate, "tenantctl gate install --runtime-role app");
  add_install(*gate, context);
  CLI::App* show = gate->add_subcommand("show", "how it is, who may enter, who may look across");
  describe_question(*show, context.settings);
  add_example(*show, "tenantctl gate show");
  show->callback([&context] { context.run = [&context] { return run_show(context); }; });
}

}  // namespace tenantctl::cli
