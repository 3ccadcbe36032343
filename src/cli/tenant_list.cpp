#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <unordered_map>

#include "cli/dropping.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "cli/survey.h"
#include "cli/tenant_marks.h"
#include "output/life_writer.h"
#include "output/result_writer.h"

namespace tenantctl::cli {
namespace {

/// The list on its way: who the fleet has, and who is in the registry alone.
class Listing {
 public:
  Listing(const Context& context, Session& session, const RevisionFolder& folder)
      : context_(context),
        session_(session),
        folder_(folder),
        chosen_(selection(context)),
        fleet_(session.everywhere()),
        places_(tenant_places(context, session).all()) {
    TenantRegistry registry = tenant_registry(context, session);
    list_.has_registry = registry.is_installed();
    registered_ = registry.all();
    std::ranges::copy(session.joined().tenants, std::back_inserter(registered_));
    for (const RegisteredTenant& tenant : registered_) {
      if (!tenant.shares_rows())
        rows_.emplace(tenant.place(), &tenant);
    }
  }

  TenantList take() {
    const bool asks_registry = list_.has_registry && context_.settings.only_failed.empty();
    if (asks_registry)
      add_absent();
    if (asks_for_dropped())
      add_dropped();
    // Those the catalog knows by itself: no registry is needed to see them.
    const bool asks_for_them_alone = asks_for_dropped() && chosen_.registry.states.size() == 1;
    if (asks_for_them_alone && !list_.has_registry)
      return std::move(list_);
    const bool must_find = list_.tenants.empty() && !asks_for_them_alone;
    add_found(must_find ? session_.select(fleet_, chosen_) : session_.match(fleet_, chosen_));
    if (list_.has_registry)
      add_moves();
    for (const auto& [name, problem] : session_.unread(chosen_)) {
      warn(context_, fmt::format("{} {}", name, problem));
      list_.tenants.push_back({.schema = name, .revision = "-", .state = "unavailable"});
    }
    std::ranges::sort(list_.tenants, {}, [](const TenantList::Tenant& tenant) {
      return std::pair(std::string_view(tenant.schema), slug_of(tenant));
    });
    return std::move(list_);
  }

 private:
  static std::string_view slug_of(const TenantList::Tenant& tenant) {
    return tenant.registered ? std::string_view(tenant.registered->slug) : std::string_view();
  }

  void add_moves() {
    const std::vector<TenantMove> moves = unended_moves(context_, session_);
    for (TenantList::Tenant& tenant : list_.tenants) {
      if (!tenant.registered || moves.empty())
        continue;
      const auto move =
          std::ranges::lower_bound(moves, tenant.registered->id, {}, &TenantMove::tenant);
      if (move != moves.end() && move->tenant == tenant.registered->id)
        tenant.move = *move;
    }
  }

  bool asks_for_dropped() const {
    return std::ranges::count(chosen_.registry.states, "deleting") > 0;
  }

  // Who was dropped is in no fleet: shown to those who ask.
  void add_dropped() {
    for (const DroppedTenant& one : dropped_tenants(context_, session_)) {
      const auto row = rows_.find(one.schema);
      const bool is_known = row != rows_.end();
      if (!chosen_.takes(one.name, is_known ? row->second->slug : "") ||
          (is_known && !chosen_.registry.passes(*row->second)))
        continue;
      TenantList::Tenant tenant{.schema = one.schema,
                                .revision = "-",
                                .state = "dropped",
                                .dropped = TenantList::Dropped{.name = one.name, .at = one.at}};
      if (is_known)
        tenant.registered = *row->second;
      list_.tenants.push_back(std::move(tenant));
    }
  }

  // Tenants that share a home, live where nobody looks yet, or have lost their schema.
  void add_absent() {
    for (const RegisteredTenant& tenant : registered_) {
      const std::string place = tenant.shares_rows() ? "" : tenant.place();
      const bool is_in_fleet = !tenant.shares_rows() && fleet_.find(place) != nullptr;
      const bool is_on_shelf = tenant.is_here() && place.starts_with(SchemaName::dropped_prefix);
      const bool is_unasked = tenant.is_kept && !asks_for_dropped();
      if (is_in_fleet || is_on_shelf || is_unasked || !chosen_.registry.passes(tenant) ||
          !chosen_.takes(place, tenant.slug))
        continue;
      list_.tenants.push_back(
          tenant.shares_rows() ? in_home(tenant)
                               : TenantList::Tenant{.schema = place,
                                                    .revision = "-",
                                                    .state = tenant.is_kept          ? "dropped"
                                                             : tenant.is_elsewhere() ? "elsewhere"
                                                                                     : "missing",
                                                    .registered = tenant});
    }
  }

  TenantList::Tenant in_home(const RegisteredTenant& tenant) const {
    TenantList::Tenant one{
        .schema = tenant.place(), .revision = "-", .state = "missing", .registered = tenant};
    const FoundSchema* home = fleet_.find(one.schema);
    if (tenant.is_kept)
      one.state = "dropped";
    else if (tenant.is_elsewhere())
      one.state = "elsewhere";
    else if (home != nullptr)
      place_at(one, *home);
    return one;
  }

  void place_at(TenantList::Tenant& tenant, const FoundSchema& found) const {
    const auto mark = Mark::parse(fleet_.comment_of(found));
    tenant.state = mark_text(found.state, mark.has_value());
    if (mark)
      tenant.revision = revision_text(folder_, mark->head);
  }

  TenantList::Tenant tenant_in(const FoundSchema& found) const {
    TenantList::Tenant tenant{
        .schema = found.schema, .revision = "-", .state = {}, .registered = std::nullopt};
    if (const auto row = rows_.find(found.schema); row != rows_.end())
      tenant.registered = *row->second;
    return tenant;
  }

  void add_found(const std::vector<std::uint32_t>& selected) {
    add_away(selected);
    for (const std::uint32_t i : selected) {
      const FoundSchema& found = fleet_.schemas[i];
      if (found.site != 0)
        continue;
      TenantList::Tenant tenant = tenant_in(found);
      place_at(tenant, found);
      tell_purpose(tenant);
      list_.tenants.push_back(std::move(tenant));
    }
  }

  // What stands there for others says so, if there is nothing worse to say.
  void tell_purpose(TenantList::Tenant& tenant) const {
    if (tenant.state != "ok")
      return;
    const auto here = std::ranges::find(places_, tenant.schema, &TenantPlace::schema);
    const auto& joined = session_.joined().places;
    const auto away = std::ranges::find(joined, tenant.schema, &JoinedFleet::Place::name);
    if (here != places_.end())
      tenant.state = here->is_home() ? "home" : "pool";
    else if (away != joined.end())
      tenant.state = away->there.is_home() ? "home" : "pool";
  }

  // Those in other databases have to be looked into; and homes over there for who shares them.
  void add_away(const std::vector<std::uint32_t>& selected) {
    std::set<std::uint32_t> asked_for;
    std::ranges::copy_if(selected, std::inserter(asked_for, asked_for.end()),
                         [this](std::uint32_t i) { return fleet_.schemas[i].site != 0; });
    std::set<std::uint32_t> members = asked_for;
    const std::vector<TenantList::Tenant*> sharing = sharing_away();
    for (const TenantList::Tenant* tenant : sharing) {
      if (const FoundSchema* home = fleet_.find(tenant->schema))
        members.insert(static_cast<std::uint32_t>(home - fleet_.schemas.data()));
    }
    if (members.empty())
      return;
    const SurveyPart away{
        .fleet = &fleet_, .members = {members.begin(), members.end()}, .folder = &folder_};
    const auto standings =
        survey(session_, context_, {away}, {.reading = marks_reading(context_, session_)});
    std::unordered_map<std::string_view, TenantList::Tenant> stands;
    for (const Standing& standing : standings.front()) {
      const std::string state = mark_text(standing.state);
      const bool is_known = state == "ok" || standing.state == Standing::State::unmarked;
      for (const std::uint32_t i : standing.members) {
        TenantList::Tenant tenant = tenant_in(fleet_.schemas[i]);
        tenant.state = state;
        if (is_known)
          tenant.revision = revision_text(folder_, standing.mark.head);
        stands.emplace(fleet_.schemas[i].schema, std::move(tenant));
      }
    }
    for (TenantList::Tenant* tenant : sharing) {
      if (const auto home = stands.find(tenant->schema); home != stands.end()) {
        tenant->state = home->second.state;
        tenant->revision = home->second.revision;
      }
    }
    for (const std::uint32_t i : asked_for) {
      TenantList::Tenant& tenant = stands.at(fleet_.schemas[i].schema);
      tell_purpose(tenant);
      list_.tenants.push_back(std::move(tenant));
    }
  }

  // Views the list: not to be kept while it grows.
  std::vector<TenantList::Tenant*> sharing_away() {
    std::vector<TenantList::Tenant*> sharing;
    for (TenantList::Tenant& tenant : list_.tenants) {
      if (tenant.state == "elsewhere" && tenant.registered->shares_rows())
        sharing.push_back(&tenant);
    }
    return sharing;
  }

  const Context& context_;
  Session& session_;
  const RevisionFolder& folder_;
  Selection chosen_;
  Fleet fleet_;
  std::vector<TenantPlace> places_;
  std::vector<RegisteredTenant> registered_;
  std::unordered_map<std::string, const RegisteredTenant*> rows_;  ///< by place
  TenantList list_;
};

ExitCode run_list(const Context& context) {
  const Folders folders = read_folders(context);
  Session session(context);
  const TenantList list = Listing(context, session, folders.tenant).take();
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
  add_example(*command, "tenantctl tenant list --tenants 'tenant_a*' --state ready");
  command->callback([&context] { context.run = [&context] { return run_list(context); }; });
}

}  // namespace tenantctl::cli
