#include "rollout/selection.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace tenantctl {
namespace {

bool matches_any(const std::string& name, const std::vector<std::string>& globs) {
  return std::any_of(globs.begin(), globs.end(),
                     [&name](const std::string& glob) { return matches_glob(name, glob); });
}

// Whatever its mark says: a comment changed by hand must not hide a tenant from every command. Its
// rows decide.
bool is_tenant(const FoundSchema& found, const std::string& shared_schema) {
  return found.schema != shared_schema;
}

std::string hint_for(const Fleet& fleet, const std::string& wanted) {
  std::vector<std::string> names;
  for (const FoundSchema& found : fleet.schemas) {
    names.push_back(found.schema);
  }
  const auto near = nearest(wanted, names);
  return near ? fmt::format("Did you mean {}? tenantctl tenant list shows all.", *near)
              : "tenantctl tenant list shows all.";
}

void refuse_unknown(const Fleet& fleet, const Selection& selection) {
  for (const std::string& name : selection.schemas) {
    if (fleet.find(name) == nullptr) {
      throw UsageError(fmt::format("there is no tenant \"{}\"", escaped_name(name)),
                       hint_for(fleet, name));
    }
  }
}

bool is_selected(const std::string& schema, const Selection& selection,
                 const std::vector<std::string>& named) {
  const bool is_named = named.empty() || std::binary_search(named.begin(), named.end(), schema);
  const bool matches = selection.tenants.empty() || matches_any(schema, selection.tenants);
  return is_named && matches && !matches_any(schema, selection.excludes);
}

}  // namespace

std::vector<std::uint32_t> matching_tenants(const Fleet& fleet, const Selection& selection,
                                            const std::string& shared_schema) {
  std::vector<std::string> named = selection.schemas;
  std::sort(named.begin(), named.end());
  std::vector<std::uint32_t> selected;
  for (std::uint32_t i = 0; i < fleet.schemas.size(); ++i) {
    const FoundSchema& found = fleet.schemas[i];
    if (is_tenant(found, shared_schema) && is_selected(found.schema, selection, named)) {
      selected.push_back(i);
    }
  }
  return selected;
}

std::vector<std::uint32_t> select_tenants(const Fleet& fleet, const Selection& selection,
                                          const std::string& shared_schema) {
  refuse_unknown(fleet, selection);
  std::vector<std::uint32_t> selected = matching_tenants(fleet, selection, shared_schema);
  if (selected.empty() && selection.is_filter()) {
    throw UsageError("the selection matches no tenant", "tenantctl tenant list shows all.");
  }
  return selected;
}

}  // namespace tenantctl
