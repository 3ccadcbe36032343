#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/database_life.h"
#include "cli/dropping.h"
#include "cli/options.h"

namespace tenantctl::cli {
namespace {

using namespace std::chrono_literals;

struct PurgeOptions {
  std::vector<std::string> names;
  bool all = false;
  std::chrono::milliseconds grace = 7 * 24h;
  DropRules rules;
};

/// Everything that was dropped and is not gone, whatever its isolation.
class DroppedFleet {
 public:
  DroppedFleet(const Context& context, Session& session, TenantRegistry& registry)
      : session_(session), schemas_(dropped_tenants(context, session)) {
    for (RegisteredTenant& tenant : registry.all()) {
      if (tenant.state == "deleting")
        rows_.push_back(std::move(tenant));
      else
        present_.push_back(tenant.slug);
    }
    std::vector<std::string> bare;
    for (const RegisteredTenant& tenant : rows_) {
      if (tenant.is_here() && on_shelf(tenant.schema) == nullptr)
        bare.push_back(tenant.schema);
    }
    const Fleet there = session.schemas(bare);
    for (const RegisteredTenant& tenant : rows_) {
      const FoundSchema* found = tenant.is_here() ? there.find(tenant.schema) : nullptr;
      if (found != nullptr && found->state == FoundSchema::State::missing)
        bare_.push_back(tenant.slug);
    }
  }

  std::vector<DropTarget> all() const {
    std::vector<DropTarget> targets;
    for (const DroppedTenant& one : schemas_)
      targets.push_back(shelf(one));
    for (const RegisteredTenant& tenant : rows_) {
      if (auto target = target_of(tenant))
        targets.push_back(std::move(*target));
    }
    return targets;
  }

  /// By what it was called, by its slug, or by the name that its schema has now.
  DropTarget find(const std::string& name) const {
    std::vector<DropTarget> found;
    for (const DropTarget& target : all()) {
      const bool is_row = target.row && (target.row->slug == name || target.row->place() == name);
      if (target.name == name || target.schema == name || is_row)
        found.push_back(target);
    }
    if (found.empty()) {
      const bool is_in_fleet =
          std::ranges::count(present_, name) > 0 ||
          session_.schemas({name}).schemas.front().state == FoundSchema::State::ours;
      throw UsageError(fmt::format("no tenant \"{}\" was dropped", escaped_name(name)),
                       is_in_fleet
                           ? fmt::format("{} is there, and in the fleet.", escaped_name(name))
                           : "tenantctl tenant list --state deleting shows who was.");
    }
    if (found.size() > 1)
      refuse_many(name, found);
    return found.front();
  }

 private:
  [[noreturn]] static void refuse_many(const std::string& name,
                                       const std::vector<DropTarget>& found) {
    const auto told = [](const DropTarget& target) {
      return target.dropped
                 ? fmt::format("{}, dropped {}", target.schema, target.dropped->at)
                 : fmt::format("{}, dropped {}", target.row->slug, target.row->state_since);
    };
    throw UsageError(
        fmt::format("{} tenants \"{}\" were dropped", found.size(), escaped_name(name)),
        fmt::format("Name one of them by its schema or slug: {}, or {}.", told(found[0]),
                    told(found[1])));
  }

  const DroppedTenant* on_shelf(const std::string& schema) const {
    const auto at = std::ranges::find(schemas_, schema, &DroppedTenant::schema);
    return at == schemas_.end() ? nullptr : &*at;
  }

  DropTarget shelf(const DroppedTenant& dropped) const {
    DropTarget target{.name = dropped.name,
                      .kind = DropTarget::Kind::shelf,
                      .schema = dropped.schema,
                      .row = std::nullopt,
                      .dropped = dropped};
    const auto row = std::ranges::find_if(rows_, [&dropped](const RegisteredTenant& tenant) {
      return tenant.is_here() && tenant.schema == dropped.schema;
    });
    if (row != rows_.end())
      target.row = *row;
    return target;
  }

  // Nothing for a row whose schema is on the shelf, or stands there under its name.
  std::optional<DropTarget> target_of(const RegisteredTenant& tenant) const {
    if (tenant.has_rows())
      return DropTarget{.name = tenant.slug, .kind = DropTarget::Kind::rows, .row = tenant};
    if (tenant.isolation == "database")
      return DropTarget{.name = tenant.slug, .kind = DropTarget::Kind::database, .row = tenant};
    if (std::ranges::count(bare_, tenant.slug) > 0)
      return DropTarget{.name = tenant.slug, .kind = DropTarget::Kind::row, .row = tenant};
    return std::nullopt;
  }

  Session& session_;
  std::vector<DroppedTenant> schemas_;
  std::vector<std::string> present_;  ///< slugs of all others
  std::vector<RegisteredTenant> rows_;
  std::vector<std::string> bare_;  ///< slugs: the schema went without the row
};

std::chrono::seconds age_of(const DropTarget& target) {
  return target.dropped ? target.dropped->age : std::chrono::seconds(target.row->state_age);
}

std::string rough_age(std::chrono::seconds age) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(age).count();
  return hours >= 48 ? fmt::format("{} days", hours / 24) : fmt::format("{} hours", hours);
}

// What a purge has begun to take, and what has nothing left, waits for nothing.
bool is_in_grace(const DropTarget& target, const PurgeOptions& options) {
  return !options.all && target.is_kept() && target.kind != DropTarget::Kind::row &&
         age_of(target) < options.grace;
}

std::vector<DropTarget> purge_targets(const DroppedFleet& fleet, const PurgeOptions& options) {
  std::vector<DropTarget> targets;
  for (const std::string& name : options.names) {
    targets.push_back(fleet.find(name));
    if (is_in_grace(targets.back(), options)) {
      throw UsageError(
          fmt::format("{} was dropped {} ago, and has a grace of {}",
                      escaped_name(targets.back().name), rough_age(age_of(targets.back())),
                      rough_age(std::chrono::duration_cast<std::chrono::seconds>(options.grace))),
          "--all removes it at once, --grace says another time; nothing was removed.");
    }
  }
  if (!options.names.empty())
    return targets;
  targets = fleet.all();
  std::erase_if(targets,
                [&options](const DropTarget& target) { return is_in_grace(target, options); });
  return targets;
}

ExitCode run_purge(const Context& context, const PurgeOptions& options) {
  Session session(context);
  Dropping dropping(context, session, options.rules);
  const DroppedFleet fleet(context, session, dropping.registry());
  const std::vector<DropTarget> targets = purge_targets(fleet, options);
  EachTenant each(context);
  if (targets.empty())
    return each.finish({});
  dropping.check(targets, true);
  ask_before(context, targets, true);
  return each.finish(each.run(names_of(targets), [&](std::size_t i) {
    dropping.check_unmoved(targets[i]);
    return dropping.purge(targets[i]);
  }));
}

ExitCode run_undrop(const Context& context, const PurgeOptions& options) {
  Session session(context);
  Dropping dropping(context, session, options.rules);
  const DroppedFleet fleet(context, session, dropping.registry());
  std::vector<DropTarget> targets;
  for (const std::string& name : options.names)
    targets.push_back(fleet.find(name));
  dropping.check(targets, false);
  EachTenant each(context);
  return each.finish(
      each.run(names_of(targets), [&](std::size_t i) { return dropping.bring_back(targets[i]); }));
}

}  // namespace

void add_tenant_undrop(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand("undrop", "bring a dropped tenant back as it was");
  auto options = std::make_shared<PurgeOptions>();
  command
      ->add_option("NAME", options->names,
                   "dropped tenant, by slug, schema or its schema's name now")
      ->required();
  describe_admin(*command, options->rules.admin_url);
  describe_question(*command, context.settings);
  add_example(*command, "tenantctl tenant undrop tenant_acme");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_undrop(context, *options); };
  });
}

void add_tenant_purge(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("purge", "remove dropped tenants for good when their grace is over");
  auto options = std::make_shared<PurgeOptions>();
  command->add_option("NAME", options->names, "only these; else all whose grace is over");
  add_duration(*command, "--grace", options->grace, "how long dropped tenants are kept");
  add_switch(*command, "--all", options->all, "also those whose grace is not over");
  describe_drop_rules(*command, context, options->rules);
  add_example(*command, "tenantctl tenant purge --grace 30d --yes");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_purge(context, *options); };
  });
}

}  // namespace tenantctl::cli
