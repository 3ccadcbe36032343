#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pq/pipeline.h"
#include "tenant/components.h"
#include "tenant/joined_clusters.h"
#include "tenant/tenant_rows.h"

namespace tenantctl {

/// A tenant that is to be made: in a schema of this database, or in a database of its own.
struct NewTenant {
  std::string slug;
  std::string name;
  std::string schema;
  std::string runtime_role = {};  ///< empty: any that may enter
  std::string database = {};      ///< empty: this one
  std::string cluster = {};       ///< empty: this server
};

/// What new tenants have in common.
struct TenantTraits {
  std::string tier = "standard";
  std::string metadata = "{}";
  std::string runtime_role = {};  ///< as which their sessions work; empty: any that may enter
};

/// What does not stand in the registry's own database.
struct Elsewhere {
  std::vector<RegisteredTenant> tenants;  ///< by place
  std::vector<JoinedCluster> joined;      ///< who know their tenants themselves
};

/// All SQL about tenantctl.tenant, where a database's tenants are registered once `registry init`
/// has installed it: who they are, where they live and in which state. Fleets without it go on by
/// marks alone.
///
/// Every function throws what Components throws; those that write throw UsageError where there is
/// no registry.
class TenantRegistry {
 public:
  /// Keeps slugs free for tenants who are about to be given them, where another registry knows who
  /// has which; returns those that somebody has, and where he lives.
  using Reserve =
      std::function<std::map<std::string, std::string>(const std::vector<std::string>& slugs)>;

  /// `patience` with an answer; no tenant is given a slug that `reserve` does not give.
  TenantRegistry(pq::Pipeline& pipeline, std::vector<std::string> owners,
                 std::chrono::milliseconds patience = std::chrono::seconds(120),
                 Reserve reserve = {})
      : components_(pipeline, std::move(owners), patience), reserve_(std::move(reserve)) {}

  /// Makes the registry, or takes it to this version.
  Installed install();
  bool is_installed();

  /// Registers schemas that are tenants already, as ready, each under its own name. Returns those
  /// that were not registered before, sorted. Names that no slug may have are not for it.
  std::vector<std::string> adopt(std::vector<std::string> schemas);

  /// Registers tenants as provisioning, all or none. One that stands so already, of a run that does
  /// not live any more, is taken over. With `locks` the session holds a lock from here on by which
  /// anybody can tell that the run lives; not through a pooler. Throws UsageError if a slug or a
  /// schema is somebody else's, or the metadata is no JSON object.
  void provision(const std::vector<NewTenant>& tenants, const TenantTraits& traits,
                 const std::string& run_id, bool locks);
  /// Registers tenants whose place is a home of shared rows, as ready, all or none, in one round
  /// trip. Empty `home`: the only one there is. Returns the home, or nothing, with nobody
  /// registered, where no such home is ready. Throws UsageError for slugs that are taken.
  std::optional<std::string> settle(const std::vector<NewTenant>& tenants,
                                    const TenantTraits& traits, const std::string& home);
  /// The same as part of somebody else's transaction, with what is learned of the tenants: their
  /// ids in `settled`, by slug. What the server says against it is for explain_settling().
  struct Settled {
    std::string home;  ///< empty: no such home is ready
    std::vector<std::pair<std::string, std::string>> ids;
  };
  std::vector<pq::Message> settle_along(const std::vector<NewTenant>& tenants,
                                        const TenantTraits& traits, const std::string& home,
                                        Settled& settled);
  [[noreturn]] static void explain_settling(const pq::ServerError& error);
  /// From provisioning to ready, of those that this run registered.
  void finish(const std::vector<std::string>& slugs, const std::string& run_id);
  /// Removes the rows of those that this run registered and that never became ready.
  void forget(const std::vector<std::string>& slugs, const std::string& run_id);
  /// What follows with `seen` acts on a tenant whom somebody has looked at before: under his lock
  /// (TenantLock) and his row's, and only if he is still called so and in the place and state that
  /// were seen. Throws UnavailableError if another run holds him, Error if he has changed.

  /// Removes the row of one who is gone, or was closed for good.
  void remove(const RegisteredTenant& seen);
  /// To deleting, from where nothing comes back.
  void begin_purge(const RegisteredTenant& seen);

  /// Changes the state of the tenants that are in one of the states `from`. The reason stands in
  /// the metadata (tenantctl, reason) until the next change. Returns the slugs that changed.
  std::vector<std::string> change_state(const std::vector<std::string>& slugs,
                                        const std::vector<std::string>& from, const std::string& to,
                                        const std::string& reason);

  /// Gives a tenant another slug, and its database another name unless that is empty. The name for
  /// people changes along where it was the slug. Throws UsageError if the slug is taken.
  void rename(const RegisteredTenant& seen, const std::string& to, const std::string& database);
  /// Notes, before it is done, that the tenant's database will have that name; rename() ends it.
  void begin_renaming(const RegisteredTenant& seen, const std::string& database);
  /// Throws UsageError if a tenant is called so.
  void check_free(const std::string& slug);
  /// From any state to deleting, which remembers it; leaves one alone that is deleting already.
  void put_aside(const RegisteredTenant& seen);
  /// Back to the state of before.
  void bring_back(const std::string& slug);

  /// What follows is to be part of the transaction that changes the schema itself, so that row and
  /// schema never disagree; it throws for explain() what the registry refuses.
  ///
  /// Begins with what holds `seen`, unless that is nobody.
  ///
  /// The row of whoever lives in schema `from` lives in `to`. The slug changes to `slug`; if that
  /// is empty, together with the schema where both are called the same, and so does the name.
  std::vector<pq::Message> rename_along(const std::optional<RegisteredTenant>& seen,
                                        const std::string& from, const std::string& to,
                                        const std::string& slug);
  /// put_aside(), in the schema that a dropped one becomes.
  std::vector<pq::Message> delete_along(const std::optional<RegisteredTenant>& seen,
                                        const std::string& schema);
  /// bring_back(), in schema `to`.
  std::vector<pq::Message> undelete_along(const std::string& dropped, const std::string& to);
  /// begin_purge(), before the first piece of a schema goes that is too big for one transaction.
  std::vector<pq::Message> begin_purge_along(const std::optional<RegisteredTenant>& seen);
  /// Whoever lives in the schema lives nowhere any more.
  std::vector<pq::Message> remove_along(const std::optional<RegisteredTenant>& seen,
                                        const std::string& schema);
  [[noreturn]] static void explain(const pq::ServerError& error);

  /// All, by slug. None where there is no registry.
  std::vector<RegisteredTenant> all();
  Elsewhere elsewhere();
  /// Those that have one of the names as slug, as schema in this database, or as place elsewhere.
  std::vector<RegisteredTenant> find(const std::vector<std::string>& names);

  /// The same for who is to change them: throws UsageError for a tenant of a cluster that has
  /// joined.
  std::vector<RegisteredTenant> find_own(const std::vector<std::string>& names);
  /// Throws UsageError for a slug that is taken elsewhere; else they are reserved.
  void reserve(const std::vector<std::string>& slugs) const;

  /// Schemas of the tenants, and of the pool, that work as one of the roles.
  std::vector<std::string> schemas_of_roles(const std::vector<std::string>& roles);
  /// The roles as which more than one of them works.
  std::set<std::string> shared_roles();
  /// Slugs that a LIKE pattern matches.
  std::vector<std::string> slugs_like(const std::string& like);
  /// Those of `schemas` that are some tenant's, sorted.
  std::vector<std::string> registered(const std::vector<std::string>& schemas);

  /// Whether a tenant may be called so: lower-case letter first, then [a-z0-9_-], 63 bytes.
  static bool is_slug(std::string_view text);

 private:
  void write_held(std::vector<pq::Message> messages);
  std::vector<RegisteredTenant> select(const std::string& condition,
                                       std::vector<std::optional<std::string>> values);

  Components components_;
  Reserve reserve_;
};

}  // namespace tenantctl
