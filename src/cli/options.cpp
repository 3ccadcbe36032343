#include "cli/options.h"

#include <fmt/format.h>

#include <map>

namespace tenantctl::cli {
namespace {

const std::map<std::string, std::uint64_t>& duration_units() {
  static const std::map<std::string, std::uint64_t> units{
      {"ms", 1}, {"s", 1'000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
  return units;
}

std::string duration_text(std::chrono::milliseconds value) {
  constexpr std::int64_t day = 86'400'000;
  const std::int64_t count = value.count();
  if (count > 0 && count % day == 0)
    return fmt::format("{}d", count / day);
  return count % 1'000 == 0 ? fmt::format("{}s", count / 1'000) : fmt::format("{}ms", count);
}

}  // namespace

std::string variable_of(const std::string& option) {
  const std::size_t begin = option.rfind("--");
  std::string name = "TENANTCTL_" + option.substr(begin == std::string::npos ? 0 : begin + 2);
  for (char& c : name) {
    if (c == '-')
      c = '_';
    if (c >= 'a' && c <= 'z')
      c = static_cast<char>(c - 'a' + 'A');
  }
  return name;
}

template <typename Value>
CLI::Option* add_setting(CLI::App& command, const std::string& names, Value& value,
                         const std::string& help) {
  return command.add_option(names, value, help)->envname(variable_of(names));
}

template <>
CLI::Option* add_setting(CLI::App& command, const std::string& names,
                         std::vector<std::string>& value, const std::string& help) {
  // One value each time the option stands there, or TARGET behind it would be swallowed.
  return command.add_option(names, value, help)
      ->allow_extra_args(false)
      ->envname(variable_of(names));
}

template CLI::Option* add_setting(CLI::App&, const std::string&, std::string&, const std::string&);
template CLI::Option* add_setting(CLI::App&, const std::string&, std::size_t&, const std::string&);
template CLI::Option* add_setting(CLI::App&, const std::string&, std::uint32_t&,
                                  const std::string&);

CLI::Option* add_duration(CLI::App& command, const std::string& names,
                          std::chrono::milliseconds& value, const std::string& help) {
  const auto set = [&value](const std::uint64_t& count) {
    value = std::chrono::milliseconds(count);
  };
  return command.add_option_function<std::uint64_t>(names, set, help)
      ->transform(CLI::AsNumberWithUnit(duration_units(), CLI::AsNumberWithUnit::CASE_INSENSITIVE,
                                        "DURATION"))
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{86'400'000'000}))
      ->type_name("DURATION")
      ->default_str(duration_text(value))
      ->envname(variable_of(names));
}

CLI::Option* add_switch(CLI::App& command, const std::string& names, bool& value,
                        const std::string& help) {
  return command.add_flag(names, value, help)->envname(variable_of(names));
}

void describe_output(CLI::App& command, Settings& settings) {
  static const std::map<std::string, Format> formats{{"text", Format::text},
                                                     {"json", Format::json}};
  command.add_option("-o,--output", settings.output, "text for people, json for programs")
      ->transform(CLI::CheckedTransformer(formats, CLI::ignore_case).description("text|json"))
      ->default_str("text")
      ->option_text("text|json [text] (Env:TENANTCTL_OUTPUT)")
      ->envname(variable_of("--output"));
}

void describe_folder(CLI::App& command, Settings& settings) {
  add_setting(command, "--migrations", settings.migrations,
              "folder with shared/versions and tenant/versions")
      ->capture_default_str()
      ->group("Folder");
  command
      .add_option("--max-file-size", settings.max_file_size, "largest revision file, 16mb style")
      ->transform(CLI::AsSizeValue(false))
      ->default_str("16mb")
      ->envname("TENANTCTL_MAX_FILE_SIZE")
      ->group("Folder");
}

void describe_connection(CLI::App& command, Settings& settings) {
  const auto describe = [&](CLI::Option* option) { option->group("Connection"); };
  describe(add_setting(command, "--database-url", settings.database_url,
                       "what libpq takes: URI or keywords; else DATABASE_URL, PG* variables"));
  describe(add_setting(command, "--direct-url", settings.direct_url,
                       "a connection past the pooler, for what a pooler cannot carry"));
  describe(add_setting(command, "--role", settings.role,
                       "act as this role, which owns everything, whoever logs in"));
  describe(add_duration(command, "--connect-timeout", settings.connect_timeout,
                        "how long to wait for a connection"));
  describe(add_duration(command, "--answer-timeout", settings.answer_timeout,
                        "how long to wait for an answer to a question of our own"));
  describe(
      add_setting(command, "--shared-schema", settings.shared_schema, "schema of the shared scope")
          ->capture_default_str());
  describe(add_setting(command, "--version-table", settings.version_table,
                       "name of the version table in each schema")
               ->capture_default_str());
  describe(add_setting(command, "--owner", settings.owners,
                       "role besides the own whose version tables are trusted (repeatable)"));
  describe(add_setting(command, "--tenants-query", settings.tenants_query,
                       "SELECT of the tenants' schema names, instead of finding them by mark"));
  describe(add_setting(command, "--cluster-url", settings.cluster_urls,
                       "name=URL of a server besides (repeatable); [clusters] in the file"));
  // The file tells of all servers, and not which is meant.
  describe(add_setting(command, "--cluster", settings.cluster,
                       "work in that server's database instead, a name out of [clusters]")
               ->configurable(false));
}

void describe_question(CLI::App& command, Settings& settings) {
  describe_output(command, settings);
  describe_connection(command, settings);
  add_switch(command, "-q,--quiet", settings.quiet, "no warnings");
}

void describe_numbering(CLI::App& command, Settings& settings) {
  static const std::map<std::string, Numbering> numberings{{"timestamp", Numbering::timestamp},
                                                           {"sequence", Numbering::sequence}};
  command.add_option("--numbering", settings.numbering, "timestamp or sequence")
      ->transform(CLI::CheckedTransformer(numberings, CLI::ignore_case))
      ->default_str("timestamp")
      ->option_text("timestamp|sequence [timestamp] (Env:TENANTCTL_NUMBERING)")
      ->envname(variable_of("--numbering"));
}

void describe_schemas(CLI::App& command, Settings& settings) {
  add_setting(command, "-s,--schema", settings.schemas, "schema (repeatable)")->group("Selection");
}

void describe_scope(CLI::App& command, Settings& settings, const std::string& help) {
  add_setting(command, "--scope", settings.scope, help)->check(CLI::IsMember({"shared", "tenant"}));
}

void describe_filters(CLI::App& command, Settings& settings) {
  const auto describe = [](CLI::Option* option) { option->group("Selection"); };
  describe(add_setting(command, "--tenants", settings.tenants,
                       "only schemas that match the pattern, * and ? (repeatable)"));
  describe(add_setting(command, "--exclude", settings.excludes,
                       "not the schemas that match the pattern (repeatable)"));
  describe(add_setting(command, "--tenants-file", settings.tenants_file,
                       "only the schemas named in the file, one a line; - is standard input"));
  const CLI::IsMember states(
      {"provisioning", "ready", "suspended", "archived", "deleting", "moving"});
  describe(add_setting(command, "--state", settings.states,
                       "only tenants that the registry has in this state (repeatable)")
               ->check(states));
  describe(add_setting(command, "--exclude-state", settings.exclude_states,
                       "not the tenants that the registry has in this state (repeatable)")
               ->check(states));
  // What `tenant create` gives a tenant must not choose tenants as well, by variable or file.
  describe(add_setting(command, "--tier", settings.tiers,
                       "only tenants that the registry has in this tier (repeatable)")
               ->envname("TENANTCTL_ONLY_TIER")
               ->configurable(false));
  describe(add_setting(command, "--isolation", settings.isolations,
                       "only tenants that the registry has with this isolation (repeatable)")
               ->check(CLI::IsMember({"schema", "database", "rows"}))
               ->envname("TENANTCTL_ONLY_ISOLATION")
               ->configurable(false));
}

void describe_selection(CLI::App& command, Settings& settings) {
  const auto describe = [](CLI::Option* option) { option->group("Selection"); };
  describe_filters(command, settings);
  describe(add_switch(command, "--only-behind", settings.only_behind,
                      "only schemas that have something to do"));
  describe(add_setting(command, "--only-failed", settings.only_failed,
                       "only schemas that the run RUN left unfinished"));
}

void describe_run(CLI::App& command, Settings& settings) {
  const auto describe = [](CLI::Option* option) { option->group("Run"); };
  describe(add_setting(command, "-j,--jobs", settings.jobs,
                       "connections to work with; else as many as the server has room for")
               ->check(CLI::Range(1, 64)));
  describe(add_setting(command, "--depth", settings.depth,
                       "schemas in flight on one connection; else as the round trip asks, up to 8")
               ->check(CLI::Range(1, 128)));
  describe(
      add_duration(command, "--lock-timeout", settings.lock_timeout,
                   "longest wait of a statement for a lock; then all is undone and tried again"));
  describe(add_duration(command, "--concurrent-lock-timeout", settings.concurrent_lock_timeout,
                        "the same outside a transaction"));
  describe(add_duration(command, "--statement-timeout", settings.statement_timeout,
                        "longest statement; 0 for no limit"));
  describe(add_duration(command, "--lock-wait", settings.lock_wait,
                        "patience with another run that holds a schema"));
  describe(add_duration(command, "--reconnect-timeout", settings.reconnect_timeout,
                        "how long to try to connect again"));
  describe(add_setting(command, "--tries", settings.tries,
                       "tries of a schema that meets locks or deadlocks")
               ->check(CLI::Range(1, 100))
               ->capture_default_str());
  describe(add_setting(command, "--search-path-extra", settings.search_path_extra,
                       "schema behind the tenant's in the search_path (repeatable)"));
  describe(add_switch(command, "--shared-in-path", settings.shared_in_path,
                      "tenants' SQL sees the shared schema's names unqualified"));
  describe(add_setting(command, "--var", settings.variables,
                       "name=value for :\"name\" and :'name' in revisions (repeatable)"));
  describe(add_setting(command, "--report", settings.reports,
                       "file that tells the run: .jsonl, .xml (JUnit) or .md (repeatable)"));
  describe(
      add_switch(command, "-v,--verbose", settings.verbose, "a line for each schema that ends"));
  describe(add_switch(command, "--no-ledger", settings.no_ledger, "do not record the run"));
}

void describe_waves(CLI::App& command, Settings& settings) {
  const auto describe = [](CLI::Option* option) { option->group("Waves"); };
  describe(add_setting(command, "--canary", settings.canaries,
                       "the first wave: so many schemas, or those named (repeatable)"));
  describe(add_setting(command, "--waves", settings.waves,
                       "how many are done after each wave, like 1,10%,100%")
               ->delimiter(','));
  describe(add_duration(command, "--pause", settings.pause, "wait between waves"));
  describe(add_switch(command, "--confirm", settings.confirm, "ask before each further wave"));
  describe(add_switch(command, "--fail-fast", settings.fail_fast,
                      "start no further schema when one has failed"));
  describe(add_setting(command, "--max-failures", settings.max_failures,
                       "start no further schema when more of a wave have failed, like 5 or 2%"));
  describe(add_setting(command, "--max-lock-waits", settings.max_lock_waits,
                       "the same for tries that met a lock"));
  describe(add_duration(command, "--max-duration", settings.max_duration,
                        "start no further schema after this time; 0 for no limit"));
  describe(
      add_duration(command, "--max-replica-lag", settings.max_replica_lag,
                   "start no further schema when a standby is further behind; 0 for no limit"));
}

void describe_dry(CLI::App& command, Settings& settings) {
  const auto describe = [](CLI::Option* option) { option->group("Plan"); };
  describe(add_switch(command, "-n,--dry-run", settings.dry_run, "print the plan, touch nothing"));
  describe(add_switch(command, "--sql", settings.sql, "print the SQL that would be sent"));
}

void describe_plan(CLI::App& command, Settings& settings) {
  const auto describe = [](CLI::Option* option) { option->group("Plan"); };
  describe_dry(command, settings);
  describe(add_setting(command, "--from", settings.from,
                       "with --sql: where the schema stands; no connection is made"));
}

void add_example(CLI::App& command, const std::string& example) {
  command.footer("Example:\n  " + example);
}

}  // namespace tenantctl::cli
