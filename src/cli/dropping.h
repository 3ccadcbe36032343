#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/life.h"
#include "cli/shared_rows.h"
#include "tenant/dropped_tenants.h"

namespace tenantctl::cli {

/// What is to be dropped, purged or brought back.
struct DropTarget {
  enum class Kind : std::uint8_t {
    schema,    ///< in the fleet
    shelf,     ///< a schema that an earlier drop put aside
    database,  ///< of its own, in the fleet or shut by an earlier drop
    rows,      ///< of a home
    home,      ///< a home itself: nobody's, so nothing is kept of it
    row        ///< in the registry alone: what it tells of is gone
  };
  std::string name;  ///< as told to people
  Kind kind = Kind::schema;
  std::string schema = {};
  std::optional<RegisteredTenant> row = std::nullopt;
  std::optional<DroppedTenant> dropped = std::nullopt;

  /// An earlier drop put it aside, and it can come back.
  bool is_kept() const;
};

/// What drop, undrop and purge have in common to say.
struct DropRules {
  HomeTables tables;
  std::string admin_url;
  bool force = false;
};

/// Carries out one command's drops, purges or returns, one tenant after the other. Of each, the
/// steps are in an order that lets the same command finish what was killed.
class Dropping {
 public:
  Dropping(const Context& context, Session& session, const DropRules& rules);

  TenantRegistry& registry() { return registry_; }

  /// Throws UsageError, before anything is changed, for what cannot be done.
  void check(const std::vector<DropTarget>& targets, bool for_good);

  /// Throws UsageError for a home, or whom nobody registered, if a move has come there meanwhile.
  void check_unmoved(const DropTarget& target);

  TenantResult put_aside(const DropTarget& target);
  TenantResult purge(const DropTarget& target);
  TenantResult bring_back(const DropTarget& target);

 private:
  void put_schema_aside(const DropTarget& target);
  TenantResult purge_schema(const DropTarget& target);
  TenantResult purge_rows(const RegisteredTenant& tenant);
  TenantResult purge_home(const DropTarget& target);
  TenantResult bring_schema_back(const DropTarget& target);
  void check_ours(const std::string& schema);
  std::string own_role(const std::string& schema);

  const Context& context_;
  Session& session_;
  const DropRules& rules_;
  TenantRegistry registry_;
  bool has_registry_;
};

/// All that stand dropped in schemas of this database.
std::vector<DroppedTenant> dropped_tenants(const Context& context, Session& session);

/// Throws UsageError for what is no tenant of ours, naming why.
void check_is_ours(const Context& context, Session& session, const std::string& schema);

bool is_there(Session& session, const std::string& schema);

/// `a, b and 12 more`.
std::string few(const std::vector<std::string>& names);
/// Asks, unless --yes; throws UsageError if it is not confirmed.
void ask_before(const Context& context, const std::vector<DropTarget>& targets, bool for_good);
std::vector<std::string> names_of(const std::vector<DropTarget>& targets);

void describe_drop_rules(CLI::App& command, Context& context, DropRules& rules);

}  // namespace tenantctl::cli
