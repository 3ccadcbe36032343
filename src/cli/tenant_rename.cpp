#include <fmt/format.h>

#include "base/text.h"
#include "cli/database_life.h"
#include "cli/life.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "cli/resident_gates.h"
#include "migrate/schema_rename.h"
#include "output/life_writer.h"
#include "pq/server_error.h"

namespace tenantctl::cli {
namespace {

struct RenameOptions {
  std::string from;
  std::string to;
  std::string slug;
  std::string admin_url;
  bool forces = false;
};

void check_new_slug(const std::string& slug) {
  if (!TenantRegistry::is_slug(slug)) {
    throw UsageError(fmt::format("\"{}\" is no slug", escaped_name(slug)),
                     "A slug begins with a-z, goes on with a-z, 0-9, _ and -, and has at most 63 "
                     "bytes.");
  }
}

void check_renamable(const Named& tenant) {
  if (!tenant.row)
    return;
  const RegisteredTenant& row = *tenant.row;
  if (row.state == "provisioning") {
    throw UsageError(
        fmt::format("tenant {} is provisioning", row.slug),
        row.is_being_made ? "Wait until it is made." : "tenantctl tenant create completes it.");
  }
  if (row.state == "deleting") {
    throw UsageError(fmt::format("tenant {} is deleting", row.slug),
                     row.is_kept ? "tenantctl tenant undrop brings it back."
                                 : "tenantctl tenant drop finishes it.");
  }
}

void check_places(Session& session, const std::string& from, const std::string& to) {
  const Fleet fleet = session.schemas({from, to});
  const FoundSchema::State state = fleet.find(from)->state;
  if (state != FoundSchema::State::ours) {
    throw UsageError(
        fmt::format("\"{}\" is no tenant: {}", escaped_name(from),
                    state == FoundSchema::State::missing ? "there is no such schema"
                                                         : "it has no version table of ours"),
        fleet.find(to)->state == FoundSchema::State::ours
            ? fmt::format("{} is one: perhaps it was renamed already.", to)
            : "tenantctl tenant list shows all.");
  }
  if (fleet.find(to)->state != FoundSchema::State::missing) {
    throw UsageError(fmt::format("a schema of that name is there already: {}", to),
                     "Use another name; nothing was changed.");
  }
}

// A home's tenants name it, and a pool's schema is nobody's yet.
void refuse_places(const Context& context, Session& session, const std::string& schema) {
  for (const TenantPlace& place : tenant_places(context, session).all()) {
    if (place.schema != schema)
      continue;
    throw UsageError(fmt::format("\"{}\" is no tenant: it is {}", escaped_name(schema),
                                 place.is_home() ? "a home of shared rows" : "of the pool"),
                     place.is_home() ? "Its tenants can be renamed, by their slugs."
                                     : "tenantctl tenant create takes it under a name.");
  }
}

// What became of it if the answer was lost: nobody had the new name before.
bool is_renamed(Session& session, const std::string& from, const std::string& to) {
  const Fleet fleet = session.schemas({from, to});
  return fleet.find(from)->state == FoundSchema::State::missing &&
         fleet.find(to)->state != FoundSchema::State::missing;
}

TenantRename rename_schema(const Context& context, Session& session, const Named& tenant,
                           const RenameOptions& options) {
  SchemaName::create(options.to);
  for (const std::string& name : {tenant.schema, options.to}) {
    if (name == context.settings.shared_schema)
      throw UsageError(fmt::format("{} holds the shared scope", name), "Use another name.");
  }
  TenantRegistry registry = tenant_registry(context, session);
  const bool has_registry = registry.is_installed();
  if (!has_registry && !options.slug.empty()) {
    throw UsageError("there is no registry in this database: --slug has no place",
                     "tenantctl registry init makes it.");
  }
  if (tenant.schema == options.to)
    throw UsageError(fmt::format("{} is called so already", options.to), "");
  refuse_places(context, session, tenant.schema);
  check_places(session, tenant.schema, options.to);
  const VersionTable table(SchemaName::existing(tenant.schema),
                           table_options(context.settings, session.run_id()));
  TenantRename result{.from = tenant.schema, .to = options.to, .forced = options.forces};
  settle(
      context, session, tenant.schema + " was renamed",
      [&] {
        SchemaRename::Request request{.to = SchemaName::create(options.to),
                                      .shared_schema = context.settings.shared_schema,
                                      .forces = options.forces};
        if (has_registry)
          request.alongside =
              registry.rename_along(tenant.row, tenant.schema, options.to, options.slug);
        try {
          result.texts =
              SchemaRename(session.pipeline(), table).run(std::move(request), session.deadline());
        } catch (const pq::ServerError& error) {
          TenantRegistry::explain(error);
        }
      },
      [&] { return is_renamed(session, tenant.schema, options.to); });
  return result;
}

// A gate lets nobody in under another slug than the one it was told.
void tell_gate_inside(const Context& context, Session& session,
                      const std::vector<RegisteredTenant>& renamed) {
  const ResidentGates gates = settle_residents(context, session, renamed);
  if (!gates.failed.empty()) {
    warn(context,
         fmt::format("the gate in its database knows the old name only: {}; tenantctl gate "
                     "install tells it the new one",
                     gates.failed.front().message));
  }
}

// Whom the registry alone calls by his name.
TenantRename rename_row(const Context& context, Session& session, const RegisteredTenant& row,
                        const RenameOptions& options) {
  check_new_slug(options.to);
  if (!options.slug.empty() || options.forces) {
    throw UsageError(fmt::format("tenant {} is called by its slug alone", row.slug),
                     "Leave --slug and --force out: NEW is the slug.");
  }
  if (row.slug == options.to)
    throw UsageError(fmt::format("{} is called so already", options.to), "");
  TenantRename result{.from = row.slug, .to = options.to, .isolation = row.isolation};
  TenantRegistry registry = tenant_registry(context, session);
  const auto is_done = [&] {
    const auto found = registry.find({row.slug, options.to});
    return found.size() == 1 && found.front().slug == options.to && found.front().id == row.id;
  };
  if (row.has_rows()) {
    settle(
        context, session, row.slug + " was renamed", [&] { registry.rename(row, options.to, ""); },
        is_done);
    return result;
  }
  settle(
      context, session, row.slug + " was renamed",
      [&] {
        // Read anew: an attempt that was lost has left a note in the row.
        const auto found = registry.find({row.slug});
        const RegisteredTenant* now = find_tenant(found, row.slug);
        if (now == nullptr)
          throw Error(fmt::format("tenant {} is gone", row.slug), "");
        result.database = rename_database(context, session, *now, options.to, options.admin_url);
      },
      is_done);
  tell_gate_inside(context, session, registry.find({options.to}));
  return result;
}

ExitCode run_rename(const Context& context, const RenameOptions& options) {
  Session session(context);
  TenantRegistry registry = tenant_registry(context, session);
  const Named tenant = find_named(registry, {options.from}).front();
  check_renamable(tenant);
  refuse_moving(context, session, {options.from});
  const bool is_by_slug =
      tenant.row && (tenant.row->has_rows() || tenant.row->isolation == "database");
  if (!is_by_slug) {
    refuse_elsewhere(context, tenant,
                     "Rename the schema there by ALTER SCHEMA, and its row in the registry.");
  }
  const TenantRename result = is_by_slug ? rename_row(context, session, *tenant.row, options)
                                         : rename_schema(context, session, tenant, options);
  write_rename(*context.out, *context.err, context.settings.output, result);
  return result.is_done() ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_tenant_rename(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand(
      "rename", "another name for a tenant, in its place and in the registry at once");
  auto options = std::make_shared<RenameOptions>();
  command->add_option("OLD", options->from, "tenant, by slug or schema")->required();
  command
      ->add_option("NEW", options->to,
                   "its schema's new name; of one with a database or shared rows, its slug")
      ->required();
  add_setting(*command, "--slug", options->slug,
              "its new identifier; else the slug follows where it was the schema's name");
  add_switch(*command, "--force", options->forces,
             "although functions, literals or roles' settings say the old name");
  describe_admin(*command, options->admin_url);
  describe_question(*command, context.settings);
  add_example(*command, "tenantctl tenant rename acme acme_corp");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_rename(context, *options); };
  });
}

}  // namespace tenantctl::cli
