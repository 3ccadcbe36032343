#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "output/format.h"
#include "revision/revision_folder.h"
#include "rollout/plan_file.h"

namespace tenantctl {

/// A plan with the folders that it was made from, whose SQL the document holds.
struct PlanDocument {
  const PlanFile* plan = nullptr;
  const RevisionFolder* shared_folder = nullptr;
  const RevisionFolder* tenant_folder = nullptr;
};

/// The plan as a file: every group with its place, revisions and schemas, and the SQL of each
/// revision that some group gets, placeholders as they are written.
std::string json_plan_file(const PlanDocument& document);

/// The same for people, as Markdown.
void write_plan_document(std::ostream& out, Format format, const PlanDocument& document);

/// Reads what json_plan_file() wrote. `name` is the file's, for messages. Throws UsageError.
PlanFile read_plan_file(std::string_view text, std::string_view name);

}  // namespace tenantctl
