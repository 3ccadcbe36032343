#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "catalog/audit.h"
#include "pq/message.h"

namespace tenantctl {

/// One rule at work: the questions it has for the server, and what it found. Lives until the
/// answers have been read.
class Judgement {
 public:
  Judgement(const AuditRule& rule, const AuditFacts& known) : facts(known), rule_(&rule) {}

  const AuditFacts& facts;

  /// A question; `on_row` may call add().
  void ask(std::string sql, std::vector<std::optional<std::string>> values,
           std::function<void(const pq::Row&)> on_row) {
    questions.push_back(
        {.sql = std::move(sql), .values = std::move(values), .on_row = std::move(on_row)});
  }

  void add(std::string subject, std::string object, std::string detail) {
    findings.push_back({.rule = rule_,
                        .subject = std::move(subject),
                        .object = std::move(object),
                        .detail = std::move(detail)});
  }

  std::vector<pq::Message> questions;
  std::vector<AuditFinding> findings;

 private:
  const AuditRule* rule_;
};

/// The rules, by what they look at.
void judge_shared_roles(Judgement& judgement);        // A0
void judge_registry(Judgement& judgement);            // A1
void judge_schema_grants(Judgement& judgement);       // A2
void judge_relation_grants(Judgement& judgement);     // A3
void judge_role_powers(Judgement& judgement);         // A4
void judge_public_grants(Judgement& judgement);       // A5
void judge_planting(Judgement& judgement);            // A6
void judge_definers(Judgement& judgement);            // A7
void judge_dependencies(Judgement& judgement);        // A8
void judge_default_privileges(Judgement& judgement);  // A9
void judge_owners(Judgement& judgement);              // A10
void judge_side_doors(Judgement& judgement);          // A11
void judge_role_settings(Judgement& judgement);       // A12
void judge_shared_places(Judgement& judgement);       // A13
void judge_tenant_columns(Judgement& judgement);      // R1
void judge_row_security(Judgement& judgement);        // R2
void judge_forced_security(Judgement& judgement);     // R3
void judge_policies(Judgement& judgement);            // R4
void judge_open_policies(Judgement& judgement);       // R5
void judge_tenant_indexes(Judgement& judgement);      // R6
void judge_views_over_rows(Judgement& judgement);     // R7

}  // namespace tenantctl
