#pragma once

#include <string>
#include <vector>

#include "catalog/row_eraser.h"
#include "pq/pipeline.h"

namespace tenantctl {

/// Foreign keys by which rows that are not the tenant's refer to rows that are, as a person would
/// name them: those rows would keep the tenant's from being deleted, or go along with them. Row
/// security may hide such rows from the current role; then deleting says so.
///
/// Throws ServerError (a table that may not be read, say), ConnectionLost.
std::vector<std::string> read_row_references(pq::Pipeline& pipeline, const ErasedTenant& tenant,
                                             pq::Deadline deadline);

}  // namespace tenantctl
