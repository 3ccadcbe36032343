#pragma once

#include <optional>
#include <set>
#include <vector>

#include "cli/session.h"
#include "rollout/fleet_plan.h"

namespace tenantctl::cli {

/// Which revisions the shared scope has when a tenant's turn comes: those that its schema has,
/// looked up when first asked, and those that this run brings there before.
class SharedScope {
 public:
  /// Both must outlive it.
  SharedScope(Session& session, const Context& context, const RevisionFolder& folder)
      : session_(session), context_(context), folder_(folder) {}

  /// The run carries this out before any tenant, and no tenant if it fails.
  void expect(const FleetPlan& plan);

  /// What shared schemas of other databases have applied: has() counts it, for plans that serve
  /// tenants of several databases. Each is then held against its own.
  void know(const std::vector<Standing>& elsewhere);

  /// Throws ServerError, ConnectionLost.
  bool has(RevisionNumber number);
  /// The same, of this database alone.
  bool has_here(RevisionNumber number);

 private:
  std::set<RevisionNumber> read() const;

  Session& session_;
  const Context& context_;
  const RevisionFolder& folder_;
  std::set<RevisionNumber> planned_;
  std::set<RevisionNumber> elsewhere_;
  std::optional<std::set<RevisionNumber>> applied_;
};

}  // namespace tenantctl::cli
