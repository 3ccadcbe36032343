#include "cli/plan.h"

#include <fmt/format.h>

#include <fstream>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/migration.h"
#include "cli/options.h"
#include "output/plan_document.h"
#include "rollout/plan_file.h"

namespace tenantctl::cli {
namespace {

struct PlanOptions {
  std::string target = "head";
  std::string file;
};

std::string read_file(const std::string& path) {
  std::ifstream input(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(input), {}};
  if (!input) {
    throw UsageError(fmt::format("cannot read the plan {}", escaped_name(path)),
                     "tenantctl plan --file writes one.");
  }
  return text;
}

// Whole or not at all: half a plan must not look like one.
void write_file(const std::string& path, const std::string& text) {
  const std::string draft = path + ".tmp";
  std::error_code error;
  {
    std::ofstream output(draft, std::ios::binary | std::ios::trunc);
    output << text << '\n';
    output.close();
    if (output)
      std::filesystem::rename(draft, path, error);
    else
      error = std::make_error_code(std::errc::io_error);
  }
  if (error) {
    std::error_code ignored;
    std::filesystem::remove(draft, ignored);
    throw UsageError(fmt::format("cannot write the plan {}", escaped_name(path)),
                     "Check that its folder is there and may be written.");
  }
}

ExitCode run(const Context& context, const PlanOptions& options) {
  const Folders folders = read_folders(context);
  Migration migration = upgrade_all_migration(context, folders, options.target);
  migration.show = [&](const FleetPlan* shared, const FleetPlan* tenants) {
    PlanFile plan;
    plan.target = options.target;
    if (shared != nullptr)
      plan.shared = plan_file_of(*shared, folders.shared);
    plan.tenants = plan_file_of(*tenants, folders.tenant);
    const PlanDocument document{
        .plan = &plan, .shared_folder = &folders.shared, .tenant_folder = &folders.tenant};
    if (!options.file.empty())
      write_file(options.file, json_plan_file(document));
    write_plan_document(*context.out, context.settings.output, document);
  };
  return migrate(context, folders, migration);
}

// A retry must not go further than what was agreed to.
std::string target_of(const PlanFile& plan, const RevisionFolder& folder) {
  return plan.target == "head" && !folder.empty() ? folder.revisions().back().title() : plan.target;
}

/// Holds planning to the file: first group by group, and once the run is under way, each schema
/// that has to be planned again.
class Keeper {
 public:
  Keeper(const PlanFile& plan, const Folders& folders) : plan_(plan) {
    for (const Scope scope : {Scope::shared, Scope::tenant}) {
      if (plan.of(scope) != nullptr)
        places_[scope] = places_of(*plan.of(scope), folders.of(scope));
    }
  }

  std::vector<std::string> revise(FleetPlan& plan, Scope scope) {
    held_.insert(scope);
    return hold_to(plan, *plan_.of(scope));
  }

  void check(Scope scope, const History& history) const {
    const bool is_known = places_.at(scope).contains(Mark::of(scope, history).digest);
    if (held_.contains(scope) && !is_known) {
      throw HistoryError("not where the plan says: somebody else migrated it meanwhile",
                         "Make the plan again.");
    }
  }

 private:
  const PlanFile& plan_;
  std::map<Scope, std::set<std::string>> places_;
  std::set<Scope> held_;
};

void refuse_selection(const Context& context, bool has_target) {
  const Settings& settings = context.settings;
  const bool selects = selection(context).is_filter() || settings.only_behind ||
                       !settings.exclude_states.empty() || !settings.only_failed.empty() ||
                       !settings.tenants_file.empty();
  if (has_target || selects) {
    throw UsageError("a plan says itself which schemas go where",
                     has_target ? "Leave TARGET out; tenantctl plan takes one."
                                : "Leave the selection out; tenantctl plan takes one.");
  }
}

}  // namespace

namespace {

// What stands there for a whole cluster says nothing of the tenants that it has.
void refuse_unread(const PlanFile::ScopePlan& plan) {
  for (const PlanFile::Group& group : plan.groups) {
    for (const std::string& schema : group.schemas) {
      if (schema.ends_with(':')) {
        throw UsageError(fmt::format("cluster {} could not be read when the plan was made",
                                     escaped_name(schema.substr(0, schema.size() - 1))),
                         "Make the plan again, or without it: tenantctl plan --exclude.");
      }
    }
  }
}

}  // namespace

ExitCode carry_out_plan(const Context& context, const std::string& file, bool has_target) {
  refuse_selection(context, has_target);
  const PlanFile plan = read_plan_file(read_file(file), file);
  refuse_unread(plan.tenants);
  const Folders folders = read_folders(context);
  check_folder(plan.tenants, folders.tenant);
  check_folder(plan.shared.value_or(PlanFile::ScopePlan{}), folders.shared);
  Migration migration = upgrade_all_migration(context, folders, plan.target);
  Keeper keeper(plan, folders);
  migration.target = target_of(plan, folders.tenant);
  migration.follows = false;
  migration.plan = [&keeper, planner = migration.plan](const RevisionFolder& folder,
                                                       const History& history, Missing missing) {
    keeper.check(folder.scope(), history);
    return planner(folder, history, missing);
  };
  migration.revise = [&keeper](FleetPlan& fleet, Scope scope) {
    return keeper.revise(fleet, scope);
  };
  return migrate(context, folders, migration);
}

void add_plan(CLI::App& app, Context& context) {
  CLI::App* command =
      app.add_subcommand("plan", "what upgrade-all would do, to be read, kept and carried out");
  auto options = std::make_shared<PlanOptions>();
  command->add_option("TARGET", options->target, "head, a revision (unique prefix), or +N")
      ->capture_default_str();
  add_setting(*command, "--file", options->file, "write the plan there, for upgrade-all --plan")
      ->group("Plan");
  describe_schemas(*command, context.settings);
  describe_selection(*command, context.settings);
  describe_output(*command, context.settings);
  describe_folder(*command, context.settings);
  describe_connection(*command, context.settings);
  add_switch(*command, "--allow-out-of-order", context.settings.allow_out_of_order,
             "apply revisions that are older than applied ones");
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no warnings");
  add_example(*command, "tenantctl plan --file plan.json");
  command->callback([&context, options] {
    context.run = [&context, options] { return run(context, *options); };
  });
}

}  // namespace tenantctl::cli
