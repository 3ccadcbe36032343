#include "migrate/history.h"

#include <fmt/format.h>

#include "base/checksum.h"

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

void rechain(History& history) {
  std::string digest;
  for (std::size_t i = 0; i < history.size(); ++i) {
    AppliedRevision& row = history[i];
    digest = next_digest(digest, row.number, row.checksum);
    row.position = static_cast<std::int64_t>(i) + 1;
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
        fmt::format("the version table does not add up at revision {}", history[i].name),
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
