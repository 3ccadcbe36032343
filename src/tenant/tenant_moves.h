#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pq/transaction.h"
#include "tenant/components.h"
#include "tenant/tenant_registry.h"

namespace tenantctl {

/// Where a tenant's rows stand, as the registry says it.
struct MovePlace {
  std::string isolation;
  std::string schema;
  std::string database;  ///< empty: this one

  bool is_home() const { return isolation == "rows"; }
  bool is_here() const { return database.empty(); }
  bool operator==(const MovePlace&) const = default;
};

/// What tells whose rows are in the tables of a home.
struct MoveTables {
  std::string tenant_column;
  std::vector<std::string> common;  ///< tables that are the same for all
};

/// A tenant on its way from one place to another, as its row tells.
struct TenantMove {
  enum class Stage {
    copying,     ///< the tenant lives in the source; what the target has is ours to remove
    moved,       ///< lives in the target; the source is kept
    confirming,  ///< the same; the source is going
    undoing      ///< lives in the source again; the target is going
  };

  std::string tenant;  ///< id
  std::string state;   ///< of the tenant before and after, as long as it is `moving`
  Stage stage = Stage::copying;
  MovePlace source;
  MovePlace target;
  std::string mark;    ///< where both stood
  std::string sums;    ///< JSON: what was copied, table by table
  std::string run_id;  ///< that made the target
  /// As the move was told; nothing of one that an older version began.
  std::optional<MoveTables> tables = std::nullopt;
  std::string since = {};  ///< it began, or the tenant lives where it lives now
  std::int64_t age = 0;    ///< seconds since then
  std::string slug = {};

  /// The tenant has moved, and what it left is kept.
  bool keeps_source() const { return stage == Stage::moved || stage == Stage::confirming; }
};

std::string_view to_text(TenantMove::Stage stage);

/// All SQL about tenantctl.move: which tenants are moving, or have moved and keep their source. It
/// is there from the first move on; state `moving` of a tenant, too, by which the gate refuses it.
///
/// Every function throws what Components throws.
class TenantMoves {
 public:
  TenantMoves(pq::Pipeline& pipeline, std::vector<std::string> owners,
              std::chrono::milliseconds patience)
      : components_(pipeline, owners, patience) {}

  Installed install();
  /// By tenant; also those of an older version, which is left as it is.
  std::vector<TenantMove> all();
  /// As it is when no other transaction is about to change it. Takes an older version to this one.
  std::optional<TenantMove> find(const std::string& tenant);

  /// False, and nothing is begun, if the home that it leads to is none any more.
  bool begin(const TenantMove& move);
  /// From here on the gate refuses the tenant; the state that it had until now is the one that it
  /// will have again. False, and nothing changes, if nobody in that state can be moved.
  bool close(TenantMove& move);
  /// Gives it back the state that it had.
  void reopen(const TenantMove& move);
  void set_stage(const TenantMove& move, TenantMove::Stage stage);
  void forget(const TenantMove& move);

  /// Has the tenant live in `place`, in its state from before, as part of a transaction that does
  /// more; checks first that the tables are ours. Throws Error if the tenant is not `moving`.
  void settle(pq::OpenTransaction& transaction, const TenantMove& move, const MovePlace& place,
              TenantMove::Stage stage, const std::string& sums);

 private:
  Components components_;
};

}  // namespace tenantctl
