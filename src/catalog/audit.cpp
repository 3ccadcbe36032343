#include "catalog/audit.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <tuple>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"
#include "catalog/judgement.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

using Needs = AuditRule::Needs;

// Empty if the rule can be judged.
std::string obstacle(const AuditRule& rule, const AuditFacts& facts) {
  switch (rule.needs) {
    case Needs::nothing:
      return "";
    case Needs::registry:
      return facts.input().has_registry ? "" : "there is no registry";
    case Needs::roles:
      if (!facts.input().has_registry) {
        return "there is no registry, so no tenant's role is known";
      }
      return facts.tenant_roles().empty() ? "the registry names no tenant's role" : "";
    case Needs::rows:
      return facts.rows_oids() == "{}" ? "no home of shared rows is known" : "";
    case Needs::probe:
      break;
  }
  return "nothing was probed";
}

void add_notes(AuditReport& report, const AuditFacts& facts) {
  std::size_t elsewhere = 0;
  std::size_t without_role = 0;
  for (const AuditedTenant& tenant : facts.input().tenants) {
    elsewhere += facts.is_here(tenant) ? 0 : 1;
    without_role += facts.is_here(tenant) && tenant.is_registered() && tenant.role.empty() ? 1 : 0;
  }
  if (elsewhere > 0) {
    report.notes.push_back(
        fmt::format("{} in other databases: only their registry entries and "
                    "roles' names were looked at; audit those databases too",
                    counted(elsewhere, "tenant is", "tenants are")));
  }
  if (without_role > 0) {
    report.notes.push_back(
        fmt::format("{} without a runtime role in the registry: what those "
                    "tenants' sessions may do is not judged",
                    counted(without_role, "tenant is", "tenants are")));
  }
}

void count_audited(AuditReport& report, const AuditFacts& facts) {
  for (const auto& [oid, schema] : facts.schemas()) {
    ++(schema.is_rows ? report.homes : report.schemas);
  }
  report.roles = facts.tenant_roles().size();
}

}  // namespace

std::string_view to_text(Severity severity) {
  return severity == Severity::error ? "error" : "warning";
}

const std::vector<AuditRule>& audit_rules() {
  using enum Severity;
  static const std::vector<AuditRule> rules{
      {"A0", "one role works for several tenants' schemas",
       "The database cannot keep these tenants apart: give each a role of its own, or accept it "
       "with --ignore A0.",
       error, Needs::roles, judge_shared_roles},
      {"A1", "registry and catalog disagree",
       "Mend the registry's row, or bring back what it names.", error, Needs::registry,
       judge_registry},
      {"A2", "a tenant's role has rights on another tenant's schema",
       "REVOKE ALL ON SCHEMA ... FROM that role.", error, Needs::roles, judge_schema_grants},
      {"A3", "a tenant's role has rights on another tenant's relations or columns",
       "REVOKE them from that role; a column's rights are revoked by column.", error, Needs::roles,
       judge_relation_grants},
      {"A4", "a tenant's role has an attribute or membership that steps around rights",
       "ALTER ROLE ... without the attribute, or REVOKE the membership.", error, Needs::roles,
       judge_role_powers},
      {"A5", "PUBLIC has rights in a tenant's schema", "REVOKE ALL ... FROM PUBLIC.", error,
       Needs::nothing, judge_public_grants},
      {"A6", "somebody else than the owner may create in a schema in which revisions resolve names",
       "REVOKE CREATE ON SCHEMA: what is planted there runs as the migrating role.", error,
       Needs::nothing, judge_planting},
      {"A7", "a SECURITY DEFINER function can be turned against its owner",
       "ALTER FUNCTION ... SET search_path = pg_catalog, pg_temp; REVOKE EXECUTE ... FROM PUBLIC.",
       error, Needs::nothing, judge_definers},
      {"A8", "an object depends on another tenant's",
       "Drop it, or move it to the schema whose objects it uses.", error, Needs::nothing,
       judge_dependencies},
      {"A9", "default privileges will open future objects",
       "ALTER DEFAULT PRIVILEGES ... REVOKE ... FROM that role.", error, Needs::nothing,
       judge_default_privileges},
      {"A10", "somebody else owns a tenant's schema or something in it",
       "ALTER ... OWNER TO the migrating role, or name the owner with --owner.", error,
       Needs::nothing, judge_owners},
      {"A11", "a side door is open",
       "Drop it or revoke its use; accept one that is meant with --ignore A11:NAME.",
       Severity::warning, Needs::nothing, judge_side_doors},
      {"A12", "a role's settings point at another tenant", "ALTER ROLE ... RESET the setting.",
       error, Needs::nothing, judge_role_settings},
      {"A13", "several registered tenants share a schema",
       "Give each a schema of its own; names that differ only by case are the same to clients "
       "that do not quote.",
       error, Needs::registry, judge_shared_places},
      {"R1", "a table in a home of shared rows has no tenant column",
       "tenantctl rows protect --table T writes the revision; --ignore R1:TABLE for one that is "
       "the same for all.",
       error, Needs::rows, judge_tenant_columns},
      {"R2", "ROW LEVEL SECURITY is not enabled", "ALTER TABLE ... ENABLE ROW LEVEL SECURITY.",
       error, Needs::nothing, judge_row_security},
      {"R3", "ROW LEVEL SECURITY is not forced on the owner",
       "ALTER TABLE ... FORCE ROW LEVEL SECURITY.", error, Needs::nothing, judge_forced_security},
      {"R4", "a shared table has no policy",
       "Without one nobody sees a row: tenantctl rows protect writes it.", error, Needs::nothing,
       judge_policies},
      {"R5", "a policy allows without a tenant",
       "Compare the tenant column with tenantctl.current_tenant() and nothing else: NULL denies.",
       error, Needs::nothing, judge_open_policies},
      {"R6", "no index is led by the tenant column",
       "CREATE INDEX CONCURRENTLY: without it each query reads all tenants' rows.",
       Severity::warning, Needs::nothing, judge_tenant_indexes},
      {"R7", "a view shows all tenants' rows",
       "ALTER VIEW ... SET (security_invoker = true), or an owner without BYPASSRLS; a "
       "materialized view knows no policies.",
       error, Needs::nothing, judge_views_over_rows},
      {"P0", "a crossing could not be tried",
       "The probe needs a role that may SET ROLE to the tenants' and see their objects.", error,
       Needs::probe, nullptr},
      {"P1", "a tenant's role read another's rows", "See which of the rules above allowed it.",
       error, Needs::probe, nullptr},
      {"P2", "a tenant's role could write another's rows",
       "See which of the rules above allowed it.", error, Needs::probe, nullptr},
      {"P3", "a tenant's role created something in another's schema",
       "REVOKE CREATE ON SCHEMA ... FROM that role.", error, Needs::probe, nullptr},
      {"P4", "a tenant's role could call another's function",
       "REVOKE USAGE ON SCHEMA ... FROM that role.", error, Needs::probe, nullptr}};
  return rules;
}

const AuditRule* find_rule(std::string_view id) {
  const auto& rules = audit_rules();
  const auto at = std::find_if(rules.begin(), rules.end(),
                               [id](const AuditRule& rule) { return rule.id == id; });
  return at == rules.end() ? nullptr : &*at;
}

Allowance Allowance::parse(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  Allowance allowance;
  allowance.rule_ = find_rule(text.substr(0, colon));
  if (allowance.rule_ == nullptr || colon + 1 == text.size()) {
    throw UsageError(fmt::format("--ignore does not understand {}", escaped_name(text)),
                     "It takes RULE or RULE:OBJECT, as in A11 or R1:rows.country*; tenantctl audit "
                     "isolation --help tells the rules.");
  }
  if (colon < text.size()) {
    allowance.object_ = text.substr(colon + 1);
  }
  return allowance;
}

bool Allowance::covers(const AuditFinding& finding) const {
  return finding.rule == rule_ && matches_glob(finding.object, object_);
}

void AuditReport::sort() {
  // Rules stand in one vector, so that their addresses are in order.
  std::sort(findings.begin(), findings.end(), [](const AuditFinding& a, const AuditFinding& b) {
    return std::tie(a.rule, a.object, a.subject, a.detail) <
           std::tie(b.rule, b.object, b.subject, b.detail);
  });
}

void AuditReport::ignore(const std::vector<Allowance>& allowances) {
  ignored += std::erase_if(findings, [&allowances](const AuditFinding& finding) {
    return std::any_of(
        allowances.begin(), allowances.end(),
        [&finding](const Allowance& allowance) { return allowance.covers(finding); });
  });
}

AuditReport audit_isolation(pq::Pipeline& pipeline, const AuditFacts& facts,
                            pq::Deadline deadline) {
  AuditReport report;
  std::deque<Judgement> judgements;
  std::vector<pq::Message> questions;
  for (const AuditRule& rule : audit_rules()) {
    if (rule.judge == nullptr) {
      continue;
    }
    const std::string why = obstacle(rule, facts);
    if (!why.empty()) {
      report.not_judged.push_back({&rule, why});
      continue;
    }
    Judgement& judgement = judgements.emplace_back(rule, facts);
    rule.judge(judgement);
    std::move(judgement.questions.begin(), judgement.questions.end(),
              std::back_inserter(questions));
  }
  pq::run_transaction(pipeline, std::move(questions), pq::Access::read_only, deadline);
  for (Judgement& judgement : judgements) {
    std::move(judgement.findings.begin(), judgement.findings.end(),
              std::back_inserter(report.findings));
  }
  report.sort();
  count_audited(report, facts);
  add_notes(report, facts);
  return report;
}

}  // namespace tenantctl
