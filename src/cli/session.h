#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/context.h"
#include "cli/joined_fleet.h"
#include "migrate/migrator.h"
#include "pq/pipeline.h"
#include "revision/revision_folder.h"
#include "rollout/backend.h"
#include "rollout/fleet_plan.h"
#include "rollout/rollout.h"
#include "rollout/run_ledger.h"
#include "rollout/run_recorder.h"
#include "rollout/selection.h"
#include "rollout/standing.h"
#include "tenant/fleet.h"

namespace tenantctl::cli {

/// Both scopes' revisions, read before any connection is made. Warnings go to stderr.
struct Folders {
  RevisionFolder shared;
  RevisionFolder tenant;

  const RevisionFolder& of(Scope scope) const { return scope == Scope::shared ? shared : tenant; }
};
Folders read_folders(const Context& context);

/// The control connection of a command: finds the fleet, reads standings, cancels; revisions run on
/// connections of the rollout's own. Checks on opening what every command needs to know: that the
/// server is a primary of a supported version, whether a pooler stands in between.
class Session {
 public:
  /// Throws UnavailableError, UsageError (a standby, a server too old).
  explicit Session(const Context& context);

  pq::Pipeline& pipeline() { return *pipeline_; }
  bool via_pooler() const { return via_pooler_; }
  int server_version() const { return connection_->server_version(); }
  /// Who may read where schemas stand, and nothing else: see FleetRoles.
  const std::vector<std::string>& status_roles() const { return status_roles_; }

  Fleet fleet();
  Fleet schemas(const std::vector<std::string>& names);
  /// fleet(), and the tenants that the registry knows in other databases, and those of clusters
  /// that have joined it: none of them is looked at. Warns of such as are only being made or
  /// dropped, which are left out.
  Fleet everywhere();
  /// The same without the clusters': whom this registry has to answer for.
  Fleet own();
  /// Of everywhere(), only those in other databases.
  Fleet elsewhere();
  /// Clusters that a selection takes in of which not all is known, by the name of all that they
  /// have, and why.
  std::map<std::string, std::string> unread(Selection chosen) const;
  /// Of clusters among the results of a run: what it did not read nobody can retry.
  void mark_unread_by(const std::string& run_id, const std::vector<std::string>& names);
  /// What the last of these has read of clusters that have joined.
  const JoinedFleet& joined() const { return joined_; }
  /// Reads who on clusters that have joined has one of the names, as slug or place; homes of shared
  /// rows and the pool's schemas are nobody's, and have no id. Throws UnavailableError for who
  /// lives where nothing can be read.
  std::vector<RegisteredTenant> find_joined(const std::vector<std::string>& names);
  /// The shared schemas of that name, here and in the databases of tenants that are still there.
  Fleet shared_named(const std::vector<std::string>& names);
  /// schemas(), and where nothing here is called so, tenants in other databases, by slug or
  /// `database/schema`. Throws UsageError for one that is being made or dropped.
  Fleet named(const std::vector<std::string>& names);
  /// select_tenants(), of those what the registry's filters and --only-failed leave. Throws
  /// UsageError.
  std::vector<std::uint32_t> select(const Fleet& fleet, const Selection& chosen);
  /// matching_tenants(), of those what the registry's filters leave: perhaps none.
  std::vector<std::uint32_t> match(const Fleet& fleet, const Selection& chosen);
  std::vector<Standing> standings(const Fleet& fleet, const std::vector<std::uint32_t>& selected,
                                  const RevisionFolder& folder);

  /// The same from the version tables themselves: a mark that lies is found.
  std::vector<Standing> deep_standings(const Fleet& fleet,
                                       const std::vector<std::uint32_t>& selected, Scope scope);

  RunLedger ledger() {
    return {*pipeline_, context_.settings.owners, context_.settings.answer_timeout};
  }
  RunRecorder::Options recorder_options() const;

  /// Warns if a schema of search-path-extra holds tables.
  void warn_about_path();
  /// Other roles' event triggers that our own commands fire.
  void warn_about_event_triggers();
  /// Warns if the plan has the server read all of pg_index so often that it takes its time.
  void warn_about_index_scans(const FleetPlan& plan);
  /// For this plan; asks the server what it has room for, unless nothing is to do. Throws
  /// UsageError for options that say no waves or budgets, or more connections than can be had.
  RolloutOptions rollout_options(const FleetPlan& plan);
  const std::string& run_id() const { return run_id_; }
  pq::Deadline deadline() const;
  /// How the command's own connection was made, and how one to another database is.
  pq::ConnectOptions connect_options() const;
  pq::ConnectOptions connect_options(const Site& site) const;
  /// Connects again if the connection was lost, which is found out by asking, and tries so for
  /// --reconnect-timeout. Throws ConnectFailed.
  void revive();

 private:
  void add_elsewhere(Fleet& all);
  void refuse_unread(const std::vector<std::string>& names);
  void add_away(Fleet& all, const std::vector<RegisteredTenant>& tenants);
  void filter(std::vector<std::uint32_t>& selected, const Fleet& fleet, const Selection& chosen);
  void check_server();
  void refuse_unfit(bool standby, const std::string& replication_role) const;
  pq::Message take_role() const;
  void refuse_role(const pq::ServerFields& error) const;
  void warn_about_connection() const;
  std::size_t jobs(const std::optional<ServerRoom>& room) const;

  const Context& context_;
  std::unique_ptr<pq::Connection> connection_;
  std::unique_ptr<pq::Pipeline> pipeline_;
  bool via_pooler_ = false;
  bool login_superuser_ = false;  ///< who logged in, whoever it acts as
  bool superuser_ = false;        ///< as which it acts
  std::vector<std::string> status_roles_;
  Backend backend_;  ///< of the control connection; not known behind a pooler
  std::string run_id_;
  JoinedFleet joined_;
};

FleetQuery fleet_query(const Settings& settings);
TableOptions table_options(const Settings& settings, const std::string& run_id);
/// Throws UsageError for a --var that is no name=value.
MigrateOptions migrate_options(const Settings& settings, const std::string& run_id);
Selection selection(const Context& context);
/// Schema names, one a line, of a file or (`-`) of standard input; `what` it is, for messages.
/// Throws UsageError if it cannot be read or names nobody.
std::vector<std::string> read_names(const std::string& file, std::string_view what);
/// Throw UsageError for text that says no amount.
WaveOptions wave_options(const Settings& settings);
Budgets budgets(const Settings& settings);

/// A line on standard error, unless --quiet.
void warn(const Context& context, const std::string& message);

}  // namespace tenantctl::cli
