#include "output/life_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ostream>
#include <utility>

#include "base/text.h"
#include "output/json_document.h"
#include "output/move_json.h"
#include "output/move_writer.h"
#include "output/table.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

// The metadata are the server's own jsonb, hence valid.
Json metadata_of(const RegisteredTenant& tenant) {
  Json metadata = Json::parse(tenant.metadata, nullptr, false);
  return metadata.is_object() ? metadata : Json::object();
}

std::string reason_of(const RegisteredTenant& tenant) {
  const Json metadata = metadata_of(tenant);
  const auto own = metadata.find("tenantctl");
  return own != metadata.end() && own->is_object() ? own->value("reason", "") : "";
}

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json registered_json(const RegisteredTenant& tenant) {
  return {{"id", tenant.id},
          {"slug", tenant.slug},
          {"name", tenant.name},
          {"tier", tenant.tier},
          {"isolation", tenant.isolation},
          {"database", or_null(tenant.database)},
          {"cluster", or_null(tenant.cluster)},
          {"state", tenant.state},
          {"reason", or_null(reason_of(tenant))},
          {"state_since", tenant.state_since},
          {"created_at", tenant.created_at}};
}

Json registered_json(const std::optional<RegisteredTenant>& tenant) {
  return tenant ? registered_json(*tenant) : Json(nullptr);
}

std::string place_of(const std::string& schema, const std::optional<RegisteredTenant>& tenant) {
  std::string place = tenant && tenant->shares_rows() ? "rows of " : "";
  if (!schema.empty())
    place += "schema " + escaped_name(schema);
  const auto add = [&place](std::string_view sort, const std::string& name) {
    if (!name.empty())
      place += fmt::format("{}{} {}", place.empty() ? "" : ", ", sort, escaped_name(name));
  };
  if (tenant) {
    add("database", tenant->database);
    add("cluster", tenant->cluster);
  }
  return place;
}

using Lines = std::vector<std::vector<std::string>>;

void add_row_lines(Lines& lines, const RegisteredTenant& tenant) {
  const std::string reason = reason_of(tenant);
  lines.push_back({"slug", tenant.slug});
  lines.push_back({"id", tenant.id});
  lines.push_back({"name", escaped_name(tenant.name)});
  lines.push_back({"tier", escaped_name(tenant.tier)});
  lines.push_back({"isolation", tenant.isolation});
  lines.push_back({"state", fmt::format("{} since {}{}", tenant.state, tenant.state_since,
                                        reason.empty() ? "" : ": " + escaped_name(reason))});
  lines.push_back({"created", tenant.created_at});
  if (!tenant.runtime_role.empty())
    lines.push_back({"runtime role", escaped_name(tenant.runtime_role)});
  Json metadata = metadata_of(tenant);
  metadata.erase("tenantctl");
  if (!metadata.empty())
    lines.push_back({"metadata", escaped_name(metadata.dump())});
}

std::string pending_text(const TenantView& view) {
  if (view.pending == 0 && view.repeatables_pending == 0)
    return "nothing";
  std::string text = counted(*view.pending, "revision");
  if (view.repeatables_pending > 0)
    text += ", " + counted(view.repeatables_pending, "repeatable");
  return text;
}

Json seeds_json(const TenantView& view) {
  if (!view.seeds)
    return nullptr;
  Json json{{"applied", Json::array()}, {"pending", view.seeds->pending}};
  for (const SeedView::Applied& seed : view.seeds->applied) {
    json["applied"].push_back(Json{{"name", seed.name},
                                   {"applied_at", seed.at},
                                   {"applied_by", seed.by},
                                   {"edited", seed.is_edited}});
  }
  return json;
}

void add_seed_lines(Lines& lines, const SeedView& seeds) {
  for (const SeedView::Applied& seed : seeds.applied) {
    lines.push_back(
        {"seed", fmt::format("{}, {} by {}{}", escaped_name(seed.name), seed.at,
                             escaped_name(seed.by), seed.is_edited ? "; edited since" : "")});
  }
  for (const std::string& name : seeds.pending)
    lines.push_back({"seed", fmt::format("{}, pending", escaped_name(name))});
}

Json view_json(const TenantView& view) {
  Json json = json_document("tenant show");
  json["schema"] = or_null(view.schema);
  json["state"] = view.state;
  json["revision"] = view.revision;
  json["applied"] = view.applied;
  json["pending"] = view.pending ? Json(*view.pending) : Json(nullptr);
  json["repeatables_pending"] = view.repeatables_pending;
  json["digest"] = or_null(view.digest);
  json["note"] = or_null(view.note);
  if (view.facts) {
    json["owner"] = view.facts->owner;
    json["tables"] = view.facts->tables;
    json["relations"] = view.facts->relations;
    json["bytes"] = view.facts->bytes ? Json(*view.facts->bytes) : Json(nullptr);
  }
  json["seeds"] = seeds_json(view);
  if (!view.has_registry)
    return json;
  json["registered"] = registered_json(view.registered);
  if (view.registered) {
    json["registered"]["runtime_role"] = or_null(view.registered->runtime_role);
    json["registered"]["metadata"] = metadata_of(*view.registered);
  }
  json["disagreements"] = view.disagreements;
  json["move"] = view.move ? move_json(*view.move) : Json(nullptr);
  return json;
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> units{"kB", "MB", "GB", "TB", "PB"};
  constexpr double step = 1024;
  double value = static_cast<double>(bytes) / step;
  if (value < 1)
    return counted(bytes, "byte");
  std::size_t unit = 0;
  for (; value >= step && unit + 1 < units.size(); ++unit)
    value /= step;
  return fmt::format("{:.1f} {}", value, units.at(unit));
}

void write_tenants(std::ostream& out, Format format, const TenantList& list) {
  if (format == Format::json) {
    Json json = json_document("tenant list");
    json["tenants"] = Json::array();
    for (const TenantList::Tenant& tenant : list.tenants) {
      Json one{{"schema", tenant.schema}, {"revision", tenant.revision}, {"state", tenant.state}};
      if (list.has_registry)
        one["registered"] = registered_json(tenant.registered);
      if (tenant.move)
        one["move"] = move_json(*tenant.move);
      if (tenant.dropped) {
        one["name"] = tenant.dropped->name;
        one["dropped_at"] = tenant.dropped->at;
      }
      json["tenants"].push_back(std::move(one));
    }
    out << json_text(json) << '\n';
    return;
  }
  Lines rows;
  if (list.has_registry && !list.tenants.empty())
    rows.push_back({"schema", "revision", "mark", "slug", "tier", "isolation", "state"});
  for (const TenantList::Tenant& tenant : list.tenants) {
    std::vector<std::string> cells{escaped_name(tenant.schema), tenant.revision, tenant.state};
    if (tenant.registered) {
      const RegisteredTenant& row = *tenant.registered;
      cells.insert(cells.end(), {row.slug, escaped_name(row.tier), row.isolation, row.state});
    } else if (list.has_registry) {
      const bool is_place = tenant.state == "home" || tenant.state == "pool";
      cells.insert(cells.end(), {"-", "-", tenant.state == "home" ? "rows" : "-",
                                 is_place ? "-" : "not registered"});
    }
    if (tenant.dropped)
      cells.push_back(
          fmt::format("was {} until {}", escaped_name(tenant.dropped->name), tenant.dropped->at));
    if (tenant.move)
      cells.push_back(unended_text(*tenant.move));
    rows.push_back(std::move(cells));
  }
  write_table(out, rows);
}

void write_tenant_view(std::ostream& out, Format format, const TenantView& view) {
  if (format == Format::json) {
    out << json_text(view_json(view)) << '\n';
    return;
  }
  Lines lines;
  lines.push_back({"place", place_of(view.schema, view.registered)});
  lines.push_back({"mark", view.state});
  lines.push_back({"revision", view.revision});
  if (view.revision != "-") {
    lines.push_back({"applied", counted(view.applied, "revision")});
    if (view.pending)
      lines.push_back({"pending", pending_text(view)});
  }
  if (!view.note.empty())
    lines.push_back({"note", told(view.note)});
  if (view.facts) {
    lines.push_back({"owner", escaped_name(view.facts->owner)});
    lines.push_back({"tables", fmt::to_string(view.facts->tables)});
    lines.push_back({"size", view.facts->bytes ? size_text(*view.facts->bytes)
                                               : "not known: a table is locked"});
  }
  if (view.seeds)
    add_seed_lines(lines, *view.seeds);
  if (view.registered)
    add_row_lines(lines, *view.registered);
  if (view.move) {
    lines.push_back(
        {"move", fmt::format("{}: {}", unended_text(*view.move), ending_text(*view.move))});
  }
  for (const std::string& disagreement : view.disagreements)
    lines.push_back({"registry", disagreement});
  write_table(out, lines);
}

namespace {

Json texts_json(const std::vector<StoredText>& texts) {
  Json json = Json::array();
  for (const StoredText& text : texts)
    json.push_back(Json{{"kind", text.kind}, {"name", text.name}});
  return json;
}

void write_texts(std::ostream& err, const TenantRename& result, std::string_view undone) {
  if (result.texts.empty())
    return;
  err << fmt::format("tenantctl: {}: {} {} the name{}\n", escaped_name(result.from),
                     counted(result.texts.size(), "stored text"),
                     result.texts.size() == 1 ? "says" : "say",
                     result.is_done() ? "" : fmt::format("; {}", undone));
  constexpr std::size_t shown = 50;
  for (std::size_t i = 0; i < std::min(shown, result.texts.size()); ++i)
    err << fmt::format("  {} {}\n", result.texts[i].kind, escaped_name(result.texts[i].name));
  if (result.texts.size() > shown)
    err << fmt::format("  and {} more\n", result.texts.size() - shown);
  err << "HINT: A text does not follow another name, unlike what PostgreSQL keeps by oid: mend it"
      << (result.is_done() ? ".\n" : ", or say --force.\n");
}

}  // namespace

void write_rename(std::ostream& out, std::ostream& err, Format format, const TenantRename& result) {
  if (format == Format::json) {
    Json json = json_document("tenant rename");
    json["from"] = result.from;
    json["to"] = result.to;
    json["isolation"] = result.isolation;
    json["renamed"] = result.is_done();
    json["database"] = nullptr;
    if (result.database)
      json["database"] = Json{{"from", result.database->from}, {"to", result.database->to}};
    json["texts"] = texts_json(result.texts);
    out << json_text(json) << '\n';
    return;
  }
  if (result.is_done())
    out << fmt::format("renamed {} to {}\n", escaped_name(result.from), escaped_name(result.to));
  if (result.database) {
    out << fmt::format("renamed database {} to {}\n", escaped_name(result.database->from),
                       escaped_name(result.database->to));
  } else if (result.isolation == "database") {
    out << "its database keeps its name\n";
  }
  write_texts(err, result, "nothing was changed");
}

void write_copy(std::ostream& out, std::ostream& err, Format format, std::string_view command,
                const TenantClone& copy) {
  if (format == Format::json) {
    Json json = json_document(command);
    json["from"] = copy.from;
    json["schema"] = copy.to;
    json["made"] = copy.is_done();
    json["texts"] = texts_json(copy.texts);
    out << json_text(json) << '\n';
    return;
  }
  if (copy.is_done())
    out << fmt::format("made {} from {}\n", escaped_name(copy.to), escaped_name(copy.from));
  write_texts(err, copy, "nothing was made");
}

void write_export(std::ostream& out, Format format, const TenantExport& result) {
  const TenantFileHeader& header = result.header;
  if (format == Format::json) {
    Json json = json_document("tenant export");
    json["schema"] = header.schema;
    json["slug"] = or_null(header.slug);
    json["file"] = result.file;
    json["mark"] = or_null(header.mark);
    json["created_at"] = header.created_at;
    json["server_version"] = header.server_version;
    json["bytes"] = header.payload_size;
    json["sha256"] = header.sha256;
    out << json_text(json) << '\n';
    return;
  }
  out << fmt::format("exported {} to {}: {}, sha256 {}\n", escaped_name(header.schema),
                     escaped_name(result.file), size_text(header.payload_size), header.sha256);
}

}  // namespace tenantctl
