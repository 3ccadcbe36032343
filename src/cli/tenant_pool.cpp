#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <sstream>

#include "cli/migration.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/tenants.h"
#include "migrate/schema_drop.h"
#include "output/tenant_writer.h"
#include "revision/target.h"
#include "tenant/gate.h"
#include "tenant/name_series.h"

namespace tenantctl::cli {
namespace {

struct PoolOptions {
  std::size_t keep = 20;
  std::size_t most = 0;
  std::string prefix = "pool_";
};

/// What is to be done about a pool as it stands.
struct PoolPlan {
  std::size_t ready = 0;
  std::vector<std::string> wanted;   ///< to be made, or completed
  std::vector<std::string> surplus;  ///< unfinished, and not needed
  std::size_t withdrawn = 0;         ///< so many ready ones are not needed
};

Gate open_gate(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout};
}

// What a killed run left unfinished is completed before anything new is begun.
PoolPlan plan_pool(const Context& context, Session& session, const PoolOptions& options) {
  PoolPlan plan;
  const std::size_t most = std::max(options.keep, options.most);
  for (const TenantPlace& place : tenant_places(context, session).all()) {
    if (place.is_home())
      continue;
    if (place.is_ready)
      ++plan.ready;
    else
      plan.wanted.push_back(place.schema);
  }
  plan.withdrawn = plan.ready > most ? plan.ready - most : 0;
  const std::size_t lacking = options.keep > plan.ready ? options.keep - plan.ready : 0;
  if (plan.wanted.size() > lacking) {
    const auto from = plan.wanted.begin() + static_cast<std::ptrdiff_t>(lacking);
    plan.surplus.assign(from, plan.wanted.end());
    plan.wanted.erase(from, plan.wanted.end());
  } else if (lacking > plan.wanted.size()) {
    auto existing =
        read_schema_names(session.pipeline(), like_prefix(options.prefix), session.deadline());
    existing.insert(existing.end(), plan.wanted.begin(), plan.wanted.end());
    for (std::string& name : next_names(options.prefix, existing, lacking - plan.wanted.size()))
      plan.wanted.push_back(std::move(name));
  }
  return plan;
}

std::vector<std::string> missing_of(Session& session, const std::vector<std::string>& schemas) {
  std::vector<std::string> missing;
  const Fleet fleet = session.schemas(schemas);
  for (const FoundSchema& found : fleet.schemas) {
    if (found.state == FoundSchema::State::missing)
      missing.push_back(found.schema);
  }
  return missing;
}

void settle_made(const Context& context, Session& session, const PoolPlan& plan,
                 const Report& report) {
  std::vector<std::string> made;
  for (const SchemaReport& schema : report.schemas) {
    if (schema.result == Result::applied || schema.result == Result::unchanged)
      made.push_back(schema.schema);
  }
  session.revive();
  TenantPlaces places = tenant_places(context, session);
  places.finish_pool(made);
  places.forget_pool(missing_of(session, plan.wanted));
}

// What is written about the run itself is the command's only if the run is all there is to tell.
ExitCode make_wanted(const Context& context, Session& session, const PoolPlan& plan) {
  const bool only_shows = context.settings.dry_run || context.settings.sql;
  const Folders folders = read_folders(context);
  if (!only_shows)
    tenant_places(context, session).begin_pool(plan.wanted);
  Migration migration;
  migration.tenants = true;
  migration.create = Missing::schema;
  migration.schemas = plan.wanted;
  migration.plan = [](const RevisionFolder& folder, const History& history, Missing missing) {
    return plan_upgrade(folder, history, Target::head(),
                        {.allow_out_of_order = false, .missing = missing});
  };
  migration.after = [&](Session& inner, Report& report) {
    undo_failed_tenants(context, inner, report);
    settle_made(context, inner, plan, report);
  };
  std::ostringstream told;
  Context inside = context;
  inside.out = &told;
  const ExitCode code = migrate(inside, session, folders, migration);
  if (only_shows || code != ExitCode::ok)
    *context.out << told.str();
  session.revive();
  return code;
}

// Nobody can claim them any more; whoever was quicker has his.
std::vector<std::string> remove_surplus(const Context& context, Session& session,
                                        const PoolPlan& plan) {
  TenantPlaces places = tenant_places(context, session);
  std::vector<std::string> schemas = plan.surplus;
  if (plan.withdrawn > 0) {
    for (std::string& schema : places.withdraw(plan.withdrawn))
      schemas.push_back(std::move(schema));
  }
  const std::vector<std::string> missing = missing_of(session, schemas);
  for (const std::string& schema : schemas) {
    if (!std::ranges::binary_search(missing, schema)) {
      const VersionTable table(SchemaName::existing(schema),
                               table_options(context.settings, session.run_id()));
      SchemaDrop(session.pipeline(), table, context.settings.version_table)
          .run(0, session.deadline());
    }
    places.forget_pool({schema});
  }
  return schemas;
}

ExitCode run(const Context& context, const PoolOptions& options) {
  next_names(options.prefix, {}, 1);
  if (options.most != 0 && options.most < options.keep) {
    throw UsageError("--max is smaller than --keep", "The pool has as many as --keep says.");
  }
  Session session(context);
  if (!tenant_registry(context, session).is_installed()) {
    throw UsageError("there is no registry in this database", "tenantctl registry init makes it.");
  }
  if (!open_gate(context, session).show()) {
    throw UsageError("there is no gate in this database: nobody could claim from the pool",
                     "tenantctl gate install makes it.");
  }
  const PoolPlan plan = plan_pool(context, session, options);
  const bool only_shows = context.settings.dry_run || context.settings.sql;
  if (!plan.wanted.empty()) {
    const ExitCode code = make_wanted(context, session, plan);
    if (only_shows || code != ExitCode::ok)
      return code;
  }
  PoolResult result{.ready = 0, .made = plan.wanted, .removed = {}};
  if (!only_shows)
    result.removed = remove_surplus(context, session, plan);
  for (const TenantPlace& place : tenant_places(context, session).all())
    result.ready += !place.is_home() && place.is_ready ? 1 : 0;
  write_pool(*context.out, context.settings.output, result);
  return ExitCode::ok;
}

}  // namespace

std::optional<ExitCode> claim_tenant(const Context& context, Session& session,
                                     const Folders& folders, const SeedWork& work,
                                     const Claim& claim) {
  const std::vector<TenantPlace> places = tenant_places(context, session).all();
  if (std::ranges::none_of(
          places, [](const TenantPlace& place) { return !place.is_home() && place.is_ready; }))
    return std::nullopt;
  const NewcomerOptions& options = claim.options;
  const NewTenant tenant{.slug = options.slug.empty() ? claim.schema : options.slug,
                         .name = options.name.empty() ? claim.schema : options.name,
                         .schema = claim.schema};
  const auto& revisions = folders.tenant.revisions();
  const std::string minimum = revisions.empty() ? "" : revisions.back().digits;
  Gate gate = open_gate(context, session);
  const auto begin = [&](SeedRun& run) -> std::vector<SeedTarget> {
    SeedTarget target{.schema = SchemaName::existing(tenant.schema),
                      .slug = tenant.slug,
                      .name = tenant.name,
                      .tier = options.traits.tier,
                      .metadata = options.traits.metadata};
    try {
      run.run(gate.claim_along(tenant, options.traits, minimum, target.id));
    } catch (const pq::ServerError& error) {
      Gate::explain_claim(error, tenant);
      return {};
    }
    return {target};
  };
  watch_signals();
  tenant_registry(context, session).reserve({tenant.slug});
  const bool is_claimed = work.is_empty() ? gate.claim(tenant, options.traits, minimum)
                                          : Seeder(context, session, work).seed_along(begin);
  if (!is_claimed)
    return std::nullopt;
  write_claimed(*context.out, context.settings.output, tenant.slug, tenant.schema);
  return ExitCode::ok;
}

void add_tenant_pool(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("pool", "hold tenants ready that nobody has yet, to be claimed");
  auto options = std::make_shared<PoolOptions>();
  add_setting(*command, "--keep", options->keep, "so many are made ready")
      ->check(CLI::Range(0, 10'000))
      ->capture_default_str();
  add_setting(*command, "--max", options->most, "more than so many are removed; else --keep")
      ->check(CLI::Range(1, 100'000));
  add_setting(*command, "--pool-prefix", options->prefix, "of their schemas' names")
      ->capture_default_str();
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  describe_run(*command, context.settings);
  describe_dry(*command, context.settings);
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no progress, no warnings");
  add_example(*command, "tenantctl tenant pool --keep 20");
  command->callback([&context, options] {
    context.run = [&context, options] { return run(context, *options); };
  });
}

}  // namespace tenantctl::cli
