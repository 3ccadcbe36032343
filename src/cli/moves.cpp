#include "cli/moves.h"

#include <fmt/format.h>

#include <string_view>
#include <unordered_set>

#include "base/text.h"
#include "cli/tenants.h"
#include "output/move_writer.h"
#include "pq/server_error.h"

namespace tenantctl::cli {
namespace {

TenantMoves moves_of(const Context& context, Session& session) {
  return {session.pipeline(), context.settings.owners, context.settings.answer_timeout};
}

}  // namespace

std::vector<TenantMove> unended_moves(const Context& context, Session& session) {
  constexpr std::string_view lacks_privilege = "42501";
  try {
    return moves_of(context, session).all();
  } catch (const pq::ServerError& error) {
    // Whoever may only look at tenants is told of them.
    if (!error.is(lacks_privilege))
      throw;
    return {};
  }
}

void refuse_moving(const Context& context, Session& session,
                   const std::vector<std::string>& names) {
  const std::vector<TenantMove> all = moves_of(context, session).all();
  if (all.empty())
    return;
  const std::vector<RegisteredTenant> tenants = tenant_registry(context, session).find(names);
  std::unordered_set<std::string_view> ids;
  for (const RegisteredTenant& tenant : tenants)
    ids.insert(tenant.id);
  const std::unordered_set<std::string_view> named(names.begin(), names.end());
  for (const TenantMove& move : all) {
    const auto is_named = [&named](const MovePlace& place) {
      return place.is_here() && named.contains(place.schema);
    };
    if (!ids.contains(move.tenant) && !is_named(move.source) && !is_named(move.target))
      continue;
    throw UsageError(
        fmt::format("tenant {} is moving from {} to {}, or has moved and is not confirmed",
                    move.slug, place_text(move.source), place_text(move.target)),
        fmt::format("tenantctl tenant move {} --confirm or --undo ends that. Nothing was changed.",
                    move.slug));
  }
}

void refuse_kept(const Context& context, const std::vector<std::string>& schemas) {
  Session session(context);
  refuse_moving(context, session, schemas);
}

}  // namespace tenantctl::cli
