#include "migrate/plan_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "migrate/autocommit_run.h"

namespace tenantctl {
namespace {

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 5;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < shown; ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > shown) {
    text += fmt::format(" and {} more", names.size() - shown);
  }
  return text;
}

std::string noun(const std::vector<std::string>& names) {
  return names.size() == 1 ? "revision" : "revisions";
}

std::string was(const std::vector<std::string>& names) {
  return names.size() == 1 ? "was" : "were";
}

RevisionNumber highest(const History& history) {
  RevisionNumber number = 0;
  for (const AppliedRevision& row : history) {
    number = std::max(number, row.number);
  }
  return number;
}

}  // namespace

void check_against(const RevisionFolder& folder, const History& history) {
  check_chain(history);
  std::vector<std::string> vanished;
  std::vector<std::string> edited;
  for (const AppliedRevision& row : revisions_of(history)) {
    const Revision* revision = folder.find(row.number);
    if (revision == nullptr) {
      vanished.push_back(row.name);
    } else if (revision->checksum != row.checksum && row.state == RowState::applied) {
      // What stopped half-way may be mended: its finished statements are checked one by one.
      edited.push_back(row.name);
    }
  }
  if (!vanished.empty()) {
    throw HistoryError(
        fmt::format("{} {} {} applied but not in the folder", noun(vanished), listed(vanished),
                    was(vanished)),
        "Restore the file, or check out the branch that this schema was upgraded from.");
  }
  if (!edited.empty()) {
    throw HistoryError(
        fmt::format("{} {} {} edited after being applied", noun(edited), listed(edited),
                    was(edited)),
        "Restore the file and put the change into a new revision, or record an intended edit with "
        "tenantctl accept-checksum.");
  }
}

void refuse_unfinished(const History& history, std::string_view act) {
  for (const AppliedRevision& row : history) {
    if (row.state == RowState::applied) {
      continue;
    }
    throw HistoryError(
        fmt::format("revision {} stopped half-way outside a transaction", row.name),
        fmt::format("Run {} again until it is finished, or say resolve, before another {}.",
                    row.reverting ? "downgrade" : "upgrade", act));
  }
}

void refuse_late(const std::vector<const Revision*>& pending, const History& history) {
  const RevisionNumber newest = highest(history);
  std::vector<std::string> late;
  for (const Revision* revision : pending) {
    if (revision->number < newest) {
      late.push_back(revision->title());
    }
  }
  if (late.empty()) {
    return;
  }
  throw HistoryError(
      fmt::format("{} {} came late: newer ones are applied already", noun(late), listed(late)),
      "Give the file a newer number, or apply it after them with --allow-out-of-order.");
}

void refuse_unknown(const Step& step) {
  const sql::Script& script = step.section().script;
  if (step.row.failed || step.row.confirmed >= script.statements().size() ||
      is_resumable(script, script.statements()[step.row.confirmed])) {
    return;
  }
  throw HistoryError(
      fmt::format("revision {} was interrupted at its statement {}: whether that ran is not known",
                  step.row.name, step.row.confirmed + 1),
      "Look at the schema, then say tenantctl resolve with --applied or --reverted.");
}

void check_shared(const Plan& plan, const std::function<bool(RevisionNumber)>& shared_has) {
  for (const Step& step : plan.steps) {
    if (step.kind != Step::Kind::upgrade) {
      continue;
    }
    for (const Requirement& requirement : step.revision->requires_shared) {
      if (shared_has(requirement.number)) {
        continue;
      }
      throw HistoryError(
          fmt::format("{} requires revision {} of the shared scope, which is not applied there",
                      step.revision->title(), requirement.number),
          "Bring the shared scope forward first: tenantctl upgrade --scope shared.",
          Place{.file = step.revision->file, .line = requirement.line, .column = 0, .text = {}});
    }
  }
}

}  // namespace tenantctl
