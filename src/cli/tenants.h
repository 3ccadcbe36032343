#pragma once

#include "cli/session.h"
#include "tenant/tenant_places.h"
#include "tenant/tenant_registry.h"

namespace tenantctl::cli {

/// The registry of the session's database, installed or not.
inline TenantRegistry tenant_registry(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout};
}

/// Its homes of shared rows, and its pool.
inline TenantPlaces tenant_places(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout};
}

/// suspend, resume and archive, below `tenant`.
void add_tenant_states(CLI::App& tenant, Context& context);

}  // namespace tenantctl::cli
