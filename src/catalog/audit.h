#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/audit_facts.h"
#include "catalog/audit_input.h"

namespace tenantctl {

class Judgement;

enum class Severity : std::uint8_t { warning, error };
std::string_view to_text(Severity severity);

/// One thing that the audit proves, or finds disproved. `judge` asks the server or the facts; rules
/// of the probe have none, they are found by trying.
struct AuditRule {
  /// Without it the rule cannot be judged, and the report says so.
  enum class Needs : std::uint8_t { nothing, registry, roles, rows, probe };

  std::string_view id;     ///< `A2`
  std::string_view title;  ///< what is wrong where it finds something
  std::string_view hint;
  Severity severity = Severity::error;
  Needs needs = Needs::nothing;
  void (*judge)(Judgement&) = nullptr;
};

/// In the order in which they are told. A1 to A13, what is shared (A0), rows (R1 to R7), probe
/// (P0 to P4).
const std::vector<AuditRule>& audit_rules();
/// nullptr if there is none of that id.
const AuditRule* find_rule(std::string_view id);

struct AuditFinding {
  const AuditRule* rule = nullptr;
  std::string subject;  ///< who: a role, a tenant, PUBLIC, an owner
  std::string object;   ///< what: `schema` or `schema.table`
  std::string detail;
};

/// `--ignore A11` or `--ignore R1:rows.country*`.
class Allowance {
 public:
  /// Throws UsageError for an unknown rule.
  static Allowance parse(std::string_view text);
  bool covers(const AuditFinding& finding) const;

 private:
  const AuditRule* rule_ = nullptr;
  std::string object_ = "*";
};

/// What was judged, and how it came out.
struct AuditReport {
  struct NotJudged {
    const AuditRule* rule = nullptr;
    std::string why;
  };
  std::vector<AuditFinding> findings;  ///< by rule; in a rule by object and subject
  std::vector<NotJudged> not_judged;
  std::vector<std::string> notes;  ///< what nobody looked at
  std::size_t schemas = 0;         ///< tenants' own
  std::size_t homes = 0;           ///< of shared rows
  std::size_t roles = 0;           ///< tenants'
  std::size_t ignored = 0;         ///< findings that an Allowance covers

  void sort();
  void ignore(const std::vector<Allowance>& allowances);
};

/// Judges whether one tenant can reach another's objects, from the catalogs alone: nothing is
/// written and no tenant's table is opened. The work grows with what is there, not with the pairs
/// of tenants: explicit grants are read and their grantees closed over pg_auth_members here.
///
/// Names of schemas and tables are no secret in PostgreSQL, and table names inside dynamic SQL are
/// in no catalog: neither is judged.
AuditReport audit_isolation(pq::Pipeline& pipeline, const AuditFacts& facts, pq::Deadline deadline);

}  // namespace tenantctl
