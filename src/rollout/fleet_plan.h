#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rollout/job.h"
#include "rollout/report.h"
#include "rollout/rollout.h"
#include "rollout/standing.h"

namespace tenantctl {

/// What a run would do, by group: what a dry run shows and a rollout carries out. A value.
struct FleetPlan {
  struct Group {
    Standing::State state = Standing::State::marked;
    TaskGroup work;
    std::optional<Failure> problem;       ///< then the group is left alone...
    Result result = Result::not_started;  ///< ...and this is what its schemas are
    std::vector<std::string> schemas;
  };
  std::vector<Group> groups;
  std::vector<Site> sites;                    ///< as in the fleet
  std::map<std::string, std::uint32_t> away;  ///< which site a schema is at, if not at home
  std::map<std::string, std::string> slugs;   ///< as in the fleet
  /// Names in front of whatever a run should have gone over and nobody could read, and why.
  std::map<std::string, std::string> unread;

  std::size_t schema_count() const;
  bool has_steps() const;
  /// FoundSchema::site.
  std::uint32_t site_of(const std::string& schema) const;
  /// It is, or stands for, what nobody could read.
  bool is_unread(const std::string& schema) const;
  /// Leaves the schemas alone that `judge` gives a failure for, with that result. Groups with a
  /// problem are not asked about.
  using Judge =
      std::function<std::optional<Failure>(const std::string& schema, const Group& group)>;
  void set_aside(Result result, const Judge& judge);
};

/// Plans each group with `plan`. A history that the folder does not allow makes a group's problem;
/// a revision that can never run throws UsageError, before anything is touched. `create` is what
/// may be made for schemas that are bare or missing. With `only_behind`, groups with nothing to do
/// are left out.
FleetPlan plan_fleet(const Fleet& fleet, const std::vector<Standing>& standings,
                     const RevisionFolder& folder, const Replan& plan, Missing create,
                     bool only_behind);

/// Runs the plan's groups and adds the schemas of groups with a problem to the report.
Report run_fleet(const FleetPlan& plan, Rollout& rollout);

}  // namespace tenantctl
