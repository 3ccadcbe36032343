#include "cli/seeds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <ostream>
#include <thread>

#include "base/text.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "migrate/plan.h"
#include "revision/directives.h"

namespace tenantctl::cli {
namespace {

constexpr std::size_t longest_value = std::size_t{1} << 20U;

std::string variable_of_parameter(const std::string& name) {
  std::string variable = "TENANTCTL_PARAM_" + name;
  std::ranges::transform(variable, variable.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return variable;
}

// The line end that an editor leaves is not part of a secret.
std::string text_of_file(const std::string& file) {
  std::ifstream input(file, std::ios::binary);
  // One more than a value may have: what it is of, a device say, may have no end.
  std::string value(longest_value + 1, '\0');
  input.read(value.data(), static_cast<std::streamsize>(value.size()));
  value.resize(static_cast<std::size_t>(input.gcount()));
  if (!input.is_open() || input.bad()) {
    throw UsageError(fmt::format("the file {} of a --param cannot be read", escaped_name(file)),
                     "--param NAME=@FILE reads the value from a file; @@ is one @ of the value.");
  }
  if (value.ends_with('\n'))
    value.pop_back();
  if (value.ends_with('\r'))
    value.pop_back();
  return value;
}

// Never with the value itself.
void check_value(const std::string& name, const std::string& value) {
  if (value.find('\0') != std::string::npos || invalid_utf8(value)) {
    throw UsageError(fmt::format("the value of parameter {} is no UTF-8 text", name),
                     "The server takes text without NUL bytes alone.");
  }
  if (value.size() > longest_value) {
    throw UsageError(
        fmt::format("the value of parameter {} is larger than {} bytes", name, longest_value),
        "Load rows with a tool for it.");
  }
}

std::pair<std::string, std::string> parsed(const std::string& given) {
  const std::size_t equals = given.find('=');
  const std::string name = given.substr(0, equals);
  if (equals == std::string::npos || !is_parameter_name(name)) {
    throw UsageError("a --param is not NAME=VALUE",
                     "Write --param plan=free, or --param password=@FILE.");
  }
  std::string value = given.substr(equals + 1);
  if (value.starts_with("@@"))
    return {name, value.substr(1)};
  if (value.starts_with('@'))
    value = text_of_file(value.substr(1));
  return {name, std::move(value)};
}

void add_given(SeedValues& values, const std::vector<const Revision*>& seeds,
               const std::vector<std::string>& params) {
  for (const std::string& param : params) {
    auto [name, value] = parsed(param);
    check_value(name, value);
    const bool is_known = std::ranges::any_of(seeds, [&name = name](const Revision* seed) {
      return std::ranges::count(seed->parameters, name, &Parameter::name) > 0;
    });
    if (!is_known) {
      throw UsageError(fmt::format("no seed that runs has a parameter {}", name),
                       "A seed declares it: -- tenantctl: param NAME. Nothing was run.");
    }
    if (!values.emplace(name, std::move(value)).second) {
      throw UsageError(fmt::format("parameter {} is given twice", name), "Leave one out.");
    }
  }
}

void add_rest(SeedValues& values, const Revision& seed) {
  for (const Parameter& parameter : seed.parameters) {
    if (values.contains(parameter.name))
      continue;
    const std::string variable = variable_of_parameter(parameter.name);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the program has one thread here
    if (const char* value = std::getenv(variable.c_str())) {
      check_value(parameter.name, value);
      values.emplace(parameter.name, value);
    } else if (!parameter.preset) {
      throw UsageError(
          fmt::format("seed {} needs parameter {}", seed.title(), parameter.name),
          fmt::format("Give --param {0}=VALUE, --param {0}=@FILE or {1}. Nothing was run.",
                      parameter.name, variable),
          Place{.file = seed.file, .line = parameter.line, .column = 1, .text = {}});
    }
  }
}

std::string titles_of(const std::vector<const Revision*>& seeds) {
  std::string titles;
  for (const Revision* seed : seeds)
    titles += (titles.empty() ? "" : ", ") + seed->title();
  return titles;
}

void fail(Report& report, SchemaReport& schema, Failure failure) {
  report.interrupted = report.interrupted || signal_count() > 0;
  schema.result = signal_count() > 0 ? Result::interrupted : Result::failed;
  schema.failure = std::make_unique<Failure>(std::move(failure));
}

}  // namespace

void describe_params(CLI::App& command, SeedOptions& options) {
  add_setting(command, "--param", options.params,
              "NAME=VALUE or NAME=@FILE of the seeds (repeatable); else TENANTCTL_PARAM_NAME")
      ->group("Seeds");
}

std::vector<const Revision*> seeds_of(const RevisionFolder& folder) {
  std::vector<const Revision*> seeds;
  for (const Revision& seed : folder.seeds())
    seeds.push_back(&seed);
  return seeds;
}

void read_values(SeedWork& work, const SeedOptions& options) {
  std::vector<const Revision*> seeds = work.shared;
  seeds.insert(seeds.end(), work.tenant.begin(), work.tenant.end());
  for (const Revision* seed : seeds)
    check_runnable(*seed, seed->up);
  add_given(work.values, seeds, options.params);
  for (const Revision* seed : seeds)
    add_rest(work.values, *seed);
}

SeedTarget seed_target(const RegisteredTenant& tenant) {
  return {.schema = SchemaName::existing(tenant.schema),
          .shares_rows = tenant.has_rows(),
          .id = tenant.id,
          .slug = tenant.slug,
          .name = tenant.name,
          .tier = tenant.tier,
          .metadata = tenant.metadata};
}

SeedTarget shared_target(const Context& context) {
  return {.schema = SchemaName::existing(context.settings.shared_schema), .scope = Scope::shared};
}

SiteSession& Seeder::connect(const Site& site) {
  const std::string place = fmt::format("{}\n{}", site.cluster, site.database);
  if (site_session_ != nullptr && place == place_ && !site_session_->pipeline().is_lost())
    return *site_session_;
  site_session_.reset();
  try {
    site_session_ = std::make_unique<SiteSession>(session_.connect_options(site));
  } catch (const pq::ConnectFailed& error) {
    // A translation: one database that cannot be reached says nothing of the others.
    if (site.database.empty() && site.cluster.empty())
      throw;
    throw Error(error.what(), error.hint());
  }
  place_ = place;
  return *site_session_;
}

SeedOutcome Seeder::attempt(const Site& site, const Beginning& beginning, bool& is_done) {
  SiteSession& connection = connect(site);
  MigrateOptions options = migrate_options(context_.settings, session_.run_id());
  options.table.readers = session_.status_roles();
  options.server_version = connection.server_version();
  options.direct = !session_.via_pooler();
  SeedRun run(connection.pipeline(), options, work_.values, [] { return signal_count() > 0; });
  SeedOutcome outcome;
  for (const SeedTarget& target : beginning(run)) {
    is_done = true;
    outcome = run.seed(target, target.scope == Scope::shared ? work_.shared : work_.tenant);
  }
  if (is_done)
    run.commit();
  return outcome;
}

SeedOutcome Seeder::run(const Site& site, const Beginning& beginning, bool& is_done) {
  const pq::Deadline until = pq::Clock::now() + context_.settings.lock_wait;
  for (std::uint32_t tries = 1;; ++tries) {
    try {
      is_done = false;
      return attempt(site, beginning, is_done);
    } catch (const SeedFailed& failed) {
      const bool is_busy = failed.verdict() == Verdict::busy;
      const bool again =
          is_busy ? pq::Clock::now() < until
                  : failed.verdict() == Verdict::contention && tries < context_.settings.tries;
      if (is_busy && !again)
        throw UnavailableError(failed.what(), "Wait until the other run ends.");
      if (signal_count() > 0) {
        throw InterruptedError(fmt::format("interrupted: {}", failed.what()),
                               "Nothing of this transaction was kept.");
      }
      if (!again)
        throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

SeedOutcome Seeder::seed(const Site& site, const SeedTarget& target) {
  bool is_done = false;
  return run(
      site, [&target](SeedRun& /*run*/) { return std::vector{target}; }, is_done);
}

bool Seeder::seed_along(const Beginning& beginning) {
  bool is_done = false;
  run({}, beginning, is_done);
  return is_done;
}

void Seeder::seed_made(Report& report, const TargetOf& target_of) {
  for (SchemaReport& schema : report.schemas) {
    if (is_problem(schema.result) || schema.result == Result::gone)
      continue;
    try {
      const auto [site, target] = target_of(schema.schema);
      if (!work_.shared.empty())
        seed(site, shared_target(context_));
      if (!work_.tenant.empty())
        seed(site, target);
    } catch (const SeedFailed& failed) {
      fail(report, schema, failed.failure());
    } catch (const Error& error) {
      // A translation: one tenant has failed, and is taken away again as others are.
      fail(report, schema,
           {.message = fmt::format("cannot be seeded: {}", error.what()),
            .hint = error.hint(),
            .sqlstate = {},
            .revision = {},
            .place = error.place()});
    }
  }
}

std::vector<AppliedSeed> recorded_seeds(const Context& context, Session& session, const Site& site,
                                        const SeedTarget& target) {
  const SeedTable table(target.schema, table_options(context.settings, session.run_id()));
  if (site.database.empty() && site.cluster.empty())
    return read_seeds(session.pipeline(), table, target.key(), session.deadline());
  SiteSession away(session.connect_options(site));
  return read_seeds(away.pipeline(), table, target.key(), session.deadline());
}

void note_seeds(const Context& context, const SeedWork& work) {
  if (context.settings.quiet)
    return;
  for (const auto* seeds : {&work.shared, &work.tenant}) {
    if (!seeds->empty()) {
      *context.err << fmt::format("tenantctl: notice: these seeds run before it is ready: {}\n",
                                  titles_of(*seeds));
    }
  }
}

}  // namespace tenantctl::cli
