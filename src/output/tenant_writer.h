#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/row_eraser.h"
#include "output/format.h"
#include "tenant/components.h"
#include "tenant/tenant_moves.h"

namespace tenantctl {

/// `installed`, `upgraded` or `unchanged`.
std::string_view action_of(const Installed& installed);

/// What `registry init` found and left.
struct RegistryInit {
  Installed installed;
  bool adopts = false;
  std::vector<std::string> adopted;  ///< tenants registered as ready
  std::vector<std::string> known;    ///< registered before
  std::vector<std::string> skipped;  ///< no slug may be called so, or another tenant is
};
void write_registry_init(std::ostream& out, std::ostream& err, Format format,
                         const RegistryInit& result);

/// What became of each tenant that a command names, in the order in which they were named.
struct TenantResult {
  std::string tenant;
  std::string result;        ///< the state it is in, what was done, unchanged, failed, not started
  std::string message = {};  ///< why it failed, or what else is to be known
  std::string home = {};     ///< of one whose rows were deleted
  std::vector<ErasedRows> erased = {};
  std::vector<std::string> seeds = {};   ///< that ran
  std::vector<std::string> edited = {};  ///< that stand there as another text than the file's

  bool is_problem() const { return result == "failed" || result == "not started"; }
};
void write_tenant_results(std::ostream& out, std::ostream& err, Format format,
                          std::string_view command, const std::vector<TenantResult>& results);

/// After `tenant seed`. For people who has nothing new is a number, and of many tenants everybody
/// is; failures of one cause are told once.
void write_seed_results(std::ostream& out, std::ostream& err, Format format,
                        const std::vector<TenantResult>& results);

/// A pool of tenants after `tenant pool`.
struct PoolResult {
  std::size_t ready = 0;
  std::vector<std::string> made;     ///< or completed
  std::vector<std::string> removed;  ///< more than was asked for
};
void write_pool(std::ostream& out, Format format, const PoolResult& result);
/// A tenant that was taken from the pool.
void write_claimed(std::ostream& out, Format format, const std::string& slug,
                   const std::string& schema);

/// Where registry and schemas disagree.
struct RegistryFindings {
  std::vector<std::string> missing;        ///< slugs of tenants whose schema is not there
  std::vector<std::string> unversioned;    ///< slugs whose schema has no version table of ours
  std::vector<std::string> unregistered;   ///< schemas with a version table
  std::vector<std::string> unfinished;     ///< slugs: something was begun, and nobody is at it
  std::vector<std::string> homeless;       ///< slugs of shared rows whose home is none
  std::vector<std::string> broken_homes;   ///< homes that are not there, or not complete
  std::vector<std::string> broken_pool;    ///< the same of the pool
  std::vector<std::string> kept_too_long;  ///< slugs that moved, and nobody has confirmed that
  std::vector<std::string> outdated;   ///< `cluster:slug`: the cluster's registry says otherwise
  std::vector<std::string> unreached;  ///< clusters whose registry cannot be read
  /// Those and all others that keep what they left: told, but no finding.
  std::vector<TenantMove> kept = {};

  bool is_empty() const {
    return missing.empty() && unversioned.empty() && unregistered.empty() && unfinished.empty() &&
           homeless.empty() && broken_homes.empty() && broken_pool.empty() &&
           kept_too_long.empty() && outdated.empty() && unreached.empty();
  }
};
void write_registry_findings(std::ostream& out, Format format, const RegistryFindings& findings);

}  // namespace tenantctl
