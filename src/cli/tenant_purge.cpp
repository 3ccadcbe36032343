#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

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
    find_bare();
    add_targets();
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      const DropTarget& target = targets_[i];
      std::set<std::string> names{target.name, target.schema};
      if (target.row) {
        names.insert(target.row->slug);
        names.insert(target.row->place());
      }
      for (const std::string& name : names)
        by_name_.emplace(name, i);
    }
  }

  const std::vector<DropTarget>& all() const { return targets_; }

  /// By what it was called, by its slug, or by the name that its schema has now.
  DropTarget find(const std::string& name) const {
    std::set<std::size_t> indices;
    for (auto [at, end] = by_name_.equal_range(name); at != end; ++at)
      indices.insert(at->second);
    std::vector<DropTarget> found;
    for (const std::size_t i : indices)
      found.push_back(targets_[i]);
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

  // Whose schema went without the row.
  void find_bare() {
    std::unordered_set<std::string_view> shelves;
    for (const DroppedTenant& one : schemas_)
      shelves.insert(one.schema);
    std::vector<std::string> bare;
    for (const RegisteredTenant& tenant : rows_) {
      if (tenant.is_here() && !shelves.contains(tenant.schema))
        bare.push_back(tenant.schema);
    }
    const Fleet there = session_.schemas(bare);
    for (const RegisteredTenant& tenant : rows_) {
      const FoundSchema* found = tenant.is_here() ? there.find(tenant.schema) : nullptr;
      if (found != nullptr && found->state == FoundSchema::State::missing)
        bare_.insert(tenant.slug);
    }
  }

  void add_targets() {
    std::unordered_map<std::string_view, const RegisteredTenant*> by_schema;
    for (const RegisteredTenant& tenant : rows_) {
      if (tenant.is_here())
        by_schema.emplace(tenant.schema, &tenant);
    }
    for (const DroppedTenant& dropped : schemas_) {
      targets_.push_back({.name = dropped.name,
                          .kind = DropTarget::Kind::shelf,
                          .schema = dropped.schema,
                          .row = std::nullopt,
                          .dropped = dropped});
      if (const auto row = by_schema.find(dropped.schema); row != by_schema.end())
        targets_.back().row = *row->second;
    }
    for (const RegisteredTenant& tenant : rows_) {
      if (auto target = target_of(tenant))
        targets_.push_back(std::move(*target));
    }
  }

  // Nothing for a row whose schema is on the shelf, or stands there under its name.
  std::optional<DropTarget> target_of(const RegisteredTenant& tenant) const {
    if (tenant.has_rows())
      return DropTarget{.name = tenant.slug, .kind = DropTarget::Kind::rows, .row = tenant};
    if (tenant.isolation == "database")
      return DropTarget{.name = tenant.slug, .kind = DropTarget::Kind::database, .row = tenant};
    if (bare_.contains(tenant.slug))
      return DropTarget{.name = tenant.slug, .kind = DropTarget::Kind::row, .row = tenant};
    return std::nullopt;
  }

  Session& session_;
  std::vector<DroppedTenant> schemas_;
  std::vector<std::string> present_;  ///< slugs of all others
  std::vector<RegisteredTenant> rows_;
  std::unordered_set<std::string> bare_;  ///< slugs: the schema went without the row
  std::vector<DropTarget> targets_;
  std::unordered_multimap<std::string, std::size_t> by_name_;  ///< of targets_
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
