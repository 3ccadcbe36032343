#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/database_admin.h"
#include "cli/tenant_databases.h"
#include "cli/tenant_mover.h"
#include "cli/tenants.h"
#include "pq/transaction.h"
#include "revision/target.h"
#include "rollout/site_visits.h"
#include "rollout/standing.h"
#include "tenant/own_tables.h"

namespace tenantctl::cli {

std::string TenantMover::first_lines(const std::vector<std::string>& lines) {
  constexpr std::size_t shown = 10;
  std::vector<std::string> first(
      lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(std::min(shown, lines.size())));
  for (std::string& line : first)
    line = escaped_name(line);
  return fmt::format(
      "{}{}", fmt::join(first, "; "),
      lines.size() > shown ? fmt::format("; and {} more", lines.size() - shown) : "");
}

MovePlace TenantMover::place_of_tenant(const RegisteredTenant& tenant) {
  return {.isolation = tenant.isolation, .schema = tenant.schema, .database = tenant.database};
}

MovePlace TenantMover::home_of(const std::string& asked) {
  std::vector<std::string> homes;
  for (const TenantPlace& place : tenant_places(context_, session_).all()) {
    if (place.is_home() && place.is_ready && (asked.empty() || place.schema == asked))
      homes.push_back(place.schema);
  }
  if (homes.size() == 1)
    return {.isolation = "rows", .schema = homes.front(), .database = {}};
  throw UsageError(homes.empty() ? "there is no such home of shared rows in this database"
                                 : fmt::format("there are several homes of shared rows: {}",
                                               fmt::join(homes, ", ")),
                   homes.empty() ? "tenantctl tenant create NAME --isolation rows --home SCHEMA "
                                   "makes one."
                                 : "Name one with --home.");
}

MovePlace TenantMover::target_of(const RegisteredTenant& tenant) {
  if (options_.to == tenant.isolation) {
    throw UsageError(fmt::format("tenant {} lives in {} already", tenant.slug,
                                 place_text(place_of_tenant(tenant))),
                     "Nothing was moved.");
  }
  if (options_.to == "rows")
    return home_of(options_.home);
  if (options_.to == "database") {
    const std::string name = options_.prefix + tenant.slug;
    SchemaName::create(options_.database_schema);
    if (name.size() > SchemaName::max_bytes) {
      throw UsageError(fmt::format("the database's name {} is longer than {} bytes", name,
                                   SchemaName::max_bytes),
                       "PostgreSQL would cut it; use a shorter --database-prefix.");
    }
    return {.isolation = "database", .schema = options_.database_schema, .database = name};
  }
  std::string schema = options_.schema.empty() ? tenant.slug : options_.schema;
  if (options_.schema.empty())
    std::ranges::replace(schema, '-', '_');
  SchemaName::create(schema);
  return {.isolation = "schema", .schema = schema, .database = {}};
}

void TenantMover::check_free(const MovePlace& place) {
  if (place.is_home())
    return;
  if (!place.is_here()) {
    DatabaseAdmin admin(context_, session_, {}, options_.admin_url);
    if (!admin.databases().find({place.database}).empty()) {
      throw UsageError(fmt::format("database {} is there already", place.database),
                       "Use another --database-prefix. Nothing was moved.");
    }
    return;
  }
  const Fleet fleet = session_.schemas({place.schema});
  const bool is_free = fleet.schemas.front().state == FoundSchema::State::missing &&
                       place.schema != context_.settings.shared_schema;
  if (!is_free) {
    throw UsageError(fmt::format("schema {} is there already", place.schema),
                     "Name another one with --to-schema. Nothing was moved.");
  }
}

void TenantMover::check_roles(const RegisteredTenant& tenant, const MovePlace& target) {
  if (tenant.runtime_role.empty() || !target.is_home())
    return;
  RuntimeRoles roles = runtime_roles(context_, session_);
  if (!roles.is_ours(tenant.runtime_role))
    return;
  throw UsageError(
      fmt::format("tenant {} works as role {}, which {} cannot have", tenant.slug,
                  escaped_name(tenant.runtime_role), place_text(target)),
      "Take it out of the tenant's row first: UPDATE tenantctl.tenant SET runtime_role = NULL.");
}

// Where a place stands: that of a tenant must be the folder's head, as what is made will be.
std::string TenantMover::mark_of(const MovePlace& place) {
  SiteSession site(connection_to(place));
  const Fleet fleet = read_schemas(site.pipeline(), fleet_query(context_.settings), {place.schema},
                                   session_.deadline());
  if (fleet.schemas.front().state != FoundSchema::State::ours) {
    throw UsageError(fmt::format("{} has no version table of ours", place_text(place)),
                     "tenantctl registry check compares registry and schemas.");
  }
  const VersionTable table = version_table(place, context_.settings.version_table);
  const History history = read_history(site.pipeline(), table, session_.deadline());
  const UsageError behind(fmt::format("{} is not at the folder's head", place_text(place)),
                          "Upgrade it first: what a tenant moves into is made at head.");
  try {
    if (!plan_upgrade(folders_.tenant, history, Target::head(),
                      {.allow_out_of_order = false, .missing = Missing::nothing})
             .steps.empty())
      throw UsageError(behind);
  } catch (const HistoryError& error) {
    throw UsageError(fmt::format("{}: {}", place_text(place), error.what()), error.hint());
  }
  return Mark::of(Scope::tenant, history).text();
}

// The mark that stands there, as it is; nothing where there is no version table.
std::optional<std::string> TenantMover::recorded_mark(const MovePlace& place) {
  SiteSession site(connection_to(place));
  std::optional<std::string> comment;
  std::vector<pq::Message> messages;
  messages.push_back(version_table(place, context_.settings.version_table).read_comment(comment));
  pq::run_transaction(site.pipeline(), std::move(messages), pq::Access::read_only,
                      session_.deadline());
  return comment;
}

PlaceShape TenantMover::shape_of(const MovePlace& place) {
  SiteSession site(connection_to(place));
  return PlaceShape::read(site.pipeline(), place.schema,
                          {context_.settings.version_table, std::string(kept_version_table),
                           seed_table_name(context_.settings.version_table)},
                          session_.deadline());
}

void TenantMover::check_pointers(const PlaceShape& shape, const MovePlace& source,
                                 const MovePlace& target) {
  std::vector<std::string> pointers;
  for (const PlaceTable& table : shape.tables) {
    for (const PlaceTable::Column& column : table.columns) {
      const bool is_pointer = column.type == "oid" || column.type == "lo";
      if (is_pointer && source.database != target.database)
        pointers.push_back(table.name + "." + column.name);
    }
  }
  if (!pointers.empty()) {
    throw UsageError(fmt::format("columns that may name large objects, which stay in their "
                                 "database: {}",
                                 first_lines(pointers)),
                     "Keep the bytes in a bytea column. Nothing was moved.");
  }
}

// What would be lost, or would let somebody in, is told before anything is made.
void TenantMover::check_source(const PlaceShape& shape, const MovePlace& source,
                               const MovePlace& target) {
  check_pointers(shape, source, target);
  if (!source.is_home() && !target.is_home())
    return;
  std::vector<std::string> open;
  for (const PlaceTable& table : shape.tables) {
    if (!table.has_column(options_.tables.tenant_column) &&
        std::ranges::count(options_.tables.common, table.name) == 0)
      open.push_back(table.name);
  }
  if (!open.empty()) {
    throw UsageError(
        fmt::format("whose rows these tables hold cannot be told, they have no column {}: {}",
                    escaped_name(options_.tables.tenant_column), first_lines(open)),
        "tenantctl rows protect gives them one; --common TABLE says that a table is the same for "
        "all. Nothing was moved.");
  }
}

void TenantMover::check_shapes(const TenantMove& move) {
  const PlaceShape source = shape_of(move.source);
  const PlaceShape target = shape_of(move.target);
  const auto differences = shape_differences(source, target, !move.source.is_home());
  if (!differences.empty()) {
    throw UsageError(
        fmt::format("{} and {} stand at the same revision, but are not alike: {}",
                    place_text(move.source), place_text(move.target), first_lines(differences)),
        "What no revision made is not moved: put it into one, or take it away.");
  }
  for (const PlaceShape& shape : {source, target}) {
    const bool is_home = (&shape == &source ? move.source : move.target).is_home();
    if (is_home && !shape.barriers.empty()) {
      throw UsageError(fmt::format("rows of {} may be hidden from this role: {}", shape.schema,
                                   first_lines(shape.barriers)),
                       "Move as a role with BYPASSRLS.");
    }
  }
  if (!move.target.is_home())
    return;
  std::vector<std::string> firing;
  for (const PlaceTrigger& trigger : target.triggers) {
    if (trigger.fires_on_insert && std::ranges::count(options_.tables.common, trigger.table) == 0)
      firing.push_back(fmt::format("{} of {}", trigger.name, trigger.table));
  }
  if (!firing.empty()) {
    throw UsageError(
        fmt::format("triggers of {} would fire for rows that are only moved: {}",
                    place_text(move.target), first_lines(firing)),
        "To disable them would lock out the home's other tenants. Take them away for the move.");
  }
}

}  // namespace tenantctl::cli
