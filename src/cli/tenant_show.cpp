#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/moves.h"
#include "cli/options.h"
#include "cli/seeds.h"
#include "cli/status.h"
#include "cli/survey.h"
#include "cli/tenant_marks.h"
#include "cli/tenants.h"
#include "output/life_writer.h"
#include "output/result_writer.h"
#include "tenant/dropped_tenants.h"

namespace tenantctl::cli {
namespace {

/// One tenant, looked at wherever it lives.
class Viewing {
 public:
  Viewing(const Context& context, Session& session, const RevisionFolder& folder)
      : context_(context), session_(session), folder_(folder) {}

  TenantView look_at(const std::string& name) {
    TenantRegistry registry = tenant_registry(context_, session_);
    view_.has_registry = registry.is_installed();
    std::vector<RegisteredTenant> found = registry.find({name});
    if (view_.has_registry && found.empty())
      found = find_joined(name);
    if (const RegisteredTenant* tenant = find_tenant(found, name))
      view_.registered = *tenant;
    view_.schema = view_.registered ? view_.registered->schema : name;
    view_.revision = "-";
    if (view_.schema.starts_with(SchemaName::dropped_prefix) && view_.registered) {
      read_shelf();
    } else if (!view_.registered || view_.registered->is_here()) {
      read_here();
    } else if (view_.registered->has_rows()) {
      read_standing(session_.schemas({view_.schema}));
      if (view_.registered->is_kept)
        view_.state = "dropped";
    } else {
      read_elsewhere(*view_.registered);
    }
    read_seeds();
    if (view_.has_registry)
      judge();
    if (view_.registered)
      find_move();
    return std::move(view_);
  }

  /// Of a schema that nobody registered.
  bool is_tenant() const { return is_ours_; }

 private:
  // One that shares a home's rows is known by the registry alone.
  std::vector<RegisteredTenant> find_joined(const std::string& name) {
    std::vector<RegisteredTenant> found = session_.find_joined({name});
    std::ranges::copy_if(session_.joined().tenants, std::back_inserter(found),
                         [&name](const RegisteredTenant& tenant) {
                           return tenant.shares_rows() && tenant.slug == name;
                         });
    std::erase_if(found, [](const RegisteredTenant& one) { return one.id.empty(); });
    return found;
  }

  // Where a version table of ours stands.
  void read_seeds() {
    const std::vector<std::string> readable{"ok", "home", "unmarked"};
    if (std::ranges::count(readable, view_.state) == 0 || view_.revision == "-")
      return;
    SeedTarget target{.schema = SchemaName::existing(view_.schema)};
    Site site;
    if (view_.registered) {
      target = seed_target(*view_.registered);
      site = view_.registered->site();
    }
    SeedView seeds;
    for (const AppliedSeed& applied : recorded_seeds(context_, session_, site, target)) {
      const Revision* seed = folder_.find_seed(applied.name);
      seeds.applied.push_back({.name = applied.name,
                               .at = applied.applied_at,
                               .by = applied.applied_by,
                               .is_edited = seed != nullptr && seed->checksum != applied.checksum});
    }
    for (const Revision& seed : folder_.seeds()) {
      if (std::ranges::count(seeds.applied, seed.title(), &SeedView::Applied::name) == 0)
        seeds.pending.push_back(seed.title());
    }
    view_.seeds = std::move(seeds);
  }

  void read_here() {
    const Fleet fleet = session_.schemas({view_.schema});
    is_ours_ = fleet.schemas.front().state == FoundSchema::State::ours;
    read_standing(fleet);
    view_.facts = read_schema_facts(session_.pipeline(), view_.schema, session_.deadline());
  }

  // It stands where it stood: what was pending when it was dropped is nobody's concern now.
  void read_shelf() {
    view_.state = "dropped";
    view_.pending = std::nullopt;
    view_.facts = read_schema_facts(session_.pipeline(), view_.schema, session_.deadline());
    const auto mark = Mark::parse(DroppedTenants::mark_of(
        session_.pipeline(), view_.schema, context_.settings.version_table, session_.deadline()));
    if (!mark)
      return;
    view_.revision = revision_text(folder_, mark->head);
    view_.applied = mark->count;
    view_.digest = mark->digest;
  }

  // Only what is complete is looked into.
  void read_elsewhere(const RegisteredTenant& tenant) {
    view_.state = tenant.is_kept ? "dropped" : "elsewhere";
    if (tenant.state == "provisioning" || tenant.state == "deleting")
      return;
    Fleet fleet;
    fleet.add_away(tenant.site(), tenant.schema, tenant.slug);
    const SurveyPart part{.fleet = &fleet, .members = {0}, .folder = &folder_};
    const auto standings =
        survey(session_, context_, {part}, {.reading = marks_reading(context_, session_)});
    tell(standings.front().front(), fleet);
    view_.state = mark_text(standings.front().front().state);
  }

  void read_standing(const Fleet& fleet) {
    const FoundSchema& found = fleet.schemas.front();
    view_.state = mark_text(found.state, Mark::parse(fleet.comment_of(found)).has_value());
    tell(session_.standings(fleet, {0}, folder_).front(), fleet);
  }

  // In status' own words.
  void tell(const Standing& standing, const Fleet& fleet) {
    const StatusResult::Group group = group_of(standing, fleet, folder_);
    view_.revision = group.revision;
    view_.applied = standing.mark.count;
    view_.digest = standing.mark.digest;
    view_.pending = group.behind;
    view_.repeatables_pending = group.repeatables;
    view_.note = group.note;
  }

  void find_move() {
    for (TenantMove& move : unended_moves(context_, session_)) {
      if (move.tenant == view_.registered->id)
        view_.move = std::move(move);
    }
  }

  // Dropped, and then somebody removed the schema.
  bool is_off_shelf() const {
    return view_.state == "dropped" && view_.registered->is_here() && !view_.facts;
  }

  void judge() {
    if (!view_.registered) {
      view_.disagreements.emplace_back("a version table, but not registered");
      return;
    }
    const RegisteredTenant& tenant = *view_.registered;
    const bool is_unfinished = tenant.state == "provisioning" && !tenant.is_being_made;
    if (is_unfinished)
      view_.disagreements.emplace_back("provisioning, and nobody is making it");
    if (tenant.state == "provisioning" || tenant.is_elsewhere())
      return;
    if (view_.state == "missing" || is_off_shelf()) {
      view_.disagreements.emplace_back(tenant.has_rows()
                                           ? "registered, but its home is not there"
                                           : "registered, but there is no such schema");
    } else if (view_.state == "foreign" || view_.note == "unmarked: no version table") {
      view_.disagreements.emplace_back("registered, but the schema has no version table of ours");
    }
  }

  const Context& context_;
  Session& session_;
  const RevisionFolder& folder_;
  TenantView view_;
  bool is_ours_ = false;
};

ExitCode view_tenant(const Context& context, const std::string& name) {
  SchemaName::existing(name);
  const Folders folders = read_folders(context);
  Session session(context);
  Viewing viewing(context, session, folders.tenant);
  const TenantView view = viewing.look_at(name);
  const bool is_shared = !view.registered && name == context.settings.shared_schema;
  if (is_shared || (!view.registered && !viewing.is_tenant())) {
    throw UsageError(fmt::format("there is no tenant \"{}\"", escaped_name(name)),
                     "tenantctl tenant list shows all.");
  }
  write_tenant_view(*context.out, context.settings.output, view);
  return view.state == "unavailable" ? ExitCode::failed : ExitCode::ok;
}

}  // namespace

void add_tenant_show(CLI::App& tenant, Context& context) {
  CLI::App* command = tenant.add_subcommand("show", "one tenant: its row, place, version and size");
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "tenant, by slug, schema or database/schema")->required();
  describe_tenants(*command, context);
  add_example(*command, "tenantctl tenant show acme");
  command->callback(
      [&context, name] { context.run = [&context, name] { return view_tenant(context, *name); }; });
}

}  // namespace tenantctl::cli
