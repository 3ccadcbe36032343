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

/// Sums as a move's row keeps them.
std::string sums_text(const std::vector<TableSum>& sums);
std::vector<TableSum> parse_sums(const std::string& text);

}  // namespace tenantctl
