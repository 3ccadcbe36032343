#pragma once

#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rollout/fleet_plan.h"

namespace tenantctl {

/// A plan as somebody read and agreed to it: per group of schemas at the same place what is to run.
/// A value; output/plan_document.h makes a document of it and reads one.
struct PlanFile {
  /// A revision of the folder, named as its file: equal checksums are equal up sections.
  struct Entry {
    std::string title;
    std::string checksum;
    bool operator==(const Entry&) const = default;
  };
  struct Group {
    Standing::State state = Standing::State::marked;
    Mark from;
    Mark to;
    std::vector<Entry> steps;
    std::string problem;  ///< why nothing is planned; empty: none
    std::vector<std::string> schemas;
  };
  struct ScopePlan {
    std::vector<Entry> folder;  ///< every revision there was
    std::vector<Group> groups;
  };
  std::string target = "head";
  std::optional<ScopePlan> shared;
  ScopePlan tenants;

  const ScopePlan* of(Scope scope) const {
    return scope == Scope::tenant ? &tenants : shared ? &*shared : nullptr;
  }
};

PlanFile::ScopePlan plan_file_of(const FleetPlan& plan, const RevisionFolder& folder);

/// The digest that a schema has when all of the folder is applied in order; empty for none.
std::string folder_digest(const RevisionFolder& folder);

/// Throws UsageError, naming each file, if the folder is not the one that the plan was made from.
void check_folder(const PlanFile::ScopePlan& kept, const RevisionFolder& folder);

/// Leaves in `plan` what was agreed to: a schema that is neither where the kept plan says nor where
/// it leads becomes a problem, one that is gone is gone, and one that the plan does not know is
/// taken out. Returns those, by name.
std::vector<std::string> hold_to(FleetPlan& plan, const PlanFile::ScopePlan& kept);

/// Digests of all places on the way that the kept plan leads.
std::set<std::string> places_of(const PlanFile::ScopePlan& kept, const RevisionFolder& folder);

}  // namespace tenantctl
