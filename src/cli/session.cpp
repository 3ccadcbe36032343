#include "cli/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <random>
#include <string_view>
#include <thread>

#include "base/text.h"
#include "cli/clusters.h"
#include "cli/signals.h"
#include "cli/tenants.h"
#include "output/result_writer.h"
#include "pq/conninfo.h"
#include "pq/session_options.h"
#include "pq/transaction.h"
#include "rollout/index_scans.h"
#include "rollout/lock_holder.h"
#include "rollout/sizing.h"
#include "tenant/event_triggers.h"
#include "tenant/fleet_roles.h"

namespace tenantctl::cli {
namespace {

using namespace std::chrono_literals;

constexpr int oldest_server = 130000;

// RFC 4122, version 4.
std::string random_uuid() {
  std::random_device device;
  std::uniform_int_distribution<unsigned> byte(0, 255);
  std::string text;
  for (int i = 0; i < 16; ++i) {
    unsigned value = byte(device);
    if (i == 6)
      value = (value & 0x0FU) | 0x40U;
    if (i == 8)
      value = (value & 0x3FU) | 0x80U;
    if (i == 4 || i == 6 || i == 8 || i == 10)
      text += '-';
    text += fmt::format("{:02x}", value);
  }
  return text;
}

// Tasks are known by their schemas.
void name_canaries(WaveOptions& waves, const FleetPlan& plan) {
  for (std::string& canary : waves.canaries) {
    const auto at = plan.slugs.find(canary);
    if (at != plan.slugs.end() && plan.away.contains(at->second))
      canary = at->second;
  }
}

// Real folders have many; the first few tell what sort they are.
void warn_about_folder(const Context& context, const RevisionFolder& folder) {
  constexpr std::size_t shown = 5;
  const std::vector<Finding>& warnings = folder.warnings();
  for (std::size_t i = 0; i < std::min(shown, warnings.size()); ++i) {
    const Finding& finding = warnings[i];
    warn(context,
         fmt::format("{}:{}: {}", finding.place.file, finding.place.line, finding.message));
  }
  if (warnings.size() > shown) {
    warn(context, fmt::format("{} more revisions like these", warnings.size() - shown));
  }
}

std::vector<std::string> lines_of(std::istream& input) {
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(input, line)) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
      line.pop_back();
    if (!line.empty() && line.front() != '#')
      lines.push_back(line);
  }
  return lines;
}

// With the settings that a revision's RESET ALL leads to.
// RESET ROLE leads to the run's too.
std::string session_url(const std::string& url, const MigrateOptions& migrate, bool superuser) {
  return pq::with_session_options(
      url, fmt::format("{} -c lock_timeout={} -c statement_timeout={}",
                       pq::session_options(migrate.server_version, superuser, migrate.role),
                       migrate.lock_timeout.count(), migrate.statement_timeout.count()));
}

// --direct-url may lead through a pooler in session mode that takes none ("unsupported startup
// parameter"), or be of a role that may not set them; then only what a session is given behind its
// startup holds. Whatever else is wrong, the workers find as well.
bool refuses_options(const pq::ConnectOptions& connect) {
  try {
    pq::Connection::open(connect);
    return false;
  } catch (const pq::ConnectFailed& error) {
    const std::string& sqlstate = error.sqlstate();
    return sqlstate == "08P01" || sqlstate == "22023" || sqlstate == "42704" || sqlstate == "42501";
  }
}

}  // namespace

std::vector<std::string> read_names(const std::string& file, std::string_view what) {
  std::vector<std::string> names;
  if (file == "-") {
    names = lines_of(std::cin);
  } else {
    std::ifstream input(file);
    if (!input) {
      throw UsageError(fmt::format("cannot read the {} {}", what, escaped_name(file)),
                       "It holds one schema name a line; - is standard input.");
    }
    names = lines_of(input);
  }
  if (names.empty()) {
    throw UsageError(fmt::format("the {} names no schema", what),
                     "It holds one schema name a line.");
  }
  return names;
}

void warn(const Context& context, const std::string& message) {
  if (!context.settings.quiet)
    *context.err << "tenantctl: warning: " << told(message) << '\n';
}

Folders read_folders(const Context& context) {
  // A mistyped path would look like an empty history, and make empty tenants.
  if (!std::filesystem::is_directory(context.path(context.settings.migrations))) {
    throw UsageError(fmt::format("there is no folder {}",
                                 escaped_name(context.path(context.settings.migrations).string())),
                     "tenantctl init makes it; --migrations names another one.");
  }
  const RevisionFolder::Limits limits{.file_size = context.settings.max_file_size};
  const auto read = [&](Scope scope) {
    const auto path = context.path(context.settings.migrations) / to_text(scope);
    const auto shown = path.lexically_proximate(std::filesystem::current_path());
    return RevisionFolder::read(RevisionFolder::Paths::in(shown.empty() ? path : shown), scope,
                                limits);
  };
  std::vector<Finding> findings;
  Folders folders;
  for (const Scope scope : {Scope::shared, Scope::tenant}) {
    try {
      (scope == Scope::shared ? folders.shared : folders.tenant) = read(scope);
    } catch (const FolderError& error) {
      findings.insert(findings.end(), error.findings().begin(), error.findings().end());
    }
  }
  if (findings.empty())
    findings = check_requirements(folders.tenant, folders.shared);
  if (!findings.empty())
    throw FolderError(std::move(findings));
  for (const RevisionFolder* folder : {&folders.shared, &folders.tenant}) {
    warn_about_folder(context, *folder);
  }
  return folders;
}

FleetQuery fleet_query(const Settings& settings) {
  return {.version_table = settings.version_table,
          .owners = settings.owners,
          .tenants_query = settings.tenants_query};
}

TableOptions table_options(const Settings& settings, const std::string& run_id) {
  return {.name = settings.version_table,
          .owners = settings.owners,
          .run_id = run_id,
          .tool_version = TENANTCTL_VERSION};
}

MigrateOptions migrate_options(const Settings& settings, const std::string& run_id) {
  MigrateOptions options;
  options.table = table_options(settings, run_id);
  options.shared_schema = settings.shared_schema;
  options.shared_in_path = settings.shared_in_path;
  options.search_path_extra = settings.search_path_extra;
  options.lock_timeout = settings.lock_timeout;
  options.concurrent_lock_timeout = settings.concurrent_lock_timeout;
  options.statement_timeout = settings.statement_timeout;
  options.role = settings.role;
  for (const std::string& variable : settings.variables) {
    const std::size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos) {
      throw UsageError("a --var is not name=value", "Write --var name=value.");
    }
    options.variables[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  return options;
}

Selection selection(const Context& context) {
  const Settings& settings = context.settings;
  Selection selection{.schemas = settings.schemas,
                      .tenants = settings.tenants,
                      .excludes = settings.excludes,
                      .registry = {.states = settings.states,
                                   .exclude_states = settings.exclude_states,
                                   .tiers = settings.tiers,
                                   .isolations = settings.isolations},
                      .only_behind = settings.only_behind};
  if (!settings.tenants_file.empty()) {
    for (std::string& name : read_names(settings.tenants_file, "tenants file"))
      selection.schemas.push_back(std::move(name));
  }
  for (const std::string& name : selection.schemas)
    SchemaName::existing(name);
  return selection;
}

Session::Session(const Context& context) : context_(context), run_id_(random_uuid()) {
  // It would be whoever logs in.
  if (context.settings.role == pq::login_role) {
    throw UsageError("none is no role to act as", "Leave --role away, or name one.");
  }
  // One open file a run, not one a schema; but a name that cannot be is refused before connecting.
  SchemaName::existing(context.settings.shared_schema);
  check_clusters(context.settings);
  connection_ = std::make_unique<pq::Connection>(pq::Connection::open(connect_options()));
  pipeline_ = std::make_unique<pq::Pipeline>(*connection_);
  check_server();
  warn_about_connection();
}

pq::ConnectOptions Session::connect_options() const {
  return {.url = context_.settings.database_url,
          .application_name = "tenantctl/" + run_id_.substr(0, 8),
          .timeout = context_.settings.connect_timeout,
          .role = context_.settings.role};
}

pq::ConnectOptions Session::connect_options(const Site& site) const {
  pq::ConnectOptions options = connect_options();
  if (!site.cluster.empty())
    options.url = cluster_url(context_.settings, site.cluster);
  options.database = site.database;
  return options;
}

pq::Deadline Session::deadline() const {
  return pq::Clock::now() + context_.settings.answer_timeout;
}

void Session::revive() {
  const pq::Deadline until = pq::Clock::now() + context_.settings.reconnect_timeout;
  auto pause = 100ms;
  while (true) {
    try {
      if (pipeline_->is_lost()) {
        const Backend lost = backend_;
        pipeline_->restart(pq::Connection::open(connect_options()));
        check_server();
        // What the lost session holds, a schema's lock say, would otherwise be in our own way.
        if (lost.is_known()) {
          std::vector<pq::Message> messages = pq::question_settings(pq::login_role);
          messages.push_back(end_orphan(lost));
          pipeline_->wait_for_answer(std::move(messages), deadline());
        }
      }
      std::vector<pq::Message> messages;
      messages.push_back({.sql = "SELECT 1"});
      pipeline_->wait_for_answer(std::move(messages), deadline());
      return;
    } catch (const pq::ConnectionLost& error) {
      if (pq::Clock::now() >= until)
        throw pq::ConnectFailed(error.what(), error.hint(), "");
    } catch (const pq::ConnectFailed&) {
      if (pq::Clock::now() >= until || signal_count() > 0)
        throw;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, 2'000ms);
  }
}

void Session::check_server() {
  if (connection_->server_version() < oldest_server) {
    throw UsageError(
        fmt::format("the server is PostgreSQL {}", connection_->server_version() / 10000),
        "tenantctl needs PostgreSQL 13 or newer.");
  }
  bool standby = false;
  int pid = 0;
  std::string replication_role;
  // Behind a pooler the session is not ours to set.
  std::vector<pq::Message> messages = pq::question_settings(pq::login_role);
  for (pq::Message& message : pq::session_settings(server_version(), connection_->backend_pid())) {
    messages.push_back(std::move(message));
  }
  messages.push_back({.sql = fmt::format("SELECT pg_catalog.pg_is_in_recovery(), a.pid, "
                                         "pg_catalog.current_setting('is_superuser'), {}, "
                                         "pg_catalog.current_setting('session_replication_role') "
                                         "FROM pg_catalog.pg_stat_activity a "
                                         "WHERE a.pid = pg_catalog.pg_backend_pid()",
                                         started_column),
                      .on_row = [&](const pq::Row& row) {
                        standby = row.text(0) == "t";
                        pid = std::stoi(std::string(row.text(1)));
                        login_superuser_ = row.text(2) == "on";
                        backend_ = {.pid = pid, .started = std::stoll(std::string(row.text(3)))};
                        replication_role = row.text(4);
                      }});
  const std::size_t taking_role = messages.size();
  messages.push_back(take_role());
  messages.push_back({.sql = "SELECT pg_catalog.current_setting('is_superuser')",
                      .on_row = [this](const pq::Row& row) { superuser_ = row.text(0) == "on"; }});
  messages.push_back(read_status_roles(status_roles_));
  const pq::FlightAnswer answer = pipeline_->wait_for_answer(std::move(messages), deadline());
  if (const pq::Answer* failure = answer.failure()) {
    if (!context_.settings.role.empty() && failure == &answer.answers.at(taking_role))
      refuse_role(*failure->error);
    throw pq::ServerError(*failure->error);
  }
  refuse_unfit(standby, replication_role);
  via_pooler_ = pid != connection_->backend_pid();
  if (via_pooler_)
    backend_ = {};
}

void Session::refuse_unfit(bool standby, const std::string& replication_role) const {
  if (standby) {
    throw UsageError(
        "the server is a standby: nothing can be written there, and what it shows is late",
        "Connect to the primary.");
  }
  // A superuser's transactions set it back themselves.
  if (replication_role != "origin" && !superuser_) {
    throw UsageError(
        fmt::format("session_replication_role is {} for this role: no foreign key and no trigger "
                    "holds, tenantctl's own guard included",
                    replication_role),
        "Take the setting from the role (ALTER ROLE ... RESET) or the database.");
  }
}

// For the flight in any case, so that a role that cannot be is refused behind a pooler too; for the
// session only where it is ours.
pq::Message Session::take_role() const {
  if (context_.settings.role.empty())
    return {.sql = "SELECT pg_catalog.set_config('role', NULL, true)"};
  return {.sql = fmt::format("SELECT pg_catalog.set_config('role', $1, true), CASE WHEN "
                             "pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {} "
                             "THEN pg_catalog.set_config('role', $1, false) END",
                             connection_->backend_pid()),
          .values = {context_.settings.role}};
}

void Session::refuse_role(const pq::ServerFields& error) const {
  const std::string role = escaped_name(context_.settings.role);
  if (error.is(pq::invalid_parameter_value)) {
    throw UsageError(fmt::format("there is no role {}, which --role names", role),
                     "tenantctl roles install makes the roles; or CREATE ROLE.");
  }
  if (error.is(pq::insufficient_privilege)) {
    throw UsageError(fmt::format("role {} may not act as {}, which --role names",
                                 escaped_name(connection_->user()), role),
                     fmt::format("GRANT {} TO {}, by an administrator; from PostgreSQL 16 on WITH "
                                 "SET TRUE.",
                                 quote_identifier(context_.settings.role),
                                 quote_identifier(connection_->user())));
  }
}

void Session::warn_about_connection() const {
  if (login_superuser_) {
    warn(context_, "connected as a superuser; a role that owns the schemas is enough, and safer");
  }
  if (connection_->is_local())
    return;
  const std::string mode = pq::ssl_mode(context_.settings.database_url);
  if (mode != "verify-full") {
    warn(context_,
         fmt::format("sslmode is {}: the server's identity is not checked; use verify-full", mode));
  }
}

RunRecorder::Options Session::recorder_options() const {
  return {.owners = context_.settings.owners,
          .reconnect = connect_options(),
          .locks = !via_pooler_,
          .reconnect_timeout = context_.settings.reconnect_timeout};
}

std::vector<Standing> Session::standings(const Fleet& fleet,
                                         const std::vector<std::uint32_t>& selected,
                                         const RevisionFolder& folder) {
  return read_standings(*pipeline_, fleet, selected, folder,
                        table_options(context_.settings, run_id_), deadline());
}

std::vector<Standing> Session::deep_standings(const Fleet& fleet,
                                              const std::vector<std::uint32_t>& selected,
                                              Scope scope) {
  return read_deep_standings(*pipeline_, fleet, selected, {.scope = scope},
                             table_options(context_.settings, run_id_));
}

void Session::warn_about_path() {
  for (const std::string& schema :
       read_table_holders(*pipeline_, context_.settings.search_path_extra, deadline())) {
    warn(context_, fmt::format("schema {} is in search-path-extra and holds tables: an unqualified "
                               "ALTER, DROP or INSERT in a revision could reach them",
                               schema));
  }
}

void Session::warn_about_event_triggers() {
  std::string names;
  for (const std::string& name :
       read_event_triggers(*pipeline_, context_.settings.owners, deadline())) {
    names += (names.empty() ? "" : ", ") + name;
  }
  if (!names.empty()) {
    warn(context_, fmt::format("event triggers of other roles fire at COMMENT or CREATE, with this "
                               "role's rights, in every schema: {}",
                               names));
  }
}

void Session::warn_about_index_scans(const FleetPlan& plan) {
  const IndexScans scans = count_index_scans(plan);
  if (scans.count == 0 || spares_index_scans(server_version()))
    return;
  const std::string warning = index_scan_warning(scans, read_index_count(*pipeline_, deadline()));
  if (!warning.empty())
    warn(context_, warning);
}

RolloutOptions Session::rollout_options(const FleetPlan& plan) {
  const bool has_steps = plan.has_steps();
  const Settings& settings = context_.settings;
  RolloutOptions options;
  options.worker.connect = {
      .url = settings.direct_url.empty() ? settings.database_url : settings.direct_url,
      .application_name = "tenantctl/" + run_id_.substr(0, 8) + "/run",
      .timeout = settings.connect_timeout,
      .role = settings.role};
  options.worker.adapts = settings.depth == 0;
  if (!options.worker.adapts)
    options.worker.depth = settings.depth;
  options.worker.reconnect_timeout = settings.reconnect_timeout;
  options.control = connect_options();
  options.silence = std::min<std::chrono::milliseconds>(30s, settings.answer_timeout);
  options.migrate = migrate_options(settings, run_id_);
  options.migrate.server_version = server_version();
  options.migrate.table.readers = status_roles_;
  options.patience.lock_wait = settings.lock_wait;
  options.patience.tries = settings.tries;
  options.waves = wave_options(settings);
  name_canaries(options.waves, plan);
  options.budgets = budgets(settings);
  if (has_steps && !via_pooler_)
    options.room = read_room(*pipeline_, deadline());
  options.jobs = has_steps ? jobs(options.room) : 1;
  options.via_pooler = via_pooler_ && settings.direct_url.empty();
  options.migrate.direct = !options.via_pooler;
  if (options.migrate.direct) {
    options.worker.setup = session_setup(options.migrate);
    const std::string given = options.worker.connect.url;
    options.worker.connect.url = session_url(given, options.migrate, login_superuser_);
    const bool is_certain = settings.direct_url.empty() || !has_steps;
    if (!is_certain && refuses_options(options.worker.connect))
      options.worker.connect.url = given;
  }
  for (const Site& site : plan.sites) {
    options.sites.push_back({.site = site, .connect = options.worker.connect});
    pq::ConnectOptions& connect = options.sites.back().connect;
    connect.database = site.database;
    if (site.cluster.empty())
      continue;
    const std::string url = cluster_url(settings, site.cluster);
    // Of a role that we know nothing about.
    connect.url = options.migrate.direct ? session_url(url, options.migrate, false) : url;
  }
  return options;
}

// A pooler multiplies connections by itself; its limits cannot be asked.
std::size_t Session::jobs(const std::optional<ServerRoom>& room) const {
  const std::size_t wanted = context_.settings.jobs;
  if (!room) {
    constexpr std::size_t usual = 4;
    return wanted > 0 ? wanted : usual;
  }
  if (wanted > 0) {
    check_jobs(*room, wanted);
    return wanted;
  }
  return choose_jobs(*room, connection_->is_local(), std::thread::hardware_concurrency());
}

}  // namespace tenantctl::cli
