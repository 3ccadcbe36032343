#include "output/folder_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"
#include "output/json_document.h"
#include "output/table.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

const AppliedRevision* find_row(const HistoryResult& result, RevisionNumber number) {
  if (result.applied == nullptr) {
    return nullptr;
  }
  const auto at =
      std::find_if(result.applied->begin(), result.applied->end(),
                   [number](const AppliedRevision& row) { return row.number == number; });
  return at == result.applied->end() ? nullptr : &*at;
}

std::string row_text(const HistoryResult& result, const Revision& revision) {
  if (result.applied == nullptr) {
    return "";
  }
  const AppliedRevision* row = find_row(result, revision.number);
  if (row == nullptr) {
    return "pending";
  }
  if (row->state != RowState::applied) {
    return std::string(to_text(row->state));
  }
  return row->checksum == revision.checksum ? "applied" : "applied, edited since";
}

// What is pending of a repeatable says so, whether it is new or changed.
std::string repeatable_text(const HistoryResult& result, const Revision& repeatable) {
  const AppliedRevision* row = find_row(result, repeatable.number);
  if (row == nullptr) {
    return "pending";
  }
  return row->checksum == repeatable.checksum ? "applied" : "pending, changed since";
}

// Recorded, but their files are gone.
History gone_repeatables(const HistoryResult& result) {
  History gone;
  if (result.applied != nullptr) {
    gone = repeatables_of(*result.applied);
  }
  std::erase_if(gone, [&result](const AppliedRevision& row) {
    return result.folder->find_repeatable(row.name) != nullptr;
  });
  return gone;
}

constexpr auto gone_text = "applied, file gone";

Json repeatables_json(const HistoryResult& result) {
  Json json = Json::array();
  for (const Revision& repeatable : result.folder->repeatables()) {
    Json one;
    one["name"] = repeatable.title();
    one["file"] = repeatable.file;
    one["checksum"] = repeatable.checksum;
    if (result.applied != nullptr) {
      one["state"] = repeatable_text(result, repeatable);
    }
    json.push_back(one);
  }
  for (const AppliedRevision& row : gone_repeatables(result)) {
    json.push_back(Json{{"name", row.name}, {"checksum", row.checksum}, {"state", gone_text}});
  }
  return json;
}

void add_repeatable_rows(const HistoryResult& result, std::vector<std::vector<std::string>>& rows) {
  for (const Revision& repeatable : result.folder->repeatables()) {
    std::vector<std::string> row{"-", repeatable.title()};
    if (result.applied != nullptr) {
      row.push_back(repeatable_text(result, repeatable));
    }
    row.emplace_back("repeatable");
    rows.push_back(std::move(row));
  }
  for (const AppliedRevision& row : gone_repeatables(result)) {
    rows.push_back({"-", escaped(row.name), gone_text, "repeatable"});
  }
}

std::string current_text(const CurrentResult::Schema& schema) {
  std::string text = fmt::format("{} applied, {} pending", schema.applied, schema.pending);
  const std::size_t repeatables = schema.repeatables_applied + schema.repeatables_pending;
  if (repeatables > 0) {
    text += fmt::format("; {}, {} pending", counted(repeatables, "repeatable"),
                        schema.repeatables_pending);
  }
  return text;
}

Json revision_json(const Revision& revision) {
  Json json;
  if (!revision.is_repeatable()) {
    json["number"] = revision.number;
  }
  json["revision"] = revision.title();
  json["file"] = revision.file;
  json["checksum"] = revision.checksum;
  json["transaction"] = revision.up.transaction;
  json["reversible"] = revision.down.has_value();
  return json;
}

Json history_json(const HistoryResult& result) {
  Json json = json_document("history");
  json["scope"] = to_text(result.folder->scope());
  if (!result.schema.empty()) {
    json["schema"] = result.schema;
  }
  json["revisions"] = Json::array();
  for (const Revision& revision : result.folder->revisions()) {
    Json one = revision_json(revision);
    if (result.applied != nullptr) {
      one["state"] = row_text(result, revision);
    }
    json["revisions"].push_back(one);
  }
  json["repeatables"] = repeatables_json(result);
  return json;
}

std::string section_note(const Section& section) {
  return fmt::format("{}{}{}", counted(section.script.statements().size(), "statement"),
                     section.transaction ? "" : ", outside a transaction",
                     section.dropped_transaction ? ", its own BEGIN and COMMIT left out" : "");
}

void write_names(std::ostream& out, std::string_view verb, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    out << fmt::format("{} {}\n", verb, escaped_name(name));
  }
}

}  // namespace

void write_init(std::ostream& out, Format format, const InitResult& result) {
  if (format == Format::json) {
    Json json = json_document("init");
    json["made"] = result.made;
    json["kept"] = result.kept;
    out << json_text(json) << '\n';
    return;
  }
  write_names(out, "made", result.made);
  write_names(out, "kept", result.kept);
  out << "Next: tenantctl revision \"create customers\" --scope tenant\n";
}

void write_revision_file(std::ostream& out, Format format, const std::string& path, Scope scope) {
  if (format == Format::json) {
    Json json = json_document("revision");
    json["file"] = path;
    json["scope"] = to_text(scope);
    out << json_text(json) << '\n';
    return;
  }
  out << path << '\n';
}

void write_history(std::ostream& out, Format format, const HistoryResult& result) {
  if (format == Format::json) {
    out << json_text(history_json(result)) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Revision& revision : result.folder->revisions()) {
    std::string notes = revision.down ? "" : "irreversible";
    if (!revision.up.transaction) {
      notes += notes.empty() ? "no transaction" : ", no transaction";
    }
    std::vector<std::string> row{revision.digits, revision.slug};
    if (result.applied != nullptr) {
      row.push_back(row_text(result, revision));
    }
    row.push_back(notes);
    rows.push_back(std::move(row));
  }
  add_repeatable_rows(result, rows);
  if (rows.empty()) {
    out << fmt::format("no revision in the {} scope\n", to_text(result.folder->scope()));
    return;
  }
  write_table(out, rows);
}

void write_revision_text(std::ostream& out, Format format, const Revision& revision) {
  if (format == Format::json) {
    Json json = json_document("show");
    json.update(revision_json(revision));
    json["repeatable"] = revision.is_repeatable();
    json["scope"] = to_text(revision.scope);
    json["up"] = revision.up.sql;
    if (revision.down) {
      json["down"] = revision.down->sql;
    }
    out << json_text(json) << '\n';
    return;
  }
  const std::string_view kind = revision.is_repeatable() ? "repeatable" : "revision";
  const std::string_view no_down =
      revision.is_repeatable() ? "none: applied again when it changes" : "none: irreversible";
  out << fmt::format("{:9} {}\nscope     {}\nfile      {}\nchecksum  {}\nup        {}\n", kind,
                     revision.title(), to_text(revision.scope), escaped_name(revision.file),
                     revision.checksum, section_note(revision.up));
  out << fmt::format("down      {}\n\n",
                     revision.down ? section_note(*revision.down) : std::string(no_down));
  out << "-- migrate:up\n" << escaped(revision.up.sql);
  if (revision.down) {
    out << "\n-- migrate:down\n" << escaped(revision.down->sql);
  }
}

void write_current(std::ostream& out, Format format, const CurrentResult& result) {
  if (format == Format::json) {
    Json json = json_document("current");
    json["schemas"] = Json::array();
    for (const CurrentResult::Schema& schema : result.schemas) {
      Json one;
      one["schema"] = schema.schema;
      one["revision"] = schema.revision;
      one["applied"] = schema.applied;
      one["pending"] = schema.pending;
      one["repeatables"] =
          Json{{"applied", schema.repeatables_applied}, {"pending", schema.repeatables_pending}};
      one["digest"] = schema.digest;
      if (!schema.note.empty()) {
        one["note"] = schema.note;
      }
      json["schemas"].push_back(one);
    }
    out << json_text(json) << '\n';
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const CurrentResult::Schema& schema : result.schemas) {
    rows.push_back({escaped_name(schema.schema), schema.revision,
                    schema.note.empty() ? current_text(schema) : escaped(schema.note)});
  }
  write_table(out, rows);
}

}  // namespace tenantctl
