#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/place_shape.h"
#include "catalog/row_eraser.h"
#include "catalog/tenant_copy.h"
#include "cli/session.h"
#include "cli/shared_rows.h"
#include "migrate/seed_table.h"
#include "output/move_writer.h"
#include "tenant/tenant_moves.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// What the command line says about a move.
struct MoveOptions {
  std::string to;                          ///< isolation
  std::string schema;                      ///< that is to be made; empty: by the slug
  std::string home;                        ///< empty: the only one there is
  std::string prefix = "tenant_";          ///< of the database
  std::string database_schema = "tenant";  ///< in a database of its own
  std::string admin_url;
  HomeTables tables;
  bool force = false;           ///< ends sessions in the tenant's database
  bool discard_writes = false;  ///< confirms although what is kept was written to
};

class MoveTransactions;

/// Takes a tenant from one isolation to another and keeps what it leaves until that is confirmed.
///
/// The target is made at the source's revision first, while the tenant works. Then the gate
/// refuses it, whoever had entered is waited for, rows are copied and compared, and the registry
/// says where the tenant lives in the last transaction: what was killed before has changed nothing
/// but the tenant's state, and tenantctl.move knows what to clear up.
class TenantMover {
 public:
  TenantMover(const Context& context, Session& session, const Folders& folders,
              const MoveOptions& options);

  /// All throw UsageError where nothing can be done, and was; Error, with the tenant where it was
  /// before, if it could not be done; what the server throws.
  MoveResult move(const std::string& name);
  MoveResult confirm(const std::string& name);
  MoveResult undo(const std::string& name);

 private:
  RegisteredTenant find(const std::string& name);
  RegisteredTenant lock(const std::string& name);
  bool take_up(const RegisteredTenant& tenant);
  MovePlace target_of(const RegisteredTenant& tenant);
  MovePlace home_of(const std::string& asked);
  void check_free(const MovePlace& place);
  void check_roles(const RegisteredTenant& tenant, const MovePlace& target);
  void check_source(const PlaceShape& shape, const MovePlace& source, const MovePlace& target);
  void check_shapes(const TenantMove& move);
  std::string mark_of(const MovePlace& place);
  std::optional<std::string> recorded_mark(const MovePlace& place);
  PlaceShape shape_of(const MovePlace& place);

  void provision(const RegisteredTenant& tenant, const TenantMove& move);
  void make_database(const RegisteredTenant& tenant, const TenantMove& move);
  std::vector<TableSum> carry(const TenantMove& move);
  void carry_seeds(const TenantMove& move, MoveTransactions& transactions);
  void close(TenantMove& move, const MovePlace& place);
  void wait_for_transactions();
  void wait_for_sessions(const std::string& database, int but);
  std::vector<std::string> changes(pq::OpenTransaction& transaction, const TenantMove& move,
                                   const PlaceShape& shape, const MovePlace& place);
  void check_standing(const MovePlace& target);
  std::vector<std::string> changes_in_source(const TenantMove& move);
  void agree_to_discard(const TenantMove& move, const std::vector<std::string>& changed);
  void check_unneeded(const TenantMove& move, const MovePlace& place, std::string_view advice);
  void check_marks(const TenantMove& move);
  void go_back(TenantMove& move);
  void shut(const MovePlace& place, MoveTransactions& transactions);
  void open(const MovePlace& place);
  bool is_open(const MovePlace& place);

  void clear(const TenantMove& move, const MovePlace& place);
  bool is_registered(const std::string& schema);
  void drop_schema(const TenantMove& move, const MovePlace& place);
  void drop_database(const TenantMove& move, const MovePlace& place);
  void erase_rows(const TenantMove& move, const MovePlace& place);
  std::optional<TenantMove> give_up(const TenantMove& move, const Error& error);

  void check_pointers(const PlaceShape& shape, const MovePlace& source, const MovePlace& target);

  /// No query that looks for tenants finds the schema that a tenant has left.
  static constexpr std::string_view kept_version_table = "tenantctl_kept_version";
  static std::string rename_table(const std::string& schema, std::string_view from,
                                  std::string_view to);
  static std::string first_lines(const std::vector<std::string>& lines);
  static MovePlace place_of_tenant(const RegisteredTenant& tenant);
  /// Up to where rows are copied; from there on a signal ends the process, and the next run clears
  /// up.
  static void refuse_interrupted();

  TenantMoves moves();
  MoveTables tables_of(const TenantMove& move) const;
  CopiedTenant copied(const TenantMove& move) const;
  ErasedTenant erased(const TenantMove& move, const MovePlace& home) const;
  pq::ConnectOptions connection_to(const MovePlace& place) const;
  VersionTable version_table(const MovePlace& place, const std::string& name) const;
  SeedTable seed_table(const MovePlace& place) const;

  const Context& context_;
  Session& session_;
  const Folders& folders_;
  const MoveOptions& options_;
};

}  // namespace tenantctl::cli
