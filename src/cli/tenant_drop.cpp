#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/text.h"
#include "cli/dropping.h"
#include "cli/options.h"
#include "migrate/schema_drop.h"

namespace tenantctl::cli {
namespace {

struct DropOptions {
  std::vector<std::string> names;
  bool purges = false;
  DropRules rules;
};

/// Finds out what the names, or a pattern, mean.
class DropTargets {
 public:
  DropTargets(const Context& context, Session& session, TenantRegistry& registry)
      : context_(context),
        session_(session),
        registry_(registry),
        dropped_(dropped_tenants(context, session)),
        places_(tenant_places(context, session).all()) {}

  std::vector<DropTarget> named(const std::vector<std::string>& names) {
    std::vector<DropTarget> targets;
    for (const Named& tenant : find_named(registry_, names))
      targets.push_back(target_of(tenant));
    return targets;
  }

  // Those that an earlier try has put aside are told again, so that a pattern given twice is no
  // mistake. Homes and the pool are no tenants.
  std::vector<DropTarget> selected(const Selection& chosen) {
    std::vector<DropTarget> targets;
    rows_ = registry_.all();
    for (const RegisteredTenant& tenant : rows_) {
      if (!tenant.has_rows())
        by_place_.emplace(tenant.place(), &tenant);
    }
    add_dropped(targets, chosen);
    add_rows(targets, chosen);
    const Fleet fleet = session_.own();
    for (const std::uint32_t i : select_left(fleet, chosen, targets)) {
      const FoundSchema& found = fleet.schemas[i];
      const bool is_place =
          std::ranges::find(places_, found.schema, &TenantPlace::schema) != places_.end();
      if (!is_place)
        targets.push_back(found.site == 0 ? schema_at(found.schema) : database_at(found.schema));
    }
    if (targets.empty()) {
      throw UsageError("the selection matches no tenant", "tenantctl tenant list shows all.");
    }
    return targets;
  }

 private:
  // Only what is ours: anything else of that name is not a tenant. What an earlier command, killed
  // perhaps, has done already is no mistake.
  DropTarget target_of(const Named& tenant) {
    if (tenant.row && tenant.row->is_being_made) {
      throw UsageError(fmt::format("tenant {} is being made by another run", tenant.row->slug),
                       "Wait until it ends; nothing was dropped.");
    }
    if (tenant.row && tenant.row->has_rows())
      return {.name = tenant.row->slug, .kind = DropTarget::Kind::rows, .row = tenant.row};
    if (tenant.row && tenant.row->isolation == "database")
      return {.name = tenant.row->slug, .kind = DropTarget::Kind::database, .row = tenant.row};
    refuse_elsewhere(context_, tenant, "Drop the schema there, and the row in the registry.");
    return schema_of(tenant);
  }

  DropTarget schema_of(const Named& tenant) {
    if (tenant.schema == context_.settings.shared_schema) {
      throw UsageError(fmt::format("{} holds the shared scope: it is no tenant", tenant.schema),
                       "tenantctl downgrade base --scope shared takes it back.");
    }
    const auto place = std::ranges::find(places_, tenant.schema, &TenantPlace::schema);
    if (place != places_.end() && !place->is_home()) {
      throw UsageError(fmt::format("\"{}\" is of the pool, and nobody's yet", place->schema),
                       "tenantctl tenant pool --keep 0 empties the pool.");
    }
    const bool is_home = place != places_.end();
    const DroppedTenant* before = find_dropped(tenant);
    const bool is_missing = !is_there(session_, tenant.schema);
    const bool is_on_shelf = before != nullptr && (is_missing || before->schema == tenant.schema);
    if (is_on_shelf)
      return shelf(tenant.name, *before, tenant.row);
    if (is_missing && tenant.row)
      return {.name = tenant.row->slug, .kind = DropTarget::Kind::row, .row = tenant.row};
    if (!is_home || !is_missing)
      check_is_ours(context_, session_, tenant.schema);
    return {.name = tenant.name,
            .kind = is_home ? DropTarget::Kind::home : DropTarget::Kind::schema,
            .schema = tenant.schema,
            .row = tenant.row};
  }

  static DropTarget shelf(const std::string& name, const DroppedTenant& dropped,
                          std::optional<RegisteredTenant> row) {
    return {.name = name,
            .kind = DropTarget::Kind::shelf,
            .schema = dropped.schema,
            .row = std::move(row),
            .dropped = dropped};
  }

  const DroppedTenant* find_dropped(const Named& tenant) const {
    const auto at = std::ranges::find_if(dropped_, [&tenant](const DroppedTenant& one) {
      return one.schema == tenant.schema || one.name == tenant.name;
    });
    return at == dropped_.end() ? nullptr : &*at;
  }

  DropTarget schema_at(const std::string& schema) const {
    DropTarget target{.name = schema, .schema = schema};
    if (const auto row = by_place_.find(schema); row != by_place_.end())
      target.row = *row->second;
    return target;
  }

  DropTarget database_at(const std::string& place) const {
    const RegisteredTenant& row = *by_place_.at(place);
    if (row.isolation != "database") {
      refuse_elsewhere(context_, {.name = row.slug, .schema = row.schema, .row = row},
                       "Drop the schema there, and the row in the registry.");
    }
    return {.name = row.slug, .kind = DropTarget::Kind::database, .row = row};
  }

  void add_dropped(std::vector<DropTarget>& targets, const Selection& chosen) const {
    for (const DroppedTenant& before : dropped_) {
      const auto row = by_place_.find(before.schema);
      const bool is_known = row != by_place_.end() && row->second->is_here();
      const bool passes =
          is_known ? chosen.registry.passes(*row->second) : !chosen.registry.asks_for_rows();
      if (passes && chosen.takes(before.name, is_known ? row->second->slug : ""))
        targets.push_back(shelf(before.name, before, std::nullopt));
    }
  }

  void add_rows(std::vector<DropTarget>& targets, const Selection& chosen) const {
    for (const RegisteredTenant& tenant : rows_) {
      const bool is_away = tenant.isolation == "database" && tenant.state == "deleting";
      if ((tenant.has_rows() || is_away) && chosen.registry.passes(tenant) &&
          chosen.takes(tenant.has_rows() ? "" : tenant.place(), tenant.slug)) {
        targets.push_back(
            {.name = tenant.slug,
             .kind = tenant.has_rows() ? DropTarget::Kind::rows : DropTarget::Kind::database,
             .row = tenant});
      }
    }
  }

  // A name that was found already is none that the fleet must have.
  std::vector<std::uint32_t> select_left(const Fleet& fleet, Selection chosen,
                                         const std::vector<DropTarget>& done) {
    const bool names_some = !chosen.schemas.empty();
    std::unordered_set<std::string_view> known;
    for (const DropTarget& target : done)
      known.insert(target.name);
    std::erase_if(chosen.schemas,
                  [&known](const std::string& name) { return known.contains(name); });
    if (names_some && chosen.schemas.empty())
      return {};
    return done.empty() || names_some ? session_.select(fleet, chosen)
                                      : session_.match(fleet, chosen);
  }

  const Context& context_;
  Session& session_;
  TenantRegistry& registry_;
  std::vector<DroppedTenant> dropped_;
  std::vector<TenantPlace> places_;
  std::vector<RegisteredTenant> rows_;  ///< where a pattern selects
  std::unordered_map<std::string, const RegisteredTenant*> by_place_;
};

ExitCode run_drop(const Context& context, const DropOptions& options) {
  const Selection chosen = selection(context);
  const bool selects = chosen.is_filter() || !chosen.registry.is_empty();
  if (options.names.empty() == !selects) {
    throw UsageError(selects ? "tenants are named twice" : "tenant drop needs a name",
                     "Give names, or select tenants with --tenants, --tenants-file, --state ...");
  }
  for (const std::string& name : options.names)
    SchemaName::existing(name);
  Session session(context);
  Dropping dropping(context, session, options.rules);
  DropTargets finder(context, session, dropping.registry());
  const std::vector<DropTarget> targets =
      selects ? finder.selected(chosen) : finder.named(options.names);
  dropping.check(targets, options.purges);
  ask_before(context, targets, options.purges);
  EachTenant each(context);
  return each.finish(each.run(names_of(targets), [&](std::size_t i) {
    dropping.check_unmoved(targets[i]);
    return options.purges ? dropping.purge(targets[i]) : dropping.put_aside(targets[i]);
  }));
}

}  // namespace

void undo_failed_tenants(const Context& context, Session& session, Report& report) {
  for (SchemaReport& schema : report.schemas) {
    const bool made_something = schema.steps > 0 || schema.revision > 0;
    if (!is_problem(schema.result) || !made_something)
      continue;
    const VersionTable table(SchemaName::existing(schema.schema),
                             table_options(context.settings, session.run_id()));
    try {
      session.revive();
      SchemaDrop(session.pipeline(), table, context.settings.version_table)
          .run(0, session.deadline());
      schema.revision = 0;
      schema.steps = 0;
      if (schema.failure) {
        std::string& hint = schema.failure->hint;
        hint = "Nothing of the tenant was kept." + (hint.empty() ? "" : " " + hint);
      }
    } catch (const Error& error) {
      if (!schema.failure)
        schema.failure = std::make_unique<Failure>();
      schema.failure->hint = fmt::format(
          "The unfinished schema could not be removed ({}): run tenantctl tenant drop --purge {}.",
          error.what(), schema.schema);
    }
  }
}

void add_tenant_drop(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("drop", "take a tenant out of the fleet; undrop brings it back");
  auto options = std::make_shared<DropOptions>();
  command->add_option("NAME", options->names, "tenant, by slug, schema or database/schema");
  add_switch(*command, "--purge", options->purges,
             "remove the tenant and everything in it at once, for good");
  describe_filters(*command, context.settings);
  describe_drop_rules(*command, context, options->rules);
  add_example(*command, "tenantctl tenant drop tenant_acme --yes");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_drop(context, *options); };
  });
}

}  // namespace tenantctl::cli
