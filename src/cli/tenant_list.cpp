#include <algorithm>

#include "cli/options.h"
#include "cli/survey.h"
#include "cli/tenants.h"
#include "output/folder_writer.h"
#include "output/result_writer.h"

namespace tenantctl::cli {
namespace {

std::string state_text(const FoundSchema& found, bool marked) {
  switch (found.state) {
    case FoundSchema::State::ours:
      return marked ? "ok" : "unmarked";
    case FoundSchema::State::foreign:
      return "foreign";
    case FoundSchema::State::bare:
      return "unmarked";
    case FoundSchema::State::away:
      return "unavailable";
    case FoundSchema::State::missing:
      break;
  }
  return "missing";
}

// What stands there for others says so, if there is nothing worse to say.
void tell_places(const std::vector<TenantPlace>& places, TenantList& list) {
  for (TenantList::Tenant& tenant : list.tenants) {
    const auto place = std::ranges::find(places, tenant.schema, &TenantPlace::schema);
    if (place != places.end() && tenant.state == "ok")
      tenant.state = place->is_home() ? "home" : "pool";
  }
}

std::string state_text(Standing::State state) {
  switch (state) {
    case Standing::State::marked:
    case Standing::State::lying:
    case Standing::State::dropping:
      return "ok";
    case Standing::State::unmarked:
    case Standing::State::bare:
    case Standing::State::broken:
      return "unmarked";
    case Standing::State::foreign:
      return "foreign";
    case Standing::State::missing:
      return "missing";
    case Standing::State::unavailable:
      break;
  }
  return "unavailable";
}

// Those in other databases, which have to be looked into.
TenantList list_elsewhere(const Context& context, Session& session, const Fleet& fleet,
                          const std::vector<std::uint32_t>& selected,
                          const RevisionFolder& folder) {
  SurveyPart away{.fleet = &fleet, .members = {}, .folder = &folder};
  for (const std::uint32_t i : selected) {
    if (fleet.schemas[i].site != 0)
      away.members.push_back(i);
  }
  TenantList list;
  if (away.members.empty())
    return list;
  const auto standings =
      survey(session, context, {away}, {.reading = marks_reading(context, session)});
  for (const Standing& standing : standings.front()) {
    const std::string state = state_text(standing.state);
    const bool is_known = state == "ok" || standing.state == Standing::State::unmarked;
    for (const std::uint32_t i : standing.members) {
      list.tenants.push_back(
          {.schema = fleet.schemas[i].schema,
           .revision = is_known ? revision_text(folder, standing.mark.head) : "-",
           .state = state});
    }
  }
  return list;
}

ExitCode run_list(const Context& context) {
  const Selection chosen = selection(context);
  const Folders folders = read_folders(context);
  Session session(context);
  const Fleet fleet = session.everywhere();
  const std::vector<std::uint32_t> selected = session.select(fleet, chosen);
  TenantList list = list_elsewhere(context, session, fleet, selected, folders.tenant);
  for (const std::uint32_t i : selected) {
    const FoundSchema& found = fleet.schemas[i];
    if (found.site != 0)
      continue;
    const auto mark = Mark::parse(fleet.comment_of(found));
    list.tenants.push_back({.schema = found.schema,
                            .revision = mark ? revision_text(folders.tenant, mark->head) : "-",
                            .state = state_text(found, mark.has_value())});
  }
  tell_places(tenant_places(context, session).all(), list);
  std::ranges::sort(list.tenants, {}, &TenantList::Tenant::schema);
  write_tenants(*context.out, context.settings.output, list);
  return std::ranges::count(list.tenants, "unavailable", &TenantList::Tenant::state) == 0
             ? ExitCode::ok
             : ExitCode::failed;
}

}  // namespace

void add_tenant_list(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand("list", "every tenant and where it stands");
  describe_schemas(*command, context.settings);
  describe_selection(*command, context.settings);
  describe_tenants(*command, context);
  add_example(*command, "tenantctl tenant list --tenants 'tenant_a*'");
  command->callback([&context] { context.run = [&context] { return run_list(context); }; });
}

}  // namespace tenantctl::cli
