#pragma once

#include <string>
#include <vector>

#include "cli/session.h"
#include "tenant/tenant_moves.h"

namespace tenantctl::cli {

/// What other commands have to know of moves: all that have begun and were not ended, by the
/// tenants' ids. None where there were none ever, or where the current role may not look.
std::vector<TenantMove> unended_moves(const Context& context, Session& session);

/// Throws UsageError for a tenant, a home or a schema that is part of a move that is not confirmed.
void refuse_moving(const Context& context, Session& session, const std::vector<std::string>& names);

/// The same before a version table is made in these schemas.
void refuse_kept(const Context& context, const std::vector<std::string>& schemas);

}  // namespace tenantctl::cli
