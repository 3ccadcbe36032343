#include "rollout/fleet_plan.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <tuple>
#include <utility>

namespace tenantctl {
namespace {

Failure problem_of(std::string message, std::string hint) {
  return {.message = std::move(message),
          .hint = std::move(hint),
          .sqlstate = {},
          .revision = {},
          .place = std::nullopt};
}

void refuse(FleetPlan::Group& group, Result result, std::string message, std::string hint) {
  group.result = result;
  group.problem = problem_of(std::move(message), std::move(hint));
}

void make_plan(FleetPlan::Group& group, const Standing& standing, const RevisionFolder& folder,
               const Replan& plan) {
  try {
    Plan planned = plan(standing.history, group.work.missing);
    // A lost mark is written again, or the next look at the fleet would read the rows again; so is
    // one that lies.
    const bool needs_mark =
        standing.state == Standing::State::unmarked || standing.state == Standing::State::lying;
    if (needs_mark && planned.empty()) {
      planned = plan_remark(folder, standing.history);
    }
    group.work.plan = std::move(planned);
  } catch (const HistoryError& error) {
    refuse(group, Result::failed, error.what(), error.hint());
    group.problem->place = error.place();
  }
}

void plan_group(FleetPlan::Group& group, const Standing& standing, const RevisionFolder& folder,
                const Replan& plan, Missing create) {
  switch (standing.state) {
    case Standing::State::marked:
    case Standing::State::unmarked:
    case Standing::State::lying:
      make_plan(group, standing, folder, plan);
      break;
    case Standing::State::bare:
      if (create == Missing::nothing) {
        refuse(group, Result::unmarked, "the schema has no version table",
               "tenantctl tenant adopt gives it one.");
      } else {
        group.work.missing = Missing::table;
        make_plan(group, standing, folder, plan);
      }
      break;
    case Standing::State::missing:
      if (create != Missing::schema) {
        refuse(group, Result::missing, "the schema does not exist",
               "tenantctl tenant create makes it.");
      } else {
        group.work.missing = Missing::schema;
        make_plan(group, standing, folder, plan);
      }
      break;
    case Standing::State::foreign:
      refuse(group, Result::foreign, "its version table is not ours alone",
             "Look at the owner of schema and table, at triggers and rules; --owner names roles to "
             "trust.");
      break;
    case Standing::State::dropping:
      refuse(group, Result::failed, "the schema is half-dropped",
             "Run tenantctl tenant drop again to finish.");
      break;
    case Standing::State::broken:
      refuse(group, Result::failed, standing.problem,
             "Its version table was changed by hand; tenantctl stamp records where it stands.");
      break;
    case Standing::State::unavailable:
      refuse(group, Result::unavailable, standing.problem,
             "The other databases go on; run the command again for this.");
      break;
  }
}

}  // namespace

std::size_t FleetPlan::schema_count() const {
  std::size_t count = 0;
  for (const Group& group : groups) {
    count += group.schemas.size();
  }
  return count;
}

bool FleetPlan::has_steps() const {
  return std::any_of(groups.begin(), groups.end(),
                     [](const Group& group) { return !group.work.plan.empty(); });
}

std::uint32_t FleetPlan::site_of(const std::string& schema) const {
  const auto at = away.find(schema);
  return at == away.end() ? 0 : at->second;
}

bool FleetPlan::is_unread(const std::string& schema) const {
  return std::any_of(unread.begin(), unread.end(),
                     [&schema](const auto& one) { return schema.starts_with(one.first); });
}

void FleetPlan::set_aside(Result result, const Judge& judge) {
  std::vector<Group> aside;
  for (Group& group : groups) {
    if (group.problem) {
      continue;
    }
    std::map<std::string, Group> refused;
    std::erase_if(group.schemas, [&](const std::string& schema) {
      std::optional<Failure> failure = judge(schema, group);
      if (!failure) {
        return false;
      }
      Group& one = refused[failure->message];
      one.state = group.state;
      one.work.plan.from = group.work.plan.from;
      one.work.plan.to = group.work.plan.from;
      one.result = result;
      one.problem = std::move(failure);
      one.schemas.push_back(schema);
      return true;
    });
    for (auto& [message, one] : refused) {
      aside.push_back(std::move(one));
    }
  }
  std::erase_if(groups, [](const Group& group) { return group.schemas.empty(); });
  std::move(aside.begin(), aside.end(), std::back_inserter(groups));
}

FleetPlan plan_fleet(const Fleet& fleet, const std::vector<Standing>& standings,
                     const RevisionFolder& folder, const Replan& plan, Missing create,
                     bool only_behind) {
  FleetPlan fleet_plan;
  fleet_plan.sites = fleet.sites;
  fleet_plan.slugs = fleet.slugs;
  for (const Standing& standing : standings) {
    FleetPlan::Group group;
    group.state = standing.state;
    group.work.plan.from = standing.mark;
    group.work.plan.to = standing.mark;
    plan_group(group, standing, folder, plan, create);
    if (only_behind && !group.problem && group.work.plan.empty()) {
      continue;
    }
    group.schemas.reserve(standing.members.size());
    for (const std::uint32_t i : standing.members) {
      const FoundSchema& found = fleet.schemas[i];
      group.schemas.push_back(found.schema);
      if (found.site != 0) {
        fleet_plan.away.emplace(found.schema, found.site);
      }
    }
    fleet_plan.groups.push_back(std::move(group));
  }
  return fleet_plan;
}

Report run_fleet(const FleetPlan& plan, Rollout& rollout) {
  std::vector<TaskGroup> groups;
  std::vector<Task> tasks;
  tasks.reserve(plan.schema_count());
  for (const FleetPlan::Group& group : plan.groups) {
    if (group.problem) {
      continue;
    }
    const auto index = static_cast<std::uint32_t>(groups.size());
    groups.push_back(group.work);
    for (const std::string& schema : group.schemas) {
      tasks.push_back({.schema = schema, .group = index, .site = plan.site_of(schema)});
    }
  }
  // By name, whatever group: an operator who watches finds the place again. What is in another
  // database comes behind, one database after the other: a worker goes there once.
  std::sort(tasks.begin(), tasks.end(), [](const Task& a, const Task& b) {
    return std::tuple(a.site, std::string_view(a.schema)) <
           std::tuple(b.site, std::string_view(b.schema));
  });
  Report report = rollout.run(groups, tasks);
  for (const FleetPlan::Group& group : plan.groups) {
    if (!group.problem) {
      continue;
    }
    for (const std::string& schema : group.schemas) {
      SchemaReport refused;
      refused.schema = schema;
      refused.result = group.result;
      refused.revision = group.work.plan.from.head;
      refused.from = refused.revision;
      refused.failure = std::make_unique<Failure>(*group.problem);
      report.schemas.push_back(std::move(refused));
    }
  }
  return report;
}

}  // namespace tenantctl
