#include "migrate/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/checksum.h"
#include "revision/file_name.h"

namespace tenantctl {

std::string_view to_text(RowState state) {
  switch (state) {
    case RowState::applied:
      return "applied";
    case RowState::running:
      return "running";
    case RowState::needs_decision:
      return "needs-decision";
  }
  return "";
}

std::string next_digest(std::string_view previous, RevisionNumber number,
                        std::string_view checksum) {
  return sha256_hex(fmt::format("{}\n{} {}\n", previous, number, checksum));
}

std::string statements_digest(const Section& section, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count && i < section.script.statements().size(); ++i) {
    const sql::Statement& statement = section.script.statements()[i];
    text += section.script.text().substr(statement.begin, statement.end - statement.begin) + ";\n";
  }
  return sha256_hex(text);
}

History revisions_of(const History& history) {
  History revisions;
  std::copy_if(history.begin(), history.end(), std::back_inserter(revisions),
               [](const AppliedRevision& row) { return !row.is_repeatable(); });
  return revisions;
}

History repeatables_of(const History& history) {
  History repeatables;
  std::copy_if(history.begin(), history.end(), std::back_inserter(repeatables),
               [](const AppliedRevision& row) { return row.is_repeatable(); });
  return repeatables;
}

std::string newest_digest(const History& history) {
  const auto newest = std::find_if(history.rbegin(), history.rend(),
                                   [](const AppliedRevision& row) { return !row.is_repeatable(); });
  return newest == history.rend() ? "" : newest->digest;
}

std::string repeatables_digest(const History& history) {
  const bool has_any = !history.empty() && history.back().is_repeatable();
  return has_any ? history.back().digest : "";
}

AppliedRevision repeatable_row(const Revision& repeatable) {
  AppliedRevision row;
  row.number = repeatable.number;
  row.position = first_repeatable - repeatable.number;
  row.name = repeatable.slug;
  row.checksum = repeatable.checksum;
  return row;
}

void rechain(History& history) {
  std::string revisions;
  std::string repeatables;
  for (std::size_t i = 0; i < history.size(); ++i) {
    AppliedRevision& row = history[i];
    std::string& digest = row.is_repeatable() ? repeatables : revisions;
    if (row.is_repeatable()) {
      row.number = repeatable_number(row.name);
    }
    row.position =
        row.is_repeatable() ? first_repeatable - row.number : static_cast<std::int64_t>(i) + 1;
    digest = next_digest(digest, row.number, row.checksum);
    row.digest = digest;
  }
}

void check_chain(const History& history) {
  History expected = history;
  rechain(expected);
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (history[i].position == expected[i].position && history[i].digest == expected[i].digest) {
      continue;
    }
    throw HistoryError(
        fmt::format("the version table does not add up at {} {}",
                    history[i].is_repeatable() ? "repeatable" : "revision", history[i].name),
        "Its rows were changed by hand. Find out what the schema really holds, then record it with "
        "tenantctl stamp.");
  }
}

History history_of(const RevisionFolder& folder, std::size_t count) {
  History history;
  for (std::size_t i = 0; i < count; ++i) {
    const Revision& revision = folder.revisions()[i];
    AppliedRevision row;
    row.number = revision.number;
    row.name = revision.title();
    row.checksum = revision.checksum;
    history.push_back(std::move(row));
  }
  rechain(history);
  return history;
}

}  // namespace tenantctl
