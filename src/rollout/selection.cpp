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

// The slug of the tenant that has its database for itself.
std::string_view slug_of(const Fleet& fleet, const FoundSchema& found) {
  const Site* site = fleet.site_of(found);
  return site == nullptr ? std::string_view() : site->slug;
}

// A tenant in a database of its own may be called by its slug, unless a schema here is called so.
bool is_slug(const Fleet& fleet, const std::string& name) {
  return std::ranges::any_of(fleet.sites, [&name](const Site& site) { return site.slug == name; });
}

void refuse_unknown(const Fleet& fleet, const Selection& selection) {
  for (const std::string& name : selection.schemas) {
    const bool is_schema = fleet.find(name) != nullptr;
    if (is_schema && is_slug(fleet, name)) {
      throw UsageError(fmt::format("\"{}\" is a schema here and a tenant with a database of its "
                                   "own",
                                   escaped_name(name)),
                       "Call the tenant by database/schema; tenantctl tenant list shows all.");
    }
    if (!is_schema && !is_slug(fleet, name)) {
      throw UsageError(fmt::format("there is no tenant \"{}\"", escaped_name(name)),
                       hint_for(fleet, name));
    }
  }
}

/// What a tenant may be called: its schema, or the slug of a database of its own.
struct Names {
  std::string schema;
  std::string slug;

  bool match(const std::vector<std::string>& globs) const {
    return matches_any(schema, globs) || (!slug.empty() && matches_any(slug, globs));
  }
  bool are_among(const std::vector<std::string>& sorted) const {
    return std::ranges::binary_search(sorted, schema) ||
           (!slug.empty() && std::ranges::binary_search(sorted, slug));
  }
};

bool is_selected(const Names& names, const Selection& selection,
                 const std::vector<std::string>& named) {
  return (named.empty() || names.are_among(named)) &&
         (selection.tenants.empty() || names.match(selection.tenants)) &&
         !names.match(selection.excludes);
}

}  // namespace

std::vector<std::uint32_t> matching_tenants(const Fleet& fleet, const Selection& selection,
                                            const std::string& shared_schema) {
  std::vector<std::string> named = selection.schemas;
  std::sort(named.begin(), named.end());
  std::vector<std::uint32_t> selected;
  for (std::uint32_t i = 0; i < fleet.schemas.size(); ++i) {
    const FoundSchema& found = fleet.schemas[i];
    const Names names{.schema = found.schema, .slug = std::string(slug_of(fleet, found))};
    if (is_tenant(found, shared_schema) && is_selected(names, selection, named)) {
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
