#include "rollout/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace tenantctl {

// The message is part of the cause only where no SQLSTATE and place tell: server texts name values.
std::string cause_key(const SchemaReport& report) {
  std::string key(to_text(report.result));
  if (report.failure == nullptr) {
    return key;
  }
  const Failure& failure = *report.failure;
  key += fmt::format("|{}|{}|", failure.sqlstate, failure.revision);
  if (failure.place && failure.place->line > 0) {
    return key + fmt::format("{}:{}", failure.place->file, failure.place->line);
  }
  return key + (failure.sqlstate.empty() ? failure.message : "");
}

std::string_view to_text(Result result) {
  switch (result) {
    case Result::applied:
      return "applied";
    case Result::unchanged:
      return "unchanged";
    case Result::failed:
      return "failed";
    case Result::busy:
      return "busy";
    case Result::missing:
      return "missing";
    case Result::unmarked:
      return "unmarked";
    case Result::foreign:
      return "foreign";
    case Result::gone:
      return "gone";
    case Result::in_doubt:
      return "in-doubt";
    case Result::interrupted:
      return "interrupted";
    case Result::not_started:
      return "not-started";
    case Result::unavailable:
      return "unavailable";
  }
  return "";
}

bool is_problem(Result result) {
  return result != Result::applied && result != Result::unchanged && result != Result::gone;
}

std::array<std::size_t, result_count> Report::counts() const {
  std::array<std::size_t, result_count> counts{};
  for (const SchemaReport& schema : schemas) {
    ++counts.at(static_cast<std::size_t>(schema.result));
  }
  return counts;
}

bool Report::has_problem() const {
  return std::any_of(schemas.begin(), schemas.end(),
                     [](const SchemaReport& schema) { return is_problem(schema.result); });
}

void Report::add_appeared(Report later) {
  appeared += later.schemas.size();
  schemas.insert(schemas.end(), std::make_move_iterator(later.schemas.begin()),
                 std::make_move_iterator(later.schemas.end()));
  duration += later.duration;
  interrupted = interrupted || later.interrupted;
  if (stopped_by.empty()) {
    stopped_by = std::move(later.stopped_by);
  }
}

std::vector<std::string_view> Cause::schemas() const {
  std::vector<std::string_view> names;
  for (const SchemaReport* member : members) {
    names.push_back(member->schema);
  }
  return names;
}

std::vector<Cause> causes_of(const Report& report) {
  std::map<std::string, Cause> by_key;
  for (const SchemaReport& schema : report.schemas) {
    if (!is_problem(schema.result)) {
      continue;
    }
    Cause& cause = by_key[cause_key(schema)];
    if (cause.example == nullptr) {
      cause.example = &schema;
    }
    cause.members.push_back(&schema);
  }
  std::vector<Cause> causes;
  for (auto& [key, cause] : by_key) {
    std::sort(cause.members.begin(), cause.members.end(),
              [](const auto* a, const auto* b) { return a->schema < b->schema; });
    causes.push_back(std::move(cause));
  }
  std::stable_sort(causes.begin(), causes.end(), [](const Cause& a, const Cause& b) {
    return a.members.size() > b.members.size();
  });
  return causes;
}

}  // namespace tenantctl
