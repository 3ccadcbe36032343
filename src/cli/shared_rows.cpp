#include "cli/shared_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <sstream>

#include "base/text.h"
#include "catalog/row_eraser.h"
#include "catalog/shared_home.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/tenants.h"
#include "output/rows_writer.h"
#include "revision/target.h"
#include "tenant/name_series.h"

namespace tenantctl::cli {
namespace {

void check_slugs(const std::vector<std::string>& slugs) {
  for (const std::string& slug : slugs) {
    if (!TenantRegistry::is_slug(slug)) {
      throw UsageError(fmt::format("\"{}\" is no slug", escaped_name(slug)),
                       "A slug begins with a-z, goes on with a-z, 0-9, _ and -, and has at most 63 "
                       "bytes.");
    }
  }
  std::vector<std::string_view> sorted(slugs.begin(), slugs.end());
  std::ranges::sort(sorted);
  const auto twice = std::ranges::adjacent_find(sorted);
  if (twice != sorted.end())
    throw UsageError(fmt::format("{} is named twice", *twice), "Nothing was made.");
}

// Only --home, or the only one that is half made, says which home is meant.
std::string home_to_make(const Context& context, Session& session, const std::string& asked) {
  if (!asked.empty())
    return asked;
  std::vector<std::string> homes;
  for (const TenantPlace& place : tenant_places(context, session).all()) {
    if (place.is_home())
      homes.push_back(place.schema);
  }
  if (homes.empty()) {
    throw UsageError("there is no home of shared rows in this database",
                     "--home rows makes it: a schema of that name, at head.");
  }
  if (homes.size() > 1) {
    throw UsageError(
        fmt::format("there are several homes of shared rows: {}", fmt::join(homes, ", ")),
        "Name one with --home.");
  }
  return homes.front();
}

void check_home(const Context& context, Session& session, const std::string& home) {
  if (home == context.settings.shared_schema) {
    throw UsageError(fmt::format("{} holds the shared scope", home), "Use another name.");
  }
  const Fleet fleet = session.schemas({home});
  switch (fleet.schemas.front().state) {
    case FoundSchema::State::missing:
      SchemaName::create(home);
      return;
    case FoundSchema::State::ours:
      return;
    case FoundSchema::State::bare:
    case FoundSchema::State::foreign:
    case FoundSchema::State::away:
      break;
  }
  throw UsageError(
      fmt::format("schema {} is there, but has no version table of ours", escaped_name(home)),
      "tenantctl tenant adopt --schema gives it one.");
}

// Brings the home to head as any schema of the tenant scope. What is written about that run is the
// command's only if the run is all there is to tell.
ExitCode make_home(const Context& context, Session& session, const Folders& folders,
                   const std::string& home) {
  check_home(context, session, home);
  const bool only_shows = context.settings.dry_run || context.settings.sql;
  TenantPlaces places = tenant_places(context, session);
  if (!only_shows)
    places.begin_home(home);
  Migration migration;
  migration.tenants = true;
  migration.create = Missing::schema;
  migration.schemas = {home};
  migration.plan = [](const RevisionFolder& folder, const History& history, Missing missing) {
    return plan_upgrade(folder, history, Target::head(),
                        {.allow_out_of_order = false, .missing = missing});
  };
  std::ostringstream told;
  Context inner = context;
  inner.out = &told;
  const ExitCode code = migrate(inner, session, folders, migration);
  if (only_shows || code != ExitCode::ok) {
    *context.out << told.str();
    return code;
  }
  session.revive();
  places.finish_home(home);
  return ExitCode::ok;
}

void warn_unprotected(const Context& context, Session& session, const std::string& home) {
  if (context.settings.quiet)
    return;
  const SharedHome shape = SharedHome::read(session.pipeline(), home, HomeTables().tenant_column,
                                            context.settings.version_table, session.deadline());
  const auto open = std::ranges::count_if(shape.tables, [](const SharedTable& table) {
    return !table.is_enabled || !table.is_forced || !table.has_policy;
  });
  if (open > 0) {
    *context.err << fmt::format(
        "tenantctl: warning: {} of home {} without row security: every tenant sees their rows "
        "(tenantctl rows protect writes the revision)\n",
        counted(static_cast<std::size_t>(open), "table is", "tables are"), escaped_name(home));
  }
}

void check_rows_options(const NewcomerOptions& options) {
  if (!options.slug.empty()) {
    throw UsageError("a tenant of shared rows is named by its slug alone",
                     "Leave --slug out: NAME is the slug.");
  }
  if (options.has_own_roles()) {
    throw UsageError("tenants of shared rows work as one role: each table would name all of theirs",
                     "Name the role with --runtime-role NAME; policies keep the rows apart.");
  }
}

std::vector<NewTenant> tenants_of(const std::vector<std::string>& slugs,
                                  const NewcomerOptions& options, const std::string& home) {
  std::vector<NewTenant> tenants;
  for (const std::string& slug : slugs) {
    tenants.push_back(
        {.slug = slug, .name = options.name.empty() ? slug : options.name, .schema = home});
  }
  return tenants;
}

// All or none of them, with what their seeds make. Nothing where no such home is ready.
std::optional<std::string> settle_seeded(const Context& context, Session& session,
                                         const SeedWork& work,
                                         const std::vector<NewTenant>& tenants,
                                         const TenantTraits& traits, const std::string& home) {
  TenantRegistry registry = tenant_registry(context, session);
  if (work.is_empty())
    return registry.settle(tenants, traits, home);
  TenantRegistry::Settled settled;
  const auto begin = [&](SeedRun& run) {
    settled = {};
    try {
      run.run(registry.settle_along(tenants, traits, home, settled));
    } catch (const pq::ServerError& error) {
      TenantRegistry::explain_settling(error);
    }
    std::vector<SeedTarget> targets;
    for (const auto& [slug, id] : settled.ids) {
      const auto tenant = std::ranges::find(tenants, slug, &NewTenant::slug);
      targets.push_back({.schema = SchemaName::existing(settled.home),
                         .shares_rows = true,
                         .id = id,
                         .slug = slug,
                         .name = tenant->name,
                         .tier = traits.tier,
                         .metadata = traits.metadata});
    }
    return targets;
  };
  watch_signals();
  if (!Seeder(context, session, work).seed_along(begin))
    return std::nullopt;
  return settled.home;
}

ErasedTenant erased(const RegisteredTenant& tenant, const HomeTables& tables) {
  return {.id = tenant.id, .home = tenant.schema, .column = tables.tenant_column};
}

}  // namespace

ExitCode create_rows_tenants(const Context& context, const Folders& folders, const SeedWork& work,
                             const RowsNewcomers& newcomers, const NewcomerOptions& options) {
  check_slugs(newcomers.slugs);
  check_rows_options(options);
  Session session(context);
  TenantRegistry registry = tenant_registry(context, session);
  std::vector<std::string> slugs = newcomers.slugs;
  if (newcomers.count > 0) {
    slugs = next_slugs(
        newcomers.prefix,
        with_slugs_elsewhere(context, session, registry.slugs_like(like_prefix(newcomers.prefix))),
        newcomers.count);
  }
  const bool only_shows = context.settings.dry_run || context.settings.sql;
  TenantTraits traits = options.traits;
  traits.runtime_role = options.runtime_role;
  if (!traits.runtime_role.empty())
    runtime_roles(context, session).check_given(traits.runtime_role);
  const std::vector<NewTenant> tenants = tenants_of(slugs, options, newcomers.home);
  RowsCreated created{.home = {}, .home_is_new = false, .slugs = std::move(slugs)};
  const auto settle = [&](const std::string& where) {
    return settle_seeded(context, session, work, tenants, traits, where);
  };
  auto home = only_shows ? std::nullopt : settle(newcomers.home);
  if (!home) {
    const std::string wanted = home_to_make(context, session, newcomers.home);
    const ExitCode code = make_home(context, session, folders, wanted);
    if (only_shows || code != ExitCode::ok)
      return code;
    created.home_is_new = true;
    try {
      home = settle(wanted);
    } catch (const Error&) {
      if (!context.settings.quiet) {
        *context.err << fmt::format(
            "tenantctl: notice: home {} was made and stays, empty: --home {} uses it\n",
            escaped_name(wanted), escaped_name(wanted));
      }
      throw;
    }
  }
  if (!home) {
    throw Error("the home of shared rows went away while tenants were registered",
                "Run the command again.");
  }
  created.home = *home;
  if (!traits.runtime_role.empty())
    runtime_roles(context, session).grant(traits.runtime_role, *home);
  warn_unprotected(context, session, *home);
  write_rows_created(*context.out, context.settings.output, created);
  return ExitCode::ok;
}

void describe_home_tables(CLI::App& command, HomeTables& tables) {
  add_setting(command, "--tenant-column", tables.tenant_column,
              "column of shared tables that says whose a row is")
      ->capture_default_str();
  add_setting(command, "--common", tables.common,
              "table of a home of shared rows that is the same for all tenants (repeatable)");
}

void check_erasable(const Context& context, Session& session,
                    const std::vector<RegisteredTenant>& tenants, const HomeTables& tables) {
  std::vector<std::string> homes;
  for (const RegisteredTenant& tenant : tenants)
    homes.push_back(tenant.schema);
  std::ranges::sort(homes);
  homes.erase(std::unique(homes.begin(), homes.end()), homes.end());
  std::vector<std::string> open;
  for (const std::string& home : homes) {
    const SharedHome shape = SharedHome::read(session.pipeline(), home, tables.tenant_column,
                                              context.settings.version_table, session.deadline());
    for (const SharedTable& table : shape.tables) {
      if (!table.has_column && std::ranges::count(tables.common, table.name) == 0)
        open.push_back(home + "." + table.name);
    }
  }
  if (!open.empty()) {
    throw UsageError(
        fmt::format("whose rows these tables hold cannot be told, they have no column {}: {}",
                    escaped_name(tables.tenant_column),
                    escaped_name(fmt::format("{}", fmt::join(open, ", ")))),
        "tenantctl rows protect gives them one; --common TABLE says that a table is the same for "
        "all. Nothing was dropped.");
  }
}

std::vector<ErasedRows> erase_rows(const Context& context, Session& session,
                                   const RegisteredTenant& tenant, const HomeTables& tables) {
  tenant_registry(context, session).begin_purge(tenant);
  RowEraser eraser(session.pipeline(), erased(tenant, tables), context.settings.answer_timeout);
  std::vector<ErasedRows> rows = eraser.run(context.settings.lock_wait);
  const SeedTable seeds(SchemaName::existing(tenant.schema),
                        table_options(context.settings, session.run_id()));
  forget_seeds(session.pipeline(), seeds, tenant.id, session.deadline());
  return rows;
}

}  // namespace tenantctl::cli
