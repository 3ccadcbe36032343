#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/session.h"
#include "migrate/seed_run.h"
#include "rollout/report.h"
#include "rollout/site_visits.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// What a command line says about seeds.
struct SeedOptions {
  std::vector<std::string> params;  ///< name=value, name=@file
};
void describe_params(CLI::App& command, SeedOptions& options);

/// The seeds that a command is to run, with the values of their parameters. Views the folders.
struct SeedWork {
  std::vector<const Revision*> shared;
  std::vector<const Revision*> tenant;
  SeedValues values;

  bool is_empty() const { return shared.empty() && tenant.empty(); }
};

std::vector<const Revision*> seeds_of(const RevisionFolder& folder);

/// Reads the values: --param, else TENANTCTL_PARAM_NAME, else the seed's default. Throws UsageError
/// before anything is connected to: for a seed that could never run, a parameter that is missing,
/// given twice, or that no seed has.
void read_values(SeedWork& work, const SeedOptions& options);

/// The tenant as the registry has it, in a schema of its own or in a home.
SeedTarget seed_target(const RegisteredTenant& tenant);
SeedTarget shared_target(const Context& context);

/// Runs seeds of one tenant after the other, over one connection to where it lives. Waits for a
/// schema that somebody migrates, tries again after a lock or a deadlock.
class Seeder {
 public:
  Seeder(const Context& context, Session& session, const SeedWork& work)
      : context_(context), session_(session), work_(work) {}

  /// What comes first in the transaction, and says who is seeded in it. Nobody: it is taken back.
  using Beginning = std::function<std::vector<SeedTarget>(SeedRun& run)>;

  /// Throws SeedFailed, UnavailableError for a schema that stayed busy, Error, ConnectionLost.
  SeedOutcome seed(const Site& site, const SeedTarget& target);
  /// One transaction here; false where nobody was to be seeded.
  bool seed_along(const Beginning& beginning);

  /// Seeds what a run has made: a schema that cannot be seeded has failed. Never throws.
  /// `target_of` tells the site and the tenant of a schema in the report.
  using TargetOf = std::function<std::pair<Site, SeedTarget>(const std::string& schema)>;
  void seed_made(Report& report, const TargetOf& target_of);

 private:
  SiteSession& connect(const Site& site);
  SeedOutcome run(const Site& site, const Beginning& beginning, bool& is_done);
  SeedOutcome attempt(const Site& site, const Beginning& beginning, bool& is_done);

  const Context& context_;
  Session& session_;
  const SeedWork& work_;
  std::unique_ptr<SiteSession> site_session_;
  std::string place_;
};

/// What is recorded of a tenant's seeds.
std::vector<AppliedSeed> recorded_seeds(const Context& context, Session& session, const Site& site,
                                        const SeedTarget& target);

/// Says, unless --quiet, which seeds a tenant that is only planned would get.
void note_seeds(const Context& context, const SeedWork& work);

}  // namespace tenantctl::cli
