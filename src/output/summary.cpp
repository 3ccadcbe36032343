#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "output/result_writer.h"

namespace tenantctl {

using namespace std::chrono_literals;

std::vector<ScopeResult> scopes_of(const RunResult& result) {
  std::vector<ScopeResult> scopes;
  if (result.shared != nullptr) {
    scopes.push_back({.scope = Scope::shared,
                      .report = result.shared,
                      .folder = result.shared_folder,
                      .plan = result.shared_plan});
  }
  if (result.tenants != nullptr) {
    scopes.push_back({.scope = Scope::tenant,
                      .report = result.tenants,
                      .folder = result.tenant_folder,
                      .plan = result.tenant_plan});
  }
  return scopes;
}

std::string duration_text(std::chrono::milliseconds duration) {
  const auto count = duration.count();
  if (count < 1'000) {
    return fmt::format("{} ms", count);
  }
  if (count < 60'000) {
    return fmt::format("{:.1f} s", static_cast<double>(count) / 1'000.0);
  }
  return fmt::format("{} min {} s", count / 60'000, count / 1'000 % 60);
}

std::string rough_duration_text(std::chrono::steady_clock::duration duration) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 120) {
    return fmt::format("{} s", seconds);
  }
  const auto minutes = seconds / 60;
  return minutes < 120 ? fmt::format("{} min", minutes)
                       : fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string blocker_text(const Blocker& blocker) {
  std::string who;
  const auto add = [&who](const std::string& text) {
    if (!text.empty()) {
      who += (who.empty() ? "" : ", ") + text;
    }
  };
  add(blocker.user.empty() ? "" : "user " + single_line(blocker.user));
  add(single_line(blocker.application));
  const std::string age = blocker.age > 0ms ? " for " + rough_duration_text(blocker.age) : "";
  add(blocker.state.empty() && age.empty()
          ? ""
          : (blocker.state.empty() ? "in a transaction" : single_line(blocker.state)) + age);
  std::string text = fmt::format("pid {}", blocker.pid);
  text += who.empty() ? "" : fmt::format(" ({})", who);
  return text + (blocker.query.empty() ? "" : ": " + single_line(blocker.query));
}

std::string counts_text(const Report& report) {
  std::string text;
  const auto counts = report.counts();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts.at(i) > 0) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", counts.at(i),
                          to_text(static_cast<Result>(i)));
    }
  }
  return text.empty() ? "none" : text;
}

SchemaList slowest_of(const Report& report) {
  constexpr std::size_t most = 5;
  constexpr std::size_t many = 10;
  if (report.schemas.size() < many) {
    return {};
  }
  SchemaList all;
  for (const SchemaReport& schema : report.schemas) {
    if (schema.duration > 0ms) {
      all.push_back(&schema);
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const auto* a, const auto* b) { return a->duration > b->duration; });
  all.resize(std::min(all.size(), most));
  return all;
}

SchemaList retried_of(const Report& report) {
  SchemaList retried;
  for (const SchemaReport& schema : report.schemas) {
    if (schema.tries > 0) {
      retried.push_back(&schema);
    }
  }
  std::stable_sort(retried.begin(), retried.end(),
                   [](const auto* a, const auto* b) { return a->tries > b->tries; });
  return retried;
}

std::vector<std::pair<const Blocker*, std::size_t>> blockers_of(const Cause& cause) {
  std::map<int, std::pair<const Blocker*, std::size_t>> by_pid;
  for (const SchemaReport* schema : cause.members) {
    if (schema->blocker != nullptr) {
      auto& [blocker, count] = by_pid[schema->blocker->pid];
      blocker = schema->blocker.get();
      ++count;
    }
  }
  std::vector<std::pair<const Blocker*, std::size_t>> blockers;
  for (const auto& [pid, blocker] : by_pid) {
    blockers.push_back(blocker);
  }
  std::stable_sort(blockers.begin(), blockers.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return blockers;
}

std::size_t shown_names(std::size_t count) {
  constexpr std::size_t few = 50;
  constexpr std::size_t first = 20;
  return count <= few ? count : first;
}

std::size_t problem_count(const Report& report) {
  return static_cast<std::size_t>(
      std::count_if(report.schemas.begin(), report.schemas.end(),
                    [](const SchemaReport& schema) { return is_problem(schema.result); }));
}

}  // namespace tenantctl
