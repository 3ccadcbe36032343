#include "output/tenant_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "output/json_document.h"
#include "output/move_json.h"
#include "output/move_writer.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

Json result_json(const TenantResult& one) {
  Json json{{"tenant", one.tenant}, {"result", one.result}};
  if (!one.message.empty())
    json["message"] = one.message;
  if (!one.home.empty()) {
    json["home"] = one.home;
    json["tables"] = Json::array();
    for (const ErasedRows& table : one.erased)
      json["tables"].push_back(Json{{"table", table.table}, {"rows", table.rows}});
  }
  return json;
}

std::uint64_t rows_of(const TenantResult& one) {
  std::uint64_t rows = 0;
  for (const ErasedRows& table : one.erased)
    rows += table.rows;
  return rows;
}

void write_done(std::ostream& out, const TenantResult& one) {
  out << fmt::format("{} {}", one.result, escaped_name(one.tenant));
  if (!one.home.empty()) {
    out << fmt::format(": {} in {} of {}", counted(rows_of(one), "row"),
                       counted(one.erased.size(), "table"), escaped_name(one.home));
  }
  out << (one.message.empty() ? "" : ": " + told(one.message)) << '\n';
  for (const ErasedRows& table : one.erased) {
    if (table.rows > 0)
      out << fmt::format("  {}  {}\n", escaped_name(table.table), table.rows);
  }
}

}  // namespace

std::string_view action_of(const Installed& installed) {
  if (installed.before == 0)
    return "installed";
  return installed.before < installed.after ? "upgraded" : "unchanged";
}

void write_tenant_results(std::ostream& out, std::ostream& err, Format format,
                          std::string_view command, const std::vector<TenantResult>& results) {
  if (format == Format::json) {
    Json json = json_document(command);
    json["tenants"] = Json::array();
    for (const TenantResult& one : results)
      json["tenants"].push_back(result_json(one));
    out << json_text(json) << '\n';
    return;
  }
  for (const TenantResult& one : results) {
    if (!one.is_problem()) {
      write_done(out, one);
      continue;
    }
    err << fmt::format("tenantctl: {}: {}{}\n", escaped_name(one.tenant), one.result,
                       one.message.empty() ? "" : ": " + told(one.message));
  }
}

void write_seed_results(std::ostream& out, std::ostream& err, Format format,
                        const std::vector<TenantResult>& results) {
  if (format == Format::json) {
    Json json = json_document("tenant seed");
    json["tenants"] = Json::array();
    for (const TenantResult& one : results) {
      Json row = result_json(one);
      row["seeds"] = one.seeds;
      row["edited"] = one.edited;
      json["tenants"].push_back(std::move(row));
    }
    out << json_text(json) << '\n';
    return;
  }
  constexpr std::size_t most_lines = 20;
  std::size_t seeded = 0;
  std::size_t unchanged = 0;
  std::map<std::string, std::vector<std::string_view>> edited;
  std::map<std::string, std::vector<std::string_view>> problems;
  for (const TenantResult& one : results) {
    for (const std::string& seed : one.edited)
      edited[seed].push_back(one.tenant);
    if (one.is_problem()) {
      problems[fmt::format("{}: {}", one.result, told(one.message))].push_back(one.tenant);
    } else if (one.seeds.empty()) {
      ++unchanged;
    } else if (++seeded <= most_lines) {
      out << fmt::format("seeded {}: {}\n", escaped_name(one.tenant), fmt::join(one.seeds, ", "));
    }
  }
  const auto some = [](const std::vector<std::string_view>& tenants) {
    constexpr std::size_t shown = 10;
    std::string names;
    for (std::size_t i = 0; i < std::min(shown, tenants.size()); ++i)
      names += (i == 0 ? "" : ", ") + escaped_name(tenants[i]);
    return tenants.size() <= shown ? names
                                   : fmt::format("{} and {} more", names, tenants.size() - shown);
  };
  if (seeded > most_lines)
    out << fmt::format("and {} more\n", seeded - most_lines);
  if (unchanged > 0)
    out << fmt::format("unchanged: {}\n", counted(unchanged, "tenant"));
  for (const auto& [seed, tenants] : edited)
    out << fmt::format("edited since it ran: {} in {}\n", seed, some(tenants));
  for (const auto& [problem, tenants] : problems)
    err << fmt::format("tenantctl: {}: {}\n", some(tenants), problem);
}

void write_registry_findings(std::ostream& out, Format format, const RegistryFindings& findings) {
  using Named = std::pair<std::string_view, const std::vector<std::string>&>;
  if (format == Format::json) {
    Json json = json_document("registry check");
    for (const auto& [key, names] :
         {Named{"missing", findings.missing}, Named{"unversioned", findings.unversioned},
          Named{"unregistered", findings.unregistered}, Named{"unfinished", findings.unfinished},
          Named{"homeless", findings.homeless}, Named{"broken_homes", findings.broken_homes},
          Named{"broken_pool", findings.broken_pool},
          Named{"kept_too_long", findings.kept_too_long}, Named{"outdated", findings.outdated},
          Named{"unreached", findings.unreached}})
      json[std::string(key)] = names;
    json["kept"] = Json::array();
    for (const TenantMove& move : findings.kept) {
      Json one{{"tenant", move.slug}};
      one.update(move_json(move));
      json["kept"].push_back(std::move(one));
    }
    out << json_text(json) << '\n';
    return;
  }
  if (findings.is_empty())
    out << "registry and schemas agree\n";
  for (const auto& [what, names] :
       {Named{"registered, but there is no such schema, or database", findings.missing},
        Named{"registered, but the schema has no version table of ours", findings.unversioned},
        Named{"a version table, but not registered", findings.unregistered},
        Named{"provisioning, deleting or moving, and nobody is at it", findings.unfinished},
        Named{"shares rows in a schema that is no home of shared rows", findings.homeless},
        Named{"a home of shared rows that is not there, or not complete", findings.broken_homes},
        Named{"of the pool, but not there, or not complete", findings.broken_pool},
        Named{"has moved, and what it left is kept for too long", findings.kept_too_long},
        Named{"is not what the cluster's own registry says; registry sync reads it",
              findings.outdated},
        Named{"a cluster that has joined, but cannot be read", findings.unreached}}) {
    for (const std::string& name : names)
      out << fmt::format("{}: {}\n", escaped_name(name), what);
  }
  for (const TenantMove& move : findings.kept)
    out << fmt::format("{}: {}: {}\n", move.slug, unended_text(move), ending_text(move));
}

void write_registry_init(std::ostream& out, std::ostream& err, Format format,
                         const RegistryInit& result) {
  const std::string_view action = action_of(result.installed);
  if (format == Format::json) {
    Json json = json_document("registry init");
    json["action"] = action;
    json["version"] = result.installed.after;
    if (result.adopts) {
      json["adopted"] = result.adopted;
      json["known"] = result.known;
      json["skipped"] = result.skipped;
    }
    out << json_text(json) << '\n';
    return;
  }
  out << fmt::format("registry {}, version {}\n", action, result.installed.after);
  if (!result.adopts)
    return;
  out << fmt::format("{} adopted as ready, {} known before\n",
                     counted(result.adopted.size(), "tenant"), result.known.size());
  constexpr std::size_t shown = 10;
  for (std::size_t i = 0; i < std::min(shown, result.skipped.size()); ++i)
    err << fmt::format("tenantctl: {} cannot be registered under its name\n",
                       escaped_name(result.skipped[i]));
  if (result.skipped.size() > shown)
    err << fmt::format("tenantctl: nor can {} more\n", result.skipped.size() - shown);
  if (!result.skipped.empty())
    err << "HINT: A slug is a lower-case letter, then a-z, 0-9, _ and -, and nobody else's.\n";
}

void write_pool(std::ostream& out, Format format, const PoolResult& result) {
  if (format == Format::json) {
    Json json = json_document("tenant pool");
    json["ready"] = result.ready;
    json["made"] = result.made;
    json["removed"] = result.removed;
    out << json_text(json) << '\n';
    return;
  }
  out << fmt::format("pool: {} ready ({} made, {} removed)\n", result.ready, result.made.size(),
                     result.removed.size());
}

void write_claimed(std::ostream& out, Format format, const std::string& slug,
                   const std::string& schema) {
  if (format == Format::json) {
    Json json = json_document("tenant create");
    json["isolation"] = "schema";
    json["from_pool"] = true;
    json["tenants"] = Json::array();
    json["tenants"].push_back(Json{{"tenant", slug}, {"schema", schema}, {"result", "ready"}});
    out << json_text(json) << '\n';
    return;
  }
  out << fmt::format("ready {}, from the pool\n", escaped_name(slug));
}

}  // namespace tenantctl
