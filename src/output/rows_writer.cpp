#include "output/rows_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"
#include "output/folder_writer.h"
#include "output/json_document.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

void write_rows_created(std::ostream& out, Format format, const RowsCreated& created) {
  if (format == Format::json) {
    Json json = json_document("tenant create");
    json["isolation"] = "rows";
    json["home"] = created.home;
    json["home_is_new"] = created.home_is_new;
    json["tenants"] = Json::array();
    for (const std::string& slug : created.slugs)
      json["tenants"].push_back(Json{{"tenant", slug}, {"result", "ready"}});
    out << json_text(json) << '\n';
    return;
  }
  if (created.home_is_new)
    out << fmt::format("home {} is ready\n", escaped_name(created.home));
  constexpr std::size_t shown = 10;
  for (std::size_t i = 0; i < std::min(shown, created.slugs.size()); ++i)
    out << fmt::format("ready {}\n", escaped_name(created.slugs[i]));
  if (created.slugs.size() > shown)
    out << fmt::format("and {} more, to {}\n", created.slugs.size() - shown, created.slugs.back());
}

void write_rows_protected(std::ostream& out, Format format, const RowsProtected& result) {
  if (format == Format::json) {
    Json json = json_document("rows protect");
    json["home"] = result.home;
    json["tables"] = result.tables;
    json["files"] = result.files;
    json["warnings"] = result.warnings;
    out << json_text(json) << '\n';
    return;
  }
  if (result.files.empty()) {
    out << fmt::format("nothing to protect in home {}\n", escaped_name(result.home));
    return;
  }
  for (const std::string& file : result.files)
    out << fmt::format("wrote {}\n", escaped_name(file));
  out << fmt::format("{} of home {} protected by them, once they are applied\n",
                     counted(result.tables.size(), "table"), escaped_name(result.home));
  constexpr std::size_t shown = 10;
  for (std::size_t i = 0; i < std::min(shown, result.warnings.size()); ++i)
    out << fmt::format("left to you: {}\n", escaped_name(result.warnings[i]));
  if (result.warnings.size() > shown)
    out << fmt::format("and {} more, in the first file\n", result.warnings.size() - shown);
}

}  // namespace tenantctl
