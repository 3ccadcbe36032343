#include "cli/registration.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/options.h"
#include "cli/tenants.h"

namespace tenantctl::cli {
namespace {

void refuse_ready(SchemaReport& schema, const Error& error) {
  if (is_problem(schema.result))
    return;
  schema.result = Result::failed;
  schema.failure = std::make_unique<Failure>();
  schema.failure->message = fmt::format("cannot be registered as ready: {}", error.what());
  schema.failure->hint = "Its schema is complete: run the command again.";
}

}  // namespace

void describe_runtime_roles(CLI::App& command, RuntimeRoleOptions& options) {
  const auto describe = [](CLI::Option* option) { option->group("Registry"); };
  describe(add_setting(command, "--runtime-role", options.runtime_role,
                       "role as which sessions work: its name, or per-tenant for one each"));
  describe(add_setting(command, "--runtime-member", options.members,
                       "role that may become the tenants' own, the application's (repeatable)"));
}

void describe_newcomer(CLI::App& command, NewcomerOptions& options) {
  const auto describe = [](CLI::Option* option) { option->group("Registry"); };
  describe(add_setting(command, "--slug", options.slug, "identifier; else the schema's name"));
  describe(add_setting(command, "--name", options.name, "name for people; else the schema's"));
  describe(add_setting(command, "--tier", options.traits.tier, "tier")->capture_default_str());
  describe(add_setting(command, "--metadata", options.traits.metadata, "JSON object of your own")
               ->capture_default_str());
  describe_runtime_roles(command, options);
}

void check_runtime_roles(const RuntimeRoleOptions& options) {
  if (!options.members.empty() && !options.has_own_roles()) {
    throw UsageError("--runtime-member is for tenants' own roles",
                     "Say --runtime-role per-tenant as well.");
  }
}

void check_newcomer(const NewcomerOptions& options, std::size_t names) {
  if ((!options.slug.empty() || !options.name.empty()) && names != 1) {
    throw UsageError("--slug and --name are one tenant's", "Create it alone.");
  }
  if (!options.slug.empty() && !TenantRegistry::is_slug(options.slug)) {
    throw UsageError(fmt::format("\"{}\" is no slug", escaped_name(options.slug)),
                     "A slug begins with a-z, goes on with a-z, 0-9, _ and -, and has at most 63 "
                     "bytes.");
  }
  check_runtime_roles(options);
  if (options.traits.tier.empty())
    throw UsageError("--tier is empty", "Leave it out for the tier standard.");
}

void grant_roles(const Context& context, Session& session, const RuntimeRoleOptions& options,
                 const RoleOf& role_of, Report& report) {
  // Of a hundred thousand who need none nobody is looked up.
  if (options.runtime_role.empty())
    return;
  for (SchemaReport& schema : report.schemas) {
    const std::string role = role_of(schema.schema);
    if (is_problem(schema.result) || role.empty())
      continue;
    try {
      session.revive();
      RuntimeRoles roles = runtime_roles(context, session);
      if (options.has_own_roles())
        roles.make(role, schema.schema, options.members);
      else
        roles.grant(role, schema.schema);
    } catch (const Error& error) {
      // A translation: one tenant has failed, and is taken away again as others are.
      schema.result = Result::failed;
      schema.failure = std::make_unique<Failure>();
      schema.failure->message = error.what();
      schema.failure->hint = error.hint();
    }
  }
}

void drop_roles(const Context& context, Session& session, const RuntimeRoleOptions& options,
                const RoleOf& role_of, const Report& report) {
  if (!options.has_own_roles())
    return;
  for (const SchemaReport& schema : report.schemas) {
    const std::string role = role_of(schema.schema);
    if (!is_problem(schema.result) || role.empty() || schema.revision > 0)
      continue;
    try {
      runtime_roles(context, session).drop(role);
    } catch (const Error&) {
      // The failure is told already; a role without rights is in nobody's way.
      continue;
    }
  }
}

void Registration::refuse_options() const {
  const TenantTraits usual;
  if (options_.slug.empty() && options_.name.empty() && options_.traits.tier == usual.tier &&
      options_.traits.metadata == usual.metadata && options_.runtime_role.empty())
    return;
  throw UsageError(
      "there is no registry in this database: --slug, --name, --tier, --metadata and "
      "--runtime-role have no place",
      "tenantctl registry init makes it.");
}

void Registration::read(Session& session, const Fleet& fleet,
                        const std::vector<std::uint32_t>& selected) {
  TenantRegistry registry = tenant_registry(context_, session);
  installed_ = registry.is_installed();
  if (!installed_) {
    refuse_options();
    return;
  }
  std::vector<std::string> wanted;
  for (const std::uint32_t i : selected) {
    const std::string& schema = fleet.schemas[i].schema;
    tenants_.push_back({.slug = options_.slug.empty() ? schema : options_.slug,
                        .name = options_.name.empty() ? schema : options_.name,
                        .schema = schema});
    wanted.push_back(schema);
  }
  if (!options_.slug.empty())
    wanted.push_back(options_.slug);
  read_roles(session);
  for (const RegisteredTenant& tenant : registry.find(wanted))
    take_over(tenant);
  std::ranges::sort(unfinished_);
}

const NewTenant* Registration::find(std::string_view schema) const {
  const auto at = std::ranges::find(tenants_, schema, &NewTenant::schema);
  return at == tenants_.end() ? nullptr : &*at;
}

// Who works as which role is settled, and found possible, before anything is made.
void Registration::read_roles(Session& session) {
  if (options_.runtime_role.empty())
    return;
  RuntimeRoles roles = runtime_roles(context_, session);
  if (!options_.has_own_roles()) {
    roles.check_given(options_.runtime_role);
    for (NewTenant& tenant : tenants_)
      tenant.runtime_role = options_.runtime_role;
    return;
  }
  std::vector<std::string> names;
  const std::string database = roles.database();
  for (NewTenant& tenant : tenants_) {
    tenant.runtime_role = RuntimeRoles::name_of(database, tenant.schema);
    names.push_back(tenant.runtime_role);
  }
  for (const std::string& member : options_.members)
    roles.check_given(member);
  roles.check_free(names);
  for (const std::string& schema : tenant_registry(context_, session).schemas_of_roles(names)) {
    if (find(schema) == nullptr) {
      throw UsageError(fmt::format("the tenant of schema {} works as a role that a new tenant "
                                   "would be given by its name",
                                   schema),
                       "It was renamed or dropped. Name a role with --runtime-role NAME.");
    }
  }
}

std::string Registration::role_of(const std::string& schema) const {
  const NewTenant* tenant = find(schema);
  return tenant == nullptr ? "" : tenant->runtime_role;
}

void Registration::grant(Session& session, Report& report) {
  grant_roles(
      context_, session, options_, [this](const std::string& schema) { return role_of(schema); },
      report);
}

void Registration::drop_roles(Session& session, const Report& report) {
  cli::drop_roles(
      context_, session, options_, [this](const std::string& schema) { return role_of(schema); },
      report);
}

void Registration::take_over(const RegisteredTenant& tenant) {
  // The slugs of others may be what some of the schemas are called, if --slug names another.
  const bool is_asked_for = std::ranges::any_of(tenants_, [&tenant](const NewTenant& one) {
    return one.slug == tenant.slug || (tenant.is_here() && one.schema == tenant.schema);
  });
  if (!is_asked_for)
    return;
  const bool is_same =
      tenant.is_here() && std::ranges::any_of(tenants_, [&tenant](const NewTenant& one) {
        return one.slug == tenant.slug && one.schema == tenant.schema;
      });
  if (is_same && tenant.state == "provisioning" && !tenant.is_being_made) {
    unfinished_.push_back(tenant.schema);
    return;
  }
  throw UsageError(
      fmt::format("tenant {} is registered already: {}{}", tenant.slug, tenant.state,
                  tenant.schema.empty() ? "" : fmt::format(", in schema {}", tenant.schema)),
      tenant.is_being_made ? "Another run is making it. Nothing was made."
      : tenant.is_kept     ? "tenantctl tenant undrop brings it back, tenant purge frees the name. "
                             "Nothing was made."
                           : "tenantctl tenant list shows all. Nothing was made.");
}

void Registration::begin(Session& session) {
  if (!installed_)
    return;
  tenant_registry(context_, session)
      .provision(tenants_, options_.traits, session.run_id(), !session.via_pooler());
  begun_ = true;
}

bool Registration::is_unfinished(std::string_view schema) const {
  return std::ranges::binary_search(unfinished_, schema);
}

std::string Registration::slug_of(const std::string& schema) const {
  return options_.slug.empty() ? schema : options_.slug;
}

void Registration::forget_missing(Session& session) {
  std::vector<std::string> schemas;
  for (const NewTenant& tenant : tenants_)
    schemas.push_back(tenant.schema);
  std::vector<std::string> gone;
  const Fleet fleet = session.schemas(schemas);
  for (const FoundSchema& found : fleet.schemas) {
    if (found.state == FoundSchema::State::missing)
      gone.push_back(slug_of(found.schema));
  }
  if (!gone.empty())
    tenant_registry(context_, session).forget(gone, session.run_id());
}

void Registration::end(Session& session, Report& report) {
  if (!installed_)
    return;
  std::vector<std::string> ready;
  for (const SchemaReport& schema : report.schemas) {
    if (schema.result == Result::applied || schema.result == Result::unchanged)
      ready.push_back(slug_of(schema.schema));
  }
  try {
    session.revive();
    tenant_registry(context_, session).finish(ready, session.run_id());
    forget_missing(session);
  } catch (const Error& error) {
    // A translation: what was made must still be told.
    for (SchemaReport& schema : report.schemas)
      refuse_ready(schema, error);
  }
}

void Registration::abandon(Session& session) {
  if (!begun_)
    return;
  try {
    session.revive();
    forget_missing(session);
  } catch (const Error&) {
    // The error that ended the command is the one to tell; a later create takes over what is left.
    return;
  }
}

}  // namespace tenantctl::cli
