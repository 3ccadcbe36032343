#include "cli/life.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "base/text.h"
#include "cli/signals.h"
#include "pq/server_error.h"

namespace tenantctl::cli {

std::vector<Named> find_named(TenantRegistry& registry, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    SchemaName::existing(name);
  const std::vector<RegisteredTenant> rows = registry.find_own(names);
  const TenantsByName by_name(rows);
  std::vector<Named> found;
  std::set<std::pair<bool, std::string>> known;  // by slug, or of nobody's schema
  for (const std::string& name : names) {
    Named one{.name = name, .schema = name, .row = std::nullopt};
    if (const RegisteredTenant* row = by_name.find(name)) {
      one.schema = row->schema;
      one.row = *row;
    }
    if (known.emplace(one.row.has_value(), one.row ? one.row->slug : one.schema).second)
      found.push_back(std::move(one));
  }
  return found;
}

void refuse_elsewhere(const Context& context, const Named& tenant, std::string_view advice) {
  if (tenant.is_here())
    return;
  const RegisteredTenant& row = *tenant.row;
  const std::string where =
      row.has_rows() ? fmt::format("shares the tables of schema {}", escaped_name(row.schema))
      : row.cluster.empty() ? fmt::format("lives in database {}", escaped_name(row.database))
                            : fmt::format("lives in cluster {}", escaped_name(row.cluster));
  throw UsageError(fmt::format("tenant {} {}: {} knows tenants with a schema of this database "
                               "alone",
                               row.slug, where, context.command),
                   std::string(advice));
}

std::vector<TenantResult> EachTenant::run(const std::vector<std::string>& names, const Act& act) {
  watch_signals();
  std::vector<TenantResult> results;
  std::string stopped;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (signal_count() > 0)
      stopped = "interrupted";
    if (!stopped.empty()) {
      results.push_back({.tenant = names[i], .result = "not started", .message = stopped});
      continue;
    }
    TenantResult failed{.tenant = names[i], .result = "failed"};
    try {
      results.push_back(act(i));
      continue;
    } catch (const pq::ConnectFailed& error) {
      failed.message = stopped = error.what();
      is_unavailable_ = true;
    } catch (const pq::ConnectionLost& error) {
      failed.message = stopped = error.what();
      is_unavailable_ = true;
    } catch (const UnavailableError& error) {
      failed.message = error.what();
      is_unavailable_ = true;
    } catch (const Error& error) {
      failed.message =
          error.hint().empty() ? error.what() : fmt::format("{}. {}", error.what(), error.hint());
    }
    results.push_back(std::move(failed));
  }
  return results;
}

ExitCode EachTenant::finish(const std::vector<TenantResult>& results) const {
  write_tenant_results(*context_.out, *context_.err, context_.settings.output, context_.command,
                       results);
  return code_of(results);
}

ExitCode EachTenant::code_of(const std::vector<TenantResult>& results) const {
  if (signal_count() > 0)
    return ExitCode::interrupted;
  if (results.size() == 1 && is_unavailable_)
    return ExitCode::unavailable;
  return std::ranges::any_of(results, &TenantResult::is_problem) ? ExitCode::failed : ExitCode::ok;
}

void settle(const Context& context, Session& session, const std::string& what,
            const std::function<void()>& attempt, const std::function<bool()>& is_done) {
  constexpr int most_losses = 3;
  const auto give_up = [&what](const Error& error) {
    throw Error(fmt::format("whether {} is not known: {}", what, error.what()),
                "Run the command again: it goes on where it stopped.");
  };
  std::optional<pq::Deadline> lost_at;
  for (int losses = 0;;) {
    try {
      if (losses > 0) {
        session.revive();
        if (is_done())
          return;
      }
      attempt();
      return;
    } catch (const UnavailableError& error) {
      // The lost session may still hold the lock; who else does was there before us.
      if (losses == 0)
        throw;
      const bool is_over =
          pq::Clock::now() - *lost_at >= context.settings.reconnect_timeout || signal_count() > 0;
      if (is_over)
        give_up(error);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    } catch (const pq::ConnectionLost& error) {
      lost_at = lost_at.value_or(pq::Clock::now());
      if (++losses == most_losses)
        give_up(error);
    } catch (const Error&) {
      // It happened while we looked.
      if (losses == 0 || !is_done())
        throw;
      return;
    }
  }
}

}  // namespace tenantctl::cli
