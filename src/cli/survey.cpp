#include "cli/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "rollout/site_visits.h"

namespace tenantctl::cli {
namespace {

/// The schemas of a part that live at one site, and what was read of them.
struct Excerpt {
  std::size_t part = 0;
  std::map<std::string, std::uint32_t> members;  ///< by their names there
  std::vector<Standing> standings = {};
};

/// One database that is looked into.
struct Stop {
  const Site* site = nullptr;
  std::vector<Excerpt> excerpts;
};

std::vector<std::uint32_t> at_home(const SurveyPart& part) {
  std::vector<std::uint32_t> members;
  for (const std::uint32_t i : part.members) {
    if (part.fleet->schemas[i].site == 0)
      members.push_back(i);
  }
  return members;
}

std::vector<Stop> stops_of(const std::vector<SurveyPart>& parts) {
  std::vector<Stop> stops;
  std::map<std::string, std::size_t> indexes;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const Fleet& fleet = *parts[p].fleet;
    for (const std::uint32_t i : parts[p].members) {
      const Site* site = fleet.site_of(fleet.schemas[i]);
      if (site == nullptr)
        continue;
      const auto [at, is_new] = indexes.try_emplace(site->name(), stops.size());
      if (is_new)
        stops.push_back({.site = site, .excerpts = {}});
      std::vector<Excerpt>& excerpts = stops[at->second].excerpts;
      if (excerpts.empty() || excerpts.back().part != p)
        excerpts.push_back({.part = p, .members = {}});
      excerpts.back().members.emplace(fleet.local_name(fleet.schemas[i]), i);
    }
  }
  return stops;
}

std::vector<std::uint32_t> all_members(const Excerpt& excerpt) {
  std::vector<std::uint32_t> members;
  for (const auto& [name, member] : excerpt.members)
    members.push_back(member);
  return members;
}

// Read in the database itself, then told in terms of the whole fleet.
void read_excerpt(pq::Pipeline& pipeline, const Context& context, Excerpt& excerpt,
                  const RevisionFolder& folder, const Reading& reading) {
  std::vector<std::string> names;
  for (const auto& [name, member] : excerpt.members)
    names.push_back(name);
  const Fleet there = read_schemas(pipeline, fleet_query(context.settings), names,
                                   pq::Clock::now() + context.settings.answer_timeout);
  std::vector<std::uint32_t> all(there.schemas.size());
  for (std::uint32_t i = 0; i < all.size(); ++i)
    all[i] = i;
  excerpt.standings = reading(pipeline, there, all, folder);
  for (Standing& standing : excerpt.standings) {
    for (std::uint32_t& member : standing.members)
      member = excerpt.members.at(there.schemas[member].schema);
  }
}

// What a session is given at its start is of one version.
void check_version(int there, int here) {
  if (there / 10'000 != here / 10'000) {
    throw Error(
        fmt::format("the server is PostgreSQL {}, the main one {}: one run takes one version",
                    there / 10'000, here / 10'000),
        "Run tenantctl from a main database of that version.");
  }
}

}  // namespace

std::size_t connections_for(const Context& context) {
  constexpr std::size_t usual = 4;
  return context.settings.jobs > 0 ? context.settings.jobs : usual;
}

Reading marks_reading(const Context& context, const Session& session) {
  return [&context, options = table_options(context.settings, session.run_id())](
             pq::Pipeline& pipeline, const Fleet& fleet, const std::vector<std::uint32_t>& selected,
             const RevisionFolder& folder) {
    return read_standings(pipeline, fleet, selected, folder, options,
                          pq::Clock::now() + context.settings.answer_timeout);
  };
}

Reading rows_reading(const Context& context, const Session& session) {
  return [options = table_options(context.settings, session.run_id())](
             pq::Pipeline& pipeline, const Fleet& fleet, const std::vector<std::uint32_t>& selected,
             const RevisionFolder& folder) {
    return read_deep_standings(pipeline, fleet, selected, {.scope = folder.scope()}, options);
  };
}

std::vector<std::vector<Standing>> survey(Session& session, const Context& context,
                                          const std::vector<SurveyPart>& parts,
                                          const SurveyOptions& options) {
  std::vector<std::vector<Standing>> standings;
  for (const SurveyPart& part : parts) {
    standings.push_back(
        options.reading(session.pipeline(), *part.fleet, at_home(part), *part.folder));
  }
  std::vector<Stop> stops = stops_of(parts);
  if (stops.empty())
    return standings;
  std::vector<pq::ConnectOptions> sites;
  for (const Stop& stop : stops)
    sites.push_back(session.connect_options(*stop.site));
  const auto problems =
      visit_sites(sites, connections_for(context), [&](std::size_t site, SiteSession& there) {
        check_version(there.server_version(), session.server_version());
        for (Excerpt& excerpt : stops[site].excerpts)
          read_excerpt(there.pipeline(), context, excerpt, *parts[excerpt.part].folder,
                       options.reading);
      });
  std::vector<StandingGroups> groups(parts.size(), StandingGroups(options.run_ids));
  for (std::size_t p = 0; p < parts.size(); ++p) {
    for (Standing& standing : standings[p])
      groups[p].add(std::move(standing));
  }
  for (std::size_t i = 0; i < stops.size(); ++i) {
    for (Excerpt& excerpt : stops[i].excerpts) {
      if (!problems[i].empty()) {
        Standing unreached;
        unreached.state = Standing::State::unavailable;
        unreached.problem = problems[i];
        unreached.members = all_members(excerpt);
        excerpt.standings = {std::move(unreached)};
      }
      for (Standing& standing : excerpt.standings)
        groups[excerpt.part].add(std::move(standing));
    }
  }
  for (std::size_t p = 0; p < parts.size(); ++p)
    standings[p] = groups[p].take();
  return standings;
}

void add_shared(Fleet& shared, const Context& context, const Fleet& tenants,
                const std::vector<std::uint32_t>& selected) {
  std::set<std::uint32_t> sites;
  for (const std::uint32_t i : selected) {
    if (tenants.schemas[i].site != 0)
      sites.insert(tenants.schemas[i].site);
  }
  for (const std::uint32_t site : sites)
    shared.add_away(tenants.sites[site - 1], context.settings.shared_schema);
  shared.sort();
}

}  // namespace tenantctl::cli
