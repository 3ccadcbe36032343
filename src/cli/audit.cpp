#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>

#include "base/text.h"
#include "catalog/audit.h"
#include "catalog/probe.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/tenants.h"
#include "output/audit_writer.h"

namespace tenantctl::cli {
namespace {

struct AuditOptions {
  std::vector<std::string> ignored;
  std::vector<std::string> rows_schemas;
  std::string tenant_column = "tenant_id";
  bool lists_all = false;
  bool probes = false;
  std::size_t pairs = 20;
  std::string seed;
};

std::uint64_t seed_of(const std::string& text) {
  if (text.empty()) {
    return std::random_device()();
  }
  std::uint64_t seed = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (code != std::errc() || end != text.data() + text.size()) {
    throw UsageError(fmt::format("--seed takes a number, not {}", escaped_name(text)),
                     "Give the number that an earlier run printed.");
  }
  return seed;
}

// A marked schema of a registered tenant is that tenant's; any other is a tenant by its mark.
void add_tenants(AuditInput& input, const Fleet& fleet,
                 const std::vector<RegisteredTenant>& registered) {
  const auto is_marked = [&fleet](const std::string& schema) {
    const FoundSchema* found = fleet.find(schema);
    return found != nullptr && found->state != FoundSchema::State::missing &&
           found->state != FoundSchema::State::bare;
  };
  std::vector<std::string_view> known{input.shared_schema};
  known.insert(known.end(), input.rows_schemas.begin(), input.rows_schemas.end());
  for (const RegisteredTenant& tenant : registered) {
    known.emplace_back(tenant.schema);
    // Nobody but its owner may use what was dropped.
    if (tenant.schema.starts_with(SchemaName::dropped_prefix))
      continue;
    input.tenants.push_back({.id = tenant.id,
                             .name = tenant.slug,
                             .isolation = tenant.isolation,
                             .schema = tenant.schema,
                             .database = tenant.database,
                             .cluster = tenant.cluster,
                             .state = tenant.state,
                             .role = tenant.runtime_role,
                             .is_marked = is_marked(tenant.schema)});
  }
  std::ranges::sort(known);
  for (const FoundSchema& found : fleet.schemas) {
    if (is_marked(found.schema) && !std::ranges::binary_search(known, found.schema)) {
      input.tenants.push_back({.id = {},
                               .name = found.schema,
                               .isolation = "schema",
                               .schema = found.schema,
                               .database = {},
                               .cluster = {},
                               .state = {},
                               .role = {},
                               .is_marked = true});
    }
  }
}

// A home is one although nobody lives there yet.
void add_homes(AuditInput& input, const Fleet& fleet, const std::vector<TenantPlace>& places,
               const std::vector<RegisteredTenant>& registered) {
  for (const TenantPlace& place : places) {
    const bool has_tenants =
        std::ranges::any_of(registered, [&place](const RegisteredTenant& tenant) {
          return tenant.has_rows() && tenant.schema == place.schema;
        });
    if (place.is_home() && !has_tenants && fleet.find(place.schema) != nullptr) {
      input.rows_schemas.push_back(place.schema);
    }
  }
}

// What waits in the pool is to be as closed as a tenant.
void add_pool(AuditInput& input, const std::vector<TenantPlace>& places) {
  for (AuditedTenant& tenant : input.tenants) {
    const auto place = std::ranges::find(places, tenant.name, &TenantPlace::schema);
    if (!tenant.is_registered() && place != places.end()) {
      tenant.is_pooled = true;
      tenant.role = place->runtime_role;
    }
  }
}

AuditInput read_input(Session& session, const Context& context, const AuditOptions& options) {
  const Settings& settings = context.settings;
  AuditInput input{.has_registry = false,
                   .tenants = {},
                   .shared_schema = settings.shared_schema,
                   .path_extra = settings.search_path_extra,
                   .rows_schemas = options.rows_schemas,
                   .owners = settings.owners,
                   .tenant_column = options.tenant_column,
                   .version_table = settings.version_table};
  TenantRegistry registry = tenant_registry(context, session);
  input.has_registry = registry.is_installed();
  const std::vector<TenantPlace> places = tenant_places(context, session).all();
  const std::vector<RegisteredTenant> registered = registry.all();
  const Fleet fleet = session.fleet();
  add_homes(input, fleet, places, registered);
  add_tenants(input, fleet, registered);
  add_pool(input, places);
  return input;
}

void check_homes(const AuditFacts& facts) {
  for (const std::string& schema : facts.input().rows_schemas) {
    if (!facts.has_schema(schema)) {
      throw UsageError(fmt::format("there is no schema {}", escaped_name(schema)),
                       "--rows-schema names a home of shared rows.");
    }
  }
}

ExitCode run(const Context& context, const AuditOptions& options) {
  std::vector<Allowance> allowances;
  for (const std::string& text : options.ignored) {
    allowances.push_back(Allowance::parse(text));
  }
  const ProbeOptions probe_options{.pairs = options.pairs, .seed = seed_of(options.seed)};
  Session session(context);
  const AuditInput input = read_input(session, context, options);
  const AuditFacts facts = AuditFacts::read(session.pipeline(), input, session.deadline());
  check_homes(facts);
  AuditReport report = audit_isolation(session.pipeline(), facts, session.deadline());
  std::optional<ProbeReport> probe;
  if (options.probes) {
    probe =
        probe_isolation(session.pipeline(), facts, probe_options, context.settings.answer_timeout);
    report.findings.insert(report.findings.end(), probe->findings.begin(), probe->findings.end());
    report.sort();
  }
  report.ignore(allowances);
  write_audit(*context.out, context.settings.output,
              {.report = &report,
               .probe = probe ? &*probe : nullptr,
               .has_registry = input.has_registry,
               .lists_all = options.lists_all});
  return report.findings.empty() ? ExitCode::ok : ExitCode::findings;
}

std::string rules_text() {
  std::string text;
  for (const AuditRule& rule : audit_rules()) {
    text += fmt::format("\n  {:<4}{}", rule.id, rule.title);
  }
  return text;
}

void add_isolation(CLI::App& audit, Context& context) {
  CLI::App* command =
      audit.add_subcommand("isolation", "whether one tenant can reach another; exit 4 if so");
  auto options = std::make_shared<AuditOptions>();
  add_setting(*command, "--ignore", options->ignored,
              "RULE or RULE:OBJECT that is accepted, * and ? in the object (repeatable)");
  add_switch(*command, "--all", options->lists_all, "name every finding, not the first ten a rule");
  add_setting(*command, "--rows-schema", options->rows_schemas,
              "home of shared rows that no registry names (repeatable)");
  add_setting(*command, "--tenant-column", options->tenant_column,
              "column of shared tables that says whose a row is")
      ->capture_default_str();
  add_switch(*command, "--probe", options->probes,
             "also try to cross as tenants' roles, always rolled back");
  add_setting(*command, "--pairs", options->pairs, "pairs of tenants to try with --probe")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  add_setting(*command, "--seed", options->seed, "of the choice of pairs, as printed by a run");
  describe_output(*command, context.settings);
  describe_connection(*command, context.settings);
  add_setting(*command, "--search-path-extra", context.settings.search_path_extra,
              "schema behind the tenant's in the search_path of revisions (repeatable)");
  add_switch(*command, "-q,--quiet", context.settings.quiet, "no warnings");
  command->footer(
      fmt::format("Rules:{}\n\nExample:\n  tenantctl audit isolation --probe "
                  "--ignore A11:file_server",
                  rules_text()));
  command->callback([&context, options] {
    context.run = [&context, options] { return run(context, *options); };
  });
}

}  // namespace

void add_audit(CLI::App& app, Context& context) {
  CLI::App* audit = app.add_subcommand("audit", "judge what the database allows");
  audit->require_subcommand(1);
  add_isolation(*audit, context);
  add_example(*audit, "tenantctl audit isolation");
}

}  // namespace tenantctl::cli
