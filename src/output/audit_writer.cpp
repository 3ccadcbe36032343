#include "output/audit_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <span>

#include "base/text.h"
#include "output/json_document.h"

namespace tenantctl {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t shown_findings = 10;

// The findings of one rule stand together.
std::span<const AuditFinding> findings_of(const AuditReport& report, const AuditRule& rule) {
  const auto is_rule = [&rule](const AuditFinding& finding) { return finding.rule == &rule; };
  const auto begin = std::find_if(report.findings.begin(), report.findings.end(), is_rule);
  const auto end = std::find_if_not(begin, report.findings.end(), is_rule);
  return {begin, end};
}

void write_rule(std::ostream& out, const AuditRule& rule, std::span<const AuditFinding> findings,
                bool lists_all) {
  out << fmt::format("{} {}: {} ({})\n", rule.id, to_text(rule.severity), rule.title,
                     counted(findings.size(), "finding"));
  const std::size_t shown = lists_all ? findings.size() : std::min(findings.size(), shown_findings);
  for (const AuditFinding& finding : findings.first(shown)) {
    const bool is_itself = finding.object == finding.subject || finding.object.empty();
    out << fmt::format("  {}{}: {}\n", escaped_name(finding.subject),
                       is_itself ? "" : " on " + escaped_name(finding.object),
                       told(single_line(finding.detail)));
  }
  if (shown < findings.size()) {
    out << fmt::format("  ... and {} more; --all names them\n", findings.size() - shown);
  }
  out << fmt::format("  HINT: {}\n", rule.hint);
}

void write_probe(std::ostream& out, const ProbeReport& probe) {
  out << fmt::format("probe    {} of {} pairs tried with --seed {}: {}, {} denied\n", probe.pairs,
                     probe.possible, probe.seed, counted(probe.attempts, "attempt"), probe.denied);
}

void write_text(std::ostream& out, const AuditResult& result) {
  const AuditReport& report = *result.report;
  for (const AuditRule& rule : audit_rules()) {
    const auto findings = findings_of(report, rule);
    if (!findings.empty()) {
      write_rule(out, rule, findings, result.lists_all);
    }
  }
  for (const AuditReport::NotJudged& one : report.not_judged) {
    out << fmt::format("not judged: {} ({}): {}\n", one.rule->id, one.rule->title, one.why);
  }
  for (const std::string& note : report.notes) {
    out << "note: " << note << '\n';
  }
  if (result.probe != nullptr) {
    write_probe(out, *result.probe);
  }
  out << fmt::format("audit    {}{} in {}, {} and {}\n", counted(report.findings.size(), "finding"),
                     report.ignored == 0 ? "" : fmt::format(" ({} ignored)", report.ignored),
                     counted(report.schemas, "tenant's schema", "tenants' schemas"),
                     counted(report.homes, "home of shared rows", "homes of shared rows"),
                     counted(report.roles, "tenant's role", "tenants' roles"));
}

Json finding_json(const AuditFinding& finding) {
  return {{"rule", finding.rule->id},   {"severity", to_text(finding.rule->severity)},
          {"subject", finding.subject}, {"object", finding.object},
          {"detail", finding.detail},   {"hint", finding.rule->hint}};
}

Json rules_json(const AuditResult& result) {
  Json rules = Json::array();
  for (const AuditRule& rule : audit_rules()) {
    Json one{{"rule", rule.id}, {"title", rule.title}, {"severity", to_text(rule.severity)}};
    const auto& not_judged = result.report->not_judged;
    const auto at = std::find_if(not_judged.begin(), not_judged.end(),
                                 [&rule](const auto& other) { return other.rule == &rule; });
    const bool is_probed = rule.judge != nullptr || result.probe != nullptr;
    one["judged"] = at == not_judged.end() && is_probed;
    if (at != not_judged.end()) {
      one["why_not"] = at->why;
    } else if (!is_probed) {
      one["why_not"] = "--probe was not given";
    }
    one["findings"] = findings_of(*result.report, rule).size();
    rules.push_back(std::move(one));
  }
  return rules;
}

Json audit_json(const AuditResult& result) {
  const AuditReport& report = *result.report;
  Json json = json_document("audit isolation");
  json["registry"] = result.has_registry;
  json["schemas"] = report.schemas;
  json["homes"] = report.homes;
  json["roles"] = report.roles;
  json["rules"] = rules_json(result);
  json["notes"] = report.notes;
  json["ignored"] = report.ignored;
  if (const ProbeReport* probe = result.probe) {
    // As text: a program that reads numbers as floating ones would lose the seed's last digits.
    json["probe"] = {{"seed", std::to_string(probe->seed)},
                     {"possible", probe->possible},
                     {"pairs", probe->pairs},
                     {"attempts", probe->attempts},
                     {"denied", probe->denied}};
  }
  json["findings"] = Json::array();
  for (const AuditFinding& finding : report.findings) {
    json["findings"].push_back(finding_json(finding));
  }
  return json;
}

}  // namespace

void write_audit(std::ostream& out, Format format, const AuditResult& result) {
  if (format == Format::json) {
    out << json_text(audit_json(result)) << '\n';
  } else {
    write_text(out, result);
  }
}

}  // namespace tenantctl
