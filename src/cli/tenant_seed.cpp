#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/life.h"
#include "cli/options.h"
#include "cli/seeds.h"
#include "cli/survey.h"
#include "cli/tenants.h"
#include "output/tenant_writer.h"

namespace tenantctl::cli {
namespace {

struct SeedCommand {
  std::vector<std::string> names;
  bool all = false;
  bool shared = false;
  std::vector<std::string> only;  ///< seeds
  SeedOptions options;
};

/// Who is to be seeded, and where.
struct Seeded {
  std::string name;
  Site site = {};
  SeedTarget target;
};

bool is_at_rest(const RegisteredTenant& tenant) {
  return tenant.state == "ready" || tenant.state == "suspended" || tenant.state == "archived";
}

/// Finds whom a command means.
class SeedTargets {
 public:
  SeedTargets(const Context& context, Session& session)
      : context_(context), session_(session), places_(tenant_places(context, session).all()) {}

  std::vector<Seeded> named(const std::vector<std::string>& names) {
    TenantRegistry registry = tenant_registry(context_, session_);
    std::vector<Seeded> targets;
    for (const Named& tenant : find_named(registry, names)) {
      check(tenant);
      targets.push_back(tenant.row ? seeded(*tenant.row) : unregistered(tenant.schema));
    }
    return targets;
  }

  std::vector<Seeded> selected(const Selection& chosen) {
    const Fleet fleet = session_.own();
    const std::vector<RegisteredTenant> rows = tenant_registry(context_, session_).all();
    std::vector<Seeded> targets;
    std::size_t left_out = 0;
    for (const RegisteredTenant& row : rows) {
      if (row.has_rows() && chosen.registry.passes(row) && chosen.takes("", row.slug))
        is_at_rest(row) ? targets.push_back(seeded(row)) : void(++left_out);
    }
    const auto indexes = targets.empty() && left_out == 0 ? session_.select(fleet, chosen)
                                                          : session_.match(fleet, chosen);
    for (const std::uint32_t i : indexes) {
      const FoundSchema& found = fleet.schemas[i];
      const auto row = std::ranges::find_if(rows, [&found](const RegisteredTenant& tenant) {
        return !tenant.has_rows() && tenant.place() == found.schema;
      });
      if (is_place(found.schema))
        continue;
      if (row != rows.end())
        is_at_rest(*row) ? targets.push_back(seeded(*row)) : void(++left_out);
      else
        targets.push_back(unregistered(found.schema));
    }
    if (left_out > 0)
      warn(context_, fmt::format("{} left out: provisioning, deleting or moving",
                                 counted(left_out, "tenant")));
    return targets;
  }

  /// Here, and in the databases of tenants.
  std::vector<Seeded> shared() {
    const std::string& schema = context_.settings.shared_schema;
    std::vector<Seeded> targets;
    if (session_.schemas({schema}).schemas.front().state != FoundSchema::State::missing)
      targets.push_back({.name = schema, .target = shared_target(context_)});
    if (tenant_registry(context_, session_).is_installed()) {
      for (const Site& site : session_.own().sites)
        targets.push_back(
            {.name = site.name_of(schema), .site = site, .target = shared_target(context_)});
    }
    return targets;
  }

 private:
  static Seeded seeded(const RegisteredTenant& row) {
    return {.name = row.slug, .site = row.site(), .target = seed_target(row)};
  }

  static Seeded unregistered(const std::string& schema) {
    return {.name = schema,
            .target = {.schema = SchemaName::existing(schema), .slug = schema, .name = schema}};
  }

  bool is_place(const std::string& schema) const {
    return std::ranges::count(places_, schema, &TenantPlace::schema) > 0;
  }

  void check(const Named& tenant) const {
    if (tenant.row && !is_at_rest(*tenant.row)) {
      throw UsageError(fmt::format("tenant {} is {}", tenant.row->slug, tenant.row->state),
                       "Who is ready, suspended or archived can be seeded.");
    }
    if (tenant.row)
      return;
    if (tenant.schema == context_.settings.shared_schema) {
      throw UsageError(fmt::format("{} holds the shared scope", tenant.schema),
                       "Its seeds run with --shared.");
    }
    if (is_place(tenant.schema)) {
      throw UsageError(
          fmt::format("{} is no tenant: a home of shared rows, or of the pool", tenant.schema),
          "Who has rows in a home is named by the slug; the pool's are seeded when they are "
          "claimed.");
    }
    if (session_.schemas({tenant.schema}).schemas.front().state == FoundSchema::State::missing) {
      throw UsageError(fmt::format("there is no tenant \"{}\"", escaped_name(tenant.name)),
                       "tenantctl tenant list shows all.");
    }
  }

  const Context& context_;
  Session& session_;
  std::vector<TenantPlace> places_;
};

void keep_only(std::vector<const Revision*>& seeds, const std::vector<std::string>& only) {
  for (const std::string& name : only) {
    if (std::ranges::none_of(seeds, [&](const Revision* one) { return one->title() == name; })) {
      throw UsageError(fmt::format("there is no seed \"{}\"", escaped_name(name)),
                       "--only-seed takes a file's name without .sql.");
    }
  }
  if (!only.empty()) {
    std::erase_if(seeds, [&only](const Revision* seed) {
      return std::ranges::count(only, seed->title()) == 0;
    });
  }
}

void check_who(const SeedCommand& command, bool selects) {
  const int ways =
      (command.names.empty() ? 0 : 1) + (command.all || selects ? 1 : 0) + (command.shared ? 1 : 0);
  if (ways != 1) {
    throw UsageError(ways == 0 ? "tenant seed needs a name" : "tenants are named twice",
                     "Give names, or --all, or a selection like --tier; --shared is for the shared "
                     "scope.");
  }
}

std::string place_text(const std::optional<Place>& place) {
  if (!place)
    return "";
  return place->line == 0 ? fmt::format(" ({})", escaped_name(place->file))
                          : fmt::format(" ({}:{})", escaped_name(place->file), place->line);
}

TenantResult seed_one(Seeder& seeder, const Seeded& one) {
  try {
    SeedOutcome outcome = seeder.seed(one.site, one.target);
    return {.tenant = one.name,
            .result = outcome.applied.empty() ? "unchanged" : "seeded",
            .seeds = std::move(outcome.applied),
            .edited = std::move(outcome.edited)};
  } catch (const SeedFailed& failed) {
    // A translation: the line of results has room for the place, too.
    throw Error(failed.what() + place_text(failed.place()), failed.hint());
  } catch (const pq::ConnectionLost& lost) {
    // A translation: the next tenant has a connection made anew, and only if that fails it is over.
    throw Error(lost.what(), lost.hint());
  }
}

ExitCode run_seed(const Context& context, const SeedCommand& command) {
  const Selection chosen = selection(context);
  check_who(command, chosen.is_filter() || !chosen.registry.is_empty());
  for (const std::string& name : command.names)
    SchemaName::existing(name);
  const Folders folders = read_folders(context);
  SeedWork work;
  auto& seeds = command.shared ? work.shared : work.tenant;
  seeds = seeds_of(command.shared ? folders.shared : folders.tenant);
  keep_only(seeds, command.only);
  read_values(work, command.options);
  Session session(context);
  SeedTargets finder(context, session);
  const std::vector<Seeded> targets = command.shared          ? finder.shared()
                                      : command.names.empty() ? finder.selected(chosen)
                                                              : finder.named(command.names);
  std::vector<std::string> names;
  for (const Seeded& one : targets)
    names.push_back(one.name);
  Seeder seeder(context, session, work);
  EachTenant each(context);
  const std::vector<TenantResult> results =
      each.run(names, [&](std::size_t i) { return seed_one(seeder, targets[i]); });
  write_seed_results(*context.out, *context.err, context.settings.output, results);
  return each.code_of(results);
}

}  // namespace

void add_tenant_seed(CLI::App& tenant, Context& context) {
  CLI::App* command =
      tenant.add_subcommand("seed", "run the seeds that tenants lack, once in each");
  auto options = std::make_shared<SeedCommand>();
  command->add_option("NAME", options->names, "tenant, by slug, schema or database/schema");
  add_switch(*command, "--all", options->all, "all tenants, also of shared rows");
  add_switch(*command, "--shared", options->shared,
             "the shared scope's seeds instead, also in tenants' databases");
  add_setting(*command, "--only-seed", options->only,
              "seed to run, by its file's name without .sql (repeatable); else all")
      ->group("Seeds");
  describe_params(*command, options->options);
  describe_filters(*command, context.settings);
  describe_tenants(*command, context);
  describe_run(*command, context.settings);
  add_example(*command, "tenantctl tenant seed acme --param owner_email=ann@acme.example");
  command->callback([&context, options] {
    context.run = [&context, options] { return run_seed(context, *options); };
  });
}

}  // namespace tenantctl::cli
