#include "rollout/plan_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace tenantctl {
namespace {

PlanFile::Entry entry_of(const Revision& revision) {
  return {.title = revision.title(), .checksum = revision.checksum};
}

std::vector<PlanFile::Entry> steps_of(const Plan& plan) {
  std::vector<PlanFile::Entry> steps;
  for (const Step& step : plan.steps) {
    if (step.runs_sql()) {
      steps.push_back(entry_of(*step.revision));
    }
  }
  return steps;
}

std::string place_text(const Mark& mark) {
  return mark.count == 0 ? "at base" : fmt::format("at revision {}", mark.head);
}

bool is_there(const FleetPlan::Group& group, const PlanFile::Group& kept) {
  const auto has_table = [](Standing::State state) {
    return state == Standing::State::marked || state == Standing::State::unmarked;
  };
  const bool same_state =
      group.state == kept.state || (has_table(group.state) && has_table(kept.state));
  return same_state && group.work.plan.from == kept.from;
}

FleetPlan::Group without_schemas(const FleetPlan::Group& group) {
  FleetPlan::Group copy;
  copy.state = group.state;
  copy.work = group.work;
  copy.problem = group.problem;
  copy.result = group.result;
  return copy;
}

void refuse_plan(FleetPlan::Group& group, Result result, std::string message, std::string hint) {
  group.work.plan.steps.clear();
  group.work.plan.to = group.work.plan.from;
  group.result = result;
  group.problem.emplace();
  group.problem->message = std::move(message);
  group.problem->hint = std::move(hint);
}

/// One group of today, taken apart by what the kept plan says of its schemas.
class Parting {
 public:
  explicit Parting(const FleetPlan::Group& group) : group_(group) {}

  void add(const std::string& schema, const PlanFile::Group& kept) {
    const Plan& plan = group_.work.plan;
    if (group_.problem) {
      part("problem").schemas.push_back(schema);
    } else if (is_there(group_, kept) && kept.steps == steps_of(plan)) {
      part("there").schemas.push_back(schema);
    } else if (plan.from == kept.to && kept.problem.empty()) {
      FleetPlan::Group& arrived = part("arrived");
      arrived.work.plan.steps.clear();
      arrived.work.plan.to = plan.from;
      arrived.schemas.push_back(schema);
    } else if (!is_there(group_, kept)) {
      const std::string where = place_text(kept.from);
      FleetPlan::Group& moved = part(where);
      refuse_plan(moved, Result::failed,
                  fmt::format("not where the plan says: {}, not {}", place_text(plan.from), where),
                  "It was migrated since the plan was made: make the plan again.");
      moved.schemas.push_back(schema);
    } else {
      FleetPlan::Group& other = part("other");
      refuse_plan(other, Result::failed, "what would run is not what the plan says",
                  "Make the plan again, with the same options as the run.");
      other.schemas.push_back(schema);
    }
  }

  void give(std::vector<FleetPlan::Group>& groups) {
    for (auto& [key, group] : parts_) {
      groups.push_back(std::move(group));
    }
  }

 private:
  FleetPlan::Group& part(const std::string& key) {
    return parts_.try_emplace(key, without_schemas(group_)).first->second;
  }

  const FleetPlan::Group& group_;
  std::map<std::string, FleetPlan::Group> parts_;
};

std::string difference(const PlanFile::Entry* kept, const Revision* now) {
  if (now == nullptr) {
    return fmt::format("{} is not in the folder any more", kept->title);
  }
  if (kept == nullptr) {
    return fmt::format("{} has come since", now->file);
  }
  return fmt::format("{} was edited", now->file);
}

}  // namespace

std::string folder_digest(const RevisionFolder& folder) {
  return folder.empty() ? "" : history_of(folder, folder.revisions().size()).back().digest;
}

PlanFile::ScopePlan plan_file_of(const FleetPlan& plan, const RevisionFolder& folder) {
  PlanFile::ScopePlan kept;
  for (const Revision& revision : folder.revisions()) {
    kept.folder.push_back(entry_of(revision));
  }
  for (const FleetPlan::Group& group : plan.groups) {
    PlanFile::Group one;
    one.state = group.state;
    one.from = group.work.plan.from;
    one.to = group.work.plan.to;
    one.steps = steps_of(group.work.plan);
    one.problem = group.problem ? group.problem->message : "";
    one.schemas = group.schemas;
    kept.groups.push_back(std::move(one));
  }
  return kept;
}

void check_folder(const PlanFile::ScopePlan& kept, const RevisionFolder& folder) {
  std::map<std::string, std::pair<const PlanFile::Entry*, const Revision*>> both;
  for (const PlanFile::Entry& entry : kept.folder) {
    both[entry.title].first = &entry;
  }
  for (const Revision& revision : folder.revisions()) {
    both[revision.title()].second = &revision;
  }
  std::vector<std::string> differences;
  for (const auto& [title, pair] : both) {
    const auto& [entry, revision] = pair;
    const bool is_same =
        entry != nullptr && revision != nullptr && entry->checksum == revision->checksum;
    if (!is_same) {
      differences.push_back(difference(entry, revision));
    }
  }
  if (!differences.empty()) {
    throw UsageError(fmt::format("the folder is not the one that the plan was made from: {}",
                                 fmt::join(differences, "; ")),
                     "Check out the revisions that the plan was made from, or make it again.");
  }
}

std::vector<std::string> hold_to(FleetPlan& plan, const PlanFile::ScopePlan& kept) {
  std::map<std::string_view, const PlanFile::Group*> known;
  for (const PlanFile::Group& group : kept.groups) {
    for (const std::string& schema : group.schemas) {
      known[schema] = &group;
    }
  }
  std::vector<std::string> outside;
  FleetPlan held;
  held.sites = plan.sites;
  held.away = plan.away;
  held.slugs = plan.slugs;
  held.unread = plan.unread;
  for (const FleetPlan::Group& group : plan.groups) {
    Parting parting(group);
    for (const std::string& schema : group.schemas) {
      const auto at = known.find(schema);
      if (at == known.end()) {
        outside.push_back(schema);
        continue;
      }
      parting.add(schema, *at->second);
      known.erase(at);
    }
    parting.give(held.groups);
  }
  for (const auto& [name, problem] : plan.unread) {
    FleetPlan::Group unread;
    unread.state = Standing::State::unavailable;
    refuse_plan(unread, Result::unavailable, problem, "Run the command again when it can be read.");
    std::erase_if(known, [&, &name = name](const auto& one) {
      const bool is_there = one.first.starts_with(name);
      if (is_there)
        unread.schemas.emplace_back(one.first);
      return is_there;
    });
    if (!unread.schemas.empty())
      held.groups.push_back(std::move(unread));
  }
  if (!known.empty()) {
    FleetPlan::Group gone;
    gone.state = Standing::State::missing;
    refuse_plan(gone, Result::gone, "dropped since the plan was made", "");
    for (const auto& [schema, group] : known) {
      gone.schemas.emplace_back(schema);
    }
    held.groups.push_back(std::move(gone));
  }
  plan = std::move(held);
  std::sort(outside.begin(), outside.end());
  return outside;
}

std::set<std::string> places_of(const PlanFile::ScopePlan& kept, const RevisionFolder& folder) {
  std::set<std::string> places;
  for (const PlanFile::Group& group : kept.groups) {
    std::string digest = group.from.digest;
    places.insert(digest);
    for (const PlanFile::Entry& step : group.steps) {
      const auto revision = std::find_if(
          folder.revisions().begin(), folder.revisions().end(),
          [&step](const Revision& candidate) { return candidate.title() == step.title; });
      if (revision != folder.revisions().end()) {
        digest = next_digest(digest, revision->number, revision->checksum);
        places.insert(digest);
      }
    }
  }
  return places;
}

}  // namespace tenantctl
