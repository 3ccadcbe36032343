#include "rollout/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

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

// A tenant who lives elsewhere may be called by its slug, unless a schema here is called so.
bool is_slug(const Fleet& fleet, const std::string& name) {
  const auto at = fleet.slugs.find(name);
  return at != fleet.slugs.end() && !at->second.empty();
}

// By the names that the fleet has for them.
std::unordered_map<std::string_view, std::string_view> slugs_by_name(const Fleet& fleet) {
  std::unordered_map<std::string_view, std::string_view> slugs;
  for (const auto& [slug, name] : fleet.slugs) {
    if (!name.empty())
      slugs.emplace(name, slug);
  }
  return slugs;
}

void refuse_unknown(const Fleet& fleet, const Selection& selection) {
  for (const std::string& name : selection.schemas) {
    const bool is_schema = fleet.find(name) != nullptr;
    if (is_schema && is_slug(fleet, name)) {
      throw UsageError(
          fmt::format("\"{}\" is a schema here and a tenant who lives elsewhere",
                      escaped_name(name)),
          "Call the tenant by its place, with the slash; tenantctl tenant list shows all.");
    }
    if (!is_schema && !is_slug(fleet, name)) {
      throw UsageError(fmt::format("there is no tenant \"{}\"", escaped_name(name)),
                       hint_for(fleet, name));
    }
  }
}

bool is_word_of(const std::string& word, const std::vector<std::string>& words) {
  return std::ranges::find(words, word) != words.end();
}

bool allows(const std::vector<std::string>& words, const std::string& word) {
  return words.empty() || is_word_of(word, words);
}

}  // namespace

bool RegistryFilter::passes(const RegisteredTenant& tenant) const {
  return allows(states, tenant.state) && allows(tiers, tenant.tier) &&
         allows(isolations, tenant.isolation) && !is_word_of(tenant.state, exclude_states);
}

bool RegistryFilter::passes_home() const {
  return states.empty() && tiers.empty() && allows(isolations, "rows");
}

bool Selection::takes(const std::string& name, const std::string& other) const {
  const auto match = [&name, &other](const std::vector<std::string>& globs) {
    return (!name.empty() && matches_any(name, globs)) ||
           (!other.empty() && matches_any(other, globs));
  };
  const bool is_named = schemas.empty() || is_word_of(name, schemas) ||
                        (!other.empty() && is_word_of(other, schemas));
  return is_named && (tenants.empty() || match(tenants)) && !match(excludes);
}

void keep_registered(std::vector<std::uint32_t>& selected, const Fleet& fleet,
                     const RegistryFilter& filter, const RegisteredFleet& registered) {
  std::unordered_map<std::string, const RegisteredTenant*> rows;
  for (const RegisteredTenant& tenant : registered.tenants) {
    if (!tenant.shares_rows())
      rows.emplace(tenant.place(), &tenant);
  }
  const std::unordered_set<std::string> homes(registered.homes.begin(), registered.homes.end());
  std::erase_if(selected, [&](std::uint32_t i) {
    const std::string& schema = fleet.schemas[i].schema;
    if (homes.contains(schema))
      return !filter.passes_home();
    const auto row = rows.find(schema);
    return row == rows.end() ? filter.asks_for_rows() : !filter.passes(*row->second);
  });
}

std::vector<std::uint32_t> matching_tenants(const Fleet& fleet, const Selection& selection,
                                            const std::string& shared_schema) {
  // Thousands may be named.
  Selection others = selection;
  std::vector<std::string> named;
  std::swap(named, others.schemas);
  std::sort(named.begin(), named.end());
  const auto slugs = slugs_by_name(fleet);
  std::vector<std::uint32_t> selected;
  for (std::uint32_t i = 0; i < fleet.schemas.size(); ++i) {
    const FoundSchema& found = fleet.schemas[i];
    const auto at = slugs.find(found.schema);
    const std::string slug(at == slugs.end() ? std::string_view() : at->second);
    const bool is_named = named.empty() || std::ranges::binary_search(named, found.schema) ||
                          (!slug.empty() && std::ranges::binary_search(named, slug));
    if (is_named && is_tenant(found, shared_schema) && others.takes(found.schema, slug)) {
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
