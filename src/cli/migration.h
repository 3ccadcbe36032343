#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/session.h"
#include "cli/survey.h"
#include "rollout/fleet_plan.h"

namespace tenantctl::cli {

/// What a command that changes schemas wants: how each scope is planned, and for which schemas.
struct Migration {
  /// Plans one schema's history in a scope; see Replan.
  using Planner =
      std::function<Plan(const RevisionFolder& folder, const History& history, Missing missing)>;

  std::string target = "head";  ///< as shown
  Planner plan;
  bool shared = false;                ///< the shared schema is part of it
  bool tenants = false;               ///< tenants by selection...
  std::vector<std::string> schemas;   ///< ...or exactly these, which need not be in the fleet
  Missing create = Missing::nothing;  ///< what may be made for the named tenants
  Missing create_shared = Missing::nothing;  ///< what may be made for the shared scope
  /// After the tenants' run, before the result is written: tenant create undoes what failed.
  std::function<void(Session& session, Report& report)> after;
  /// Trusts no mark and plans also for rows that do not add up (stamp).
  bool repairs = false;

  /// Goes on with selected tenants that appear while it runs.
  bool follows = false;

  std::string of_run;          ///< the run that this one retries or undoes
  bool tenants_first = false;  ///< the way back: what is shared goes when no tenant needs it
  /// The tenants, where no selection and no list of names says who they are.
  std::function<Fleet(Session& session)> fleet;
  /// Of which databases the shared schema is part of it: by name, as a ledger has them; else this
  /// one's, unless left out, and those of the tenants' databases.
  std::vector<std::string> shared_schemas;
  bool shared_home = true;
  /// Before anybody is asked where they stand: tenant create registers.
  std::function<void(Session& session, const Fleet& fleet,
                     const std::vector<std::uint32_t>& selected)>
      prepare;
  /// Reads where schemas stand, instead of asking their marks.
  Reading reading;
  /// Only where the same rows of them are these runs' do schemas stand at the same place.
  std::set<std::string> run_ids;
  /// Has the last word on a scope's plan before it is shown or carried out. Returns the tenants
  /// that it took out.
  std::function<std::vector<std::string>(FleetPlan& plan, Scope scope)> revise;
  /// Shows the plan its own way and ends the command; a scope that was not asked for is nullptr.
  std::function<void(const FleetPlan* shared, const FleetPlan* tenants)> show;
};

/// The shared scope to its head, then every tenant to the target: upgrade-all, and its plan.
Migration upgrade_all_migration(const Context& context, const Folders& folders,
                                const std::string& target);

/// Reads the fleet, plans all groups, and shows the plan (--dry-run, --sql) or carries it out: the
/// shared scope first, and no tenant if that fails. Writes the result.
ExitCode migrate(const Context& context, const Folders& folders, const Migration& migration);
/// The same in a session that is open already.
ExitCode migrate(const Context& context, Session& session, const Folders& folders,
                 const Migration& migration);

/// Shared schemas out of the ledger must be called as they are today: throws UsageError.
void refuse_other_shared(const std::vector<std::string>& schemas, const std::string& shared_schema);

/// A Migration's `revise` for names out of the ledger: a tenant dropped since is gone, no problem.
std::vector<std::string> forgive_dropped(FleetPlan& plan, Scope scope);

/// `--sql --from REVISION`: the SQL for a schema that stands there, without any connection.
ExitCode print_sql_offline(const Context& context, const Folders& folders, Scope scope,
                           const std::string& schema, const Migration& migration);

/// Which scope the named schemas belong to, checked against --scope. Throws UsageError if the
/// shared schema is named with tenants, or --scope says otherwise.
Scope scope_of_schemas(const Context& context);

}  // namespace tenantctl::cli
