#include "output/move_writer.h"

#include <fmt/format.h>

#include <ostream>

#include "base/text.h"
#include "output/json_document.h"
#include "output/move_json.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

Json move_place_json(const MovePlace& place) {
  Json json{{"isolation", place.isolation}, {"schema", place.schema}};
  if (!place.is_here())
    json["database"] = place.database;
  return json;
}

Json sums_json(const std::vector<TableSum>& sums) {
  Json json = Json::array();
  for (const TableSum& sum : sums)
    json.push_back(Json{{"table", sum.table}, {"rows", sum.rows}, {"hash", sum.hash}});
  return json;
}

std::string told_tables(const MoveResult& result) {
  std::uint64_t rows = 0;
  for (const TableSum& sum : result.tables)
    rows += sum.rows;
  return fmt::format("{}, {}", counted(result.tables.size(), "table"), counted(rows, "row"));
}

}  // namespace

std::string place_text(const MovePlace& place) {
  if (place.is_home())
    return fmt::format("rows of {}", escaped_name(place.schema));
  return place.is_here() ? fmt::format("schema {}", escaped_name(place.schema))
                         : fmt::format("database {}", escaped_name(place.database));
}

nlohmann::ordered_json move_json(const TenantMove& move) {
  return {{"stage", to_text(move.stage)},
          {"from", move_place_json(move.source)},
          {"to", move_place_json(move.target)},
          {"since", move.since}};
}

std::string unended_text(const TenantMove& move) {
  constexpr std::int64_t day = 86'400;
  const std::string since =
      move.age < day ? "since " + move.since
                     : fmt::format("since {} ({})", move.since,
                                   counted(static_cast<std::size_t>(move.age / day), "day"));
  const std::string source = place_text(move.source);
  const std::string_view are = move.source.is_home() ? "are" : "is";
  switch (move.stage) {
    case TenantMove::Stage::copying:
      return fmt::format("moving to {} {}", place_text(move.target), since);
    case TenantMove::Stage::moved:
      return fmt::format("moved from {}, which {} kept {}", source, are, since);
    case TenantMove::Stage::confirming:
      return fmt::format("moved from {}, which {} half dropped {}", source, are, since);
    case TenantMove::Stage::undoing:
      break;
  }
  return fmt::format("moved back from {}, which {} half dropped {}", place_text(move.target),
                     move.target.is_home() ? "are" : "is", since);
}

std::string ending_text(const TenantMove& move) {
  const std::string_view way = move.stage == TenantMove::Stage::moved        ? "--confirm or --undo"
                               : move.stage == TenantMove::Stage::confirming ? "--confirm"
                                                                             : "--undo";
  return fmt::format("tenantctl tenant move {} {}", move.slug, way);
}

std::string sums_text(const std::vector<TableSum>& sums) { return sums_json(sums).dump(); }

std::vector<TableSum> parse_sums(const std::string& text) {
  std::vector<TableSum> sums;
  for (const Json& one : Json::parse(text)) {
    sums.push_back({.table = one.at("table"), .rows = one.at("rows"), .hash = one.at("hash")});
  }
  return sums;
}

void write_move(std::ostream& out, Format format, const MoveResult& result) {
  if (format == Format::json) {
    Json json = json_document("tenant move");
    json["tenant"] = result.tenant;
    json["action"] = result.action;
    json["from"] = move_place_json(result.source);
    json["to"] = move_place_json(result.target);
    json["tables"] = sums_json(result.tables);
    if (result.action == "confirmed")
      json["discarded"] = result.discarded;
    out << json_text(json) << '\n';
    return;
  }
  const std::string source = place_text(result.source);
  const std::string target = place_text(result.target);
  if (result.action == "moved") {
    out << fmt::format(
        "moved {0} from {1} to {2}: {3}, counts and hashes equal\n"
        "{1} {4} kept: tenantctl tenant move {0} --confirm drops what is left, --undo goes back\n",
        result.tenant, source, target, told_tables(result), result.source.is_home() ? "are" : "is");
  } else if (result.action == "confirmed") {
    out << fmt::format("confirmed {}: it lives in {}, {} dropped\n", result.tenant, target,
                       result.source.is_home() ? "its " + source + " are" : source + " is");
    for (const std::string& table : result.discarded)
      out << fmt::format("  lost what was written since: {}\n", escaped_name(table));
  } else {
    out << fmt::format("{} {}: it lives in {}, what {} had of it is gone\n", result.action,
                       result.tenant, source, target);
  }
}

}  // namespace tenantctl
