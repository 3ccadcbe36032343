#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "catalog/tenant_copy.h"
#include "output/format.h"
#include "tenant/tenant_moves.h"

namespace tenantctl {

/// What `tenant move` did.
struct MoveResult {
  std::string tenant;  ///< slug
  std::string action;  ///< moved, confirmed, undone, cleared
  MovePlace source;
  MovePlace target;
  std::vector<TableSum> tables;
  std::vector<std::string> discarded = {};  ///< tables of the source that were written to since
};
void write_move(std::ostream& out, Format format, const MoveResult& result);

/// `schema acme`, `database tenant_acme`, `rows of home`.
std::string place_text(const MovePlace& place);

/// `moved from rows of home, which are kept since 2026-11-29T10:00:00Z (3 days)`, or whatever else
/// is not ended.
std::string unended_text(const TenantMove& move);
/// The command, or two, that end it.
std::string ending_text(const TenantMove& move);

/// Sums as a move's row keeps them.
std::string sums_text(const std::vector<TableSum>& sums);
std::vector<TableSum> parse_sums(const std::string& text);

}  // namespace tenantctl
