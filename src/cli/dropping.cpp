#include "cli/dropping.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/database_life.h"
#include "cli/migration.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "migrate/schema_drop.h"
#include "migrate/schema_shelf.h"
#include "pq/server_error.h"

namespace tenantctl::cli {
namespace {

VersionTable table_of(const Context& context, Session& session, const SchemaName& schema) {
  return {schema, table_options(context.settings, session.run_id())};
}

[[noreturn]] void refuse_stranger(const std::string& name, FoundSchema::State state) {
  const bool missing = state == FoundSchema::State::missing;
  throw UsageError(
      fmt::format("\"{}\" is no tenant: {}", escaped_name(name),
                  missing ? "there is no such schema" : "it has no version table of ours"),
      missing ? "tenantctl tenant list shows all."
              : "DROP SCHEMA removes what tenantctl does not know.");
}

// A table that only bears the version table's name is not worth losing its schema for.
void check_rows_readable(const Context& context, Session& session, const std::string& name) {
  try {
    read_history(session.pipeline(), table_of(context, session, SchemaName::existing(name)),
                 session.deadline());
  } catch (const pq::ServerError& error) {
    throw UsageError(fmt::format("\"{}\" is no tenant: its version table cannot be read: {}",
                                 escaped_name(name), error.what()),
                     "DROP SCHEMA removes what tenantctl does not know.");
  }
}

std::vector<RegisteredTenant> rows_of(const std::vector<DropTarget>& targets,
                                      DropTarget::Kind kind) {
  std::vector<RegisteredTenant> rows;
  for (const DropTarget& target : targets) {
    if (target.kind == kind)
      rows.push_back(*target.row);
  }
  return rows;
}

// A dropped tenant has given up what it was called.
std::vector<std::string> moving_names(const std::vector<DropTarget>& targets) {
  std::vector<std::string> names;
  for (const DropTarget& target : targets) {
    if (target.dropped)
      continue;
    names.push_back(target.name);
    names.push_back(target.schema);
    if (target.row)
      names.push_back(target.row->slug);
  }
  return names;
}

}  // namespace

bool DropTarget::is_kept() const {
  return dropped ? !dropped->is_going : row.has_value() && row->is_kept;
}

Dropping::Dropping(const Context& context, Session& session, const DropRules& rules)
    : context_(context),
      session_(session),
      rules_(rules),
      registry_(tenant_registry(context, session)),
      has_registry_(registry_.is_installed()) {}

// What a person was asked about may have moved while he thought; a tenant's own row is looked at
// where it is changed.
void Dropping::check_unmoved(const DropTarget& target) {
  if (!target.row)
    refuse_moving(context_, session_, moving_names({target}));
}

void Dropping::check(const std::vector<DropTarget>& targets, bool for_good) {
  refuse_moving(context_, session_, moving_names(targets));
  const auto databases = rows_of(targets, DropTarget::Kind::database);
  if (databases.empty() && rules_.force) {
    throw UsageError("--force is for tenants with a database of their own",
                     "A schema is dropped whoever is connected.");
  }
  const auto home = std::ranges::find(targets, DropTarget::Kind::home, &DropTarget::kind);
  if (home != targets.end() && !for_good) {
    throw UsageError(
        fmt::format("\"{}\" is a home of shared rows and no tenant: nothing is kept of it",
                    escaped_name(home->schema)),
        "--purge removes it, when nobody lives there any more.");
  }
  if (for_good)
    check_erasable(context_, session_, rows_of(targets, DropTarget::Kind::rows), rules_.tables);
  check_our_databases(context_, session_, databases, rules_.admin_url);
}

TenantResult Dropping::put_aside(const DropTarget& target) {
  using Kind = DropTarget::Kind;
  const bool is_begun =
      !target.is_kept() &&
      (target.dropped ? target.dropped->is_going : target.row && target.row->state == "deleting");
  if (is_begun && target.kind != Kind::row) {
    throw Error("its purge has begun: what is left is not the whole",
                "tenantctl tenant purge finishes it.");
  }
  switch (target.kind) {
    case Kind::schema:
      put_schema_aside(target);
      break;
    case Kind::database:
      put_database_aside(context_, session_, *target.row, rules_.admin_url, rules_.force);
      break;
    case Kind::rows:
      registry_.put_aside(*target.row);
      break;
    case Kind::row:
      registry_.remove(*target.row);
      return {.tenant = target.name,
              .result = "dropped",
              .message = "there was only its row in the registry"};
    case Kind::home:
    case Kind::shelf:
      break;
  }
  if (target.is_kept())
    return {.tenant = target.name, .result = "unchanged", .message = "dropped already"};
  return {.tenant = target.name, .result = "dropped"};
}

TenantResult Dropping::purge(const DropTarget& target) {
  using Kind = DropTarget::Kind;
  switch (target.kind) {
    case Kind::schema:
    case Kind::shelf:
      return purge_schema(target);
    case Kind::database:
      return {.tenant = target.name,
              .result = "purged",
              .message =
                  purge_database(context_, session_, *target.row, rules_.admin_url, rules_.force)};
    case Kind::rows:
      return purge_rows(*target.row);
    case Kind::home:
      return purge_home(target);
    case Kind::row:
      break;
  }
  registry_.remove(*target.row);
  return {.tenant = target.name,
          .result = "purged",
          .message = "there was only its row in the registry"};
}

TenantResult Dropping::bring_back(const DropTarget& target) {
  if (!target.is_kept()) {
    throw Error("its purge has begun: what is left is not the whole",
                "tenantctl tenant purge finishes it.");
  }
  if (target.kind == DropTarget::Kind::shelf)
    return bring_schema_back(target);
  if (target.kind == DropTarget::Kind::database)
    bring_database_back(context_, session_, *target.row, rules_.admin_url);
  registry_.bring_back(target.row->slug);
  return {.tenant = target.name, .result = "restored"};
}

// A pattern finds whatever has a version table's name.
void Dropping::check_ours(const std::string& schema) { check_is_ours(context_, session_, schema); }

void Dropping::put_schema_aside(const DropTarget& target) {
  settle(
      context_, session_, target.name + " was dropped",
      [&] {
        check_ours(target.schema);
        try {
          SchemaShelf(session_.pipeline(), table_options(context_.settings, session_.run_id()))
              .put_aside(SchemaName::existing(target.schema),
                         has_registry_ ? registry_.delete_along(target.row, target.schema)
                                       : std::vector<pq::Message>{},
                         session_.deadline());
        } catch (const pq::ServerError& error) {
          TenantRegistry::explain(error);
        }
      },
      [&] { return !is_there(session_, target.schema); });
}

TenantResult Dropping::bring_schema_back(const DropTarget& target) {
  const DroppedTenant& tenant = *target.dropped;
  std::vector<std::string> lost;
  settle(
      context_, session_, tenant.name + " is back",
      [&] {
        try {
          lost =
              SchemaShelf(session_.pipeline(), table_options(context_.settings, session_.run_id()))
                  .bring_back(tenant,
                              has_registry_ ? registry_.undelete_along(tenant.schema, tenant.name)
                                            : std::vector<pq::Message>{},
                              session_.deadline());
        } catch (const pq::ServerError& error) {
          TenantRegistry::explain(error);
        }
      },
      [&] { return !is_there(session_, tenant.schema); });
  return {.tenant = target.name,
          .result = "restored",
          .message = lost.empty()
                         ? ""
                         : fmt::format("roles that had rights to it are gone: {}", few(lost))};
}

// The runtime role that is this tenant's alone; one for many is nobody's own, and stays.
std::string Dropping::own_role(const std::string& schema) {
  if (!has_registry_)
    return "";
  const auto rows = registry_.find({schema});
  const auto row = std::ranges::find_if(rows, [&schema](const RegisteredTenant& tenant) {
    return tenant.is_here() && tenant.schema == schema;
  });
  if (row == rows.end() || row->runtime_role.empty() ||
      registry_.schemas_of_roles({row->runtime_role}).size() != 1)
    return "";
  return row->runtime_role;
}

TenantResult Dropping::purge_schema(const DropTarget& target) {
  const SchemaName schema =
      target.dropped ? SchemaName::dropped(target.schema) : SchemaName::existing(target.schema);
  RuntimeRoles roles = runtime_roles(context_, session_);
  const std::string role = own_role(target.schema);
  settle(
      context_, session_, target.name + " was purged",
      [&] {
        if (!target.dropped)
          check_ours(target.schema);
        SchemaDrop::Alongside alongside;
        if (has_registry_) {
          alongside.begin = registry_.begin_purge_along(target.row);
          alongside.before = registry_.remove_along(target.row, target.schema);
        }
        if (!role.empty())
          alongside.behind.push_back(roles.drop_along(role));
        const VersionTable table = table_of(context_, session_, schema);
        try {
          SchemaDrop(session_.pipeline(), table, context_.settings.version_table)
              .run(0, session_.deadline(), std::move(alongside));
        } catch (const pq::ServerError& error) {
          TenantRegistry::explain(error);
        }
      },
      [&] { return !is_there(session_, target.schema); });
  if (!role.empty() && roles.is_ours(role)) {
    return {.tenant = target.name,
            .result = "purged",
            .message = fmt::format("role {} is kept, something else depends on it: DROP OWNED BY "
                                   "it in each database, then DROP ROLE",
                                   escaped_name(role))};
  }
  return {.tenant = target.name, .result = "purged"};
}

TenantResult Dropping::purge_rows(const RegisteredTenant& tenant) {
  TenantResult result{.tenant = tenant.slug, .result = "purged", .home = tenant.schema};
  result.erased = erase_rows(context_, session_, tenant, rules_.tables);
  registry_.remove(tenant);
  return result;
}

TenantResult Dropping::purge_home(const DropTarget& target) {
  TenantPlaces places = tenant_places(context_, session_);
  if (!places.close_home(target.schema)) {
    throw UsageError(
        fmt::format("\"{}\" is a home of shared rows, and tenants live there", target.schema),
        "Drop and purge them first, by their slugs. The home was not dropped.");
  }
  // Closed, it is no move's target any more; one that was quicker has its row by now.
  try {
    refuse_moving(context_, session_, {target.schema});
  } catch (const Error&) {
    places.finish_home(target.schema);
    throw;
  }
  TenantResult result{.tenant = target.name, .result = "purged"};
  if (is_there(session_, target.schema))
    result = purge_schema(target);
  places.forget_home(target.schema);
  return result;
}

std::vector<DroppedTenant> dropped_tenants(const Context& context, Session& session) {
  return DroppedTenants::all(session.pipeline(), context.settings.owners,
                             context.settings.version_table, session.deadline());
}

void check_is_ours(const Context& context, Session& session, const std::string& schema) {
  const FoundSchema::State state = session.schemas({schema}).schemas.front().state;
  if (state != FoundSchema::State::ours)
    refuse_stranger(schema, state);
  check_rows_readable(context, session, schema);
}

bool is_there(Session& session, const std::string& schema) {
  return session.schemas({schema}).schemas.front().state != FoundSchema::State::missing;
}

std::string few(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 10;
  std::vector<std::string> first;
  for (std::size_t i = 0; i < std::min(shown, names.size()); ++i)
    first.push_back(escaped_name(names[i]));
  return fmt::format("{}{}", fmt::join(first, ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

void ask_before(const Context& context, const std::vector<DropTarget>& targets, bool for_good) {
  const std::string what = targets.size() == 1 ? "it" : "them";
  const std::string names = few(names_of(targets));
  const std::string question =
      for_good ? fmt::format("Remove {} with everything in {}, for good?", names, what)
               : fmt::format("Drop {} with everything in {}?", names, what);
  if (!confirm(context, question)) {
    throw UsageError(for_good ? "not confirmed: nothing was removed"
                              : "not confirmed: nothing was dropped");
  }
}

std::vector<std::string> names_of(const std::vector<DropTarget>& targets) {
  std::vector<std::string> names;
  for (const DropTarget& target : targets)
    names.push_back(target.name);
  return names;
}

void describe_drop_rules(CLI::App& command, Context& context, DropRules& rules) {
  describe_home_tables(command, rules.tables);
  add_duration(command, "--lock-wait", context.settings.lock_wait,
               "patience with transactions that had entered a tenant of shared rows");
  describe_admin(command, rules.admin_url);
  add_switch(command, "--force", rules.force, "end the sessions that use the database")
      ->group("Databases");
  describe_question(command, context.settings);
  add_switch(command, "-y,--yes", context.settings.yes, "do not ask");
}

}  // namespace tenantctl::cli
