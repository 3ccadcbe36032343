// Tables that several tenants share: a column, a policy that denies, and an index for it.

#include <fmt/format.h>

#include <array>

#include "base/number.h"
#include "base/text.h"
#include "catalog/judgement.h"
#include "tenant/own_tables.h"

namespace tenantctl {
namespace {

// $1 homes of rows, $2 tenant column, $3 tables of ours, $4 shared schema. In the shared schema
// only tables with the column are tenants'. A partition counts where somebody can reach it past its
// parent.
constexpr std::string_view tables =
    "WITH shared_table AS (SELECT c.oid, c.relname, c.relowner, c.relrowsecurity, "
    "c.relforcerowsecurity, n.nspname, a.attnum FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 "
    "AND a.attnum > 0 AND NOT a.attisdropped "
    "WHERE c.relkind IN ('r', 'p') AND c.relname <> ALL ($3::pg_catalog.text[]) "
    "AND (NOT c.relispartition OR c.relacl IS NOT NULL) "
    "AND (n.oid = ANY ($1::pg_catalog.oid[]) OR n.nspname = $4 AND a.attnum IS NOT NULL)) ";

std::vector<std::optional<std::string>> table_values(const AuditFacts& facts) {
  const AuditInput& input = facts.input();
  return {facts.rows_oids(), input.tenant_column, own_tables(input.version_table),
          input.shared_schema};
}

// Rows (owner, schema, table, detail) of the shared tables.
void ask_tables(Judgement& judgement, std::string_view rest) {
  judgement.ask(fmt::format("{}{}", tables, rest), table_values(judgement.facts),
                [&judgement](const pq::Row& row) {
                  judgement.add(judgement.facts.roles().name_of(number_of<Oid>(row.text(0))),
                                fmt::format("{}.{}", row.text(1), row.text(2)),
                                std::string(row.text(3)));
                });
}

bool applies_to_tenants(const AuditFacts& facts, std::string_view roles) {
  const bool knows_roles = !facts.tenant_roles().empty();
  while (!roles.empty()) {
    const std::size_t end = std::min(roles.find(' '), roles.size());
    const auto role = number_of<Oid>(roles.substr(0, end));
    if (role == 0 || !knows_roles || !facts.outsiders(role, nullptr).empty()) {
      return true;
    }
    roles.remove_prefix(std::min(end + 1, roles.size()));
  }
  return false;
}

// To read across tenants is the gate's to allow, and it does to its admin role alone.
bool is_for_administrators(std::string_view command, std::string_view expression) {
  return command == "r" && (expression == "tenantctl.looks_across()" ||
                            expression == "( SELECT tenantctl.looks_across() AS looks_across)");
}

// Why an expression lets rows through without a tenant, as far as its text tells; empty if it
// seems to deny.
std::string weakness_of(std::string_view expression, std::string_view column) {
  if (expression.find(column) == std::string_view::npos) {
    return fmt::format("does not look at {}", column);
  }
  const std::string text = lowered(expression);
  constexpr std::array signs{"is null", "coalesce", "not distinct", "or true", "(true or"};
  for (const std::string_view sign : signs) {
    if (text.find(sign) != std::string::npos) {
      return "may allow where no tenant is set";
    }
  }
  return "";
}

void judge_policy(Judgement& judgement, const pq::Row& row) {
  if (!applies_to_tenants(judgement.facts, row.text(3)) ||
      is_for_administrators(row.text(6), row.text(4))) {
    return;
  }
  for (const int column : {4, 5}) {
    const std::string weakness =
        row.is_null(column) ? ""
                            : weakness_of(row.text(column), judgement.facts.input().tenant_column);
    if (!weakness.empty()) {
      judgement.add(std::string(row.text(2)), fmt::format("{}.{}", row.text(0), row.text(1)),
                    fmt::format("{} {}: {}", column == 4 ? "USING" : "WITH CHECK", weakness,
                                single_line(row.text(column))));
    }
  }
}

}  // namespace

void judge_tenant_columns(Judgement& judgement) {
  ask_tables(judgement,
             "SELECT t.relowner, t.nspname, t.relname, 'no column ' || $2 FROM shared_table t "
             "WHERE t.attnum IS NULL");
}

void judge_row_security(Judgement& judgement) {
  ask_tables(judgement,
             "SELECT t.relowner, t.nspname, t.relname, 'ROW LEVEL SECURITY is not enabled' "
             "FROM shared_table t WHERE NOT t.relrowsecurity AND t.attnum IS NOT NULL");
}

void judge_forced_security(Judgement& judgement) {
  ask_tables(judgement,
             "SELECT t.relowner, t.nspname, t.relname, 'its owner sees all rows' "
             "FROM shared_table t WHERE t.relrowsecurity AND NOT t.relforcerowsecurity");
}

void judge_policies(Judgement& judgement) {
  ask_tables(judgement,
             "SELECT t.relowner, t.nspname, t.relname, 'no policy allows anything' "
             "FROM shared_table t WHERE t.attnum IS NOT NULL AND NOT EXISTS (SELECT "
             "FROM pg_catalog.pg_policy p WHERE p.polrelid = t.oid AND p.polpermissive)");
}

void judge_open_policies(Judgement& judgement) {
  judgement.ask(
      fmt::format(
          "{}SELECT t.nspname, t.relname, p.polname, "
          "pg_catalog.array_to_string(p.polroles, ' '), "
          "pg_catalog.pg_get_expr(p.polqual, p.polrelid), "
          "pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), p.polcmd FROM shared_table t "
          "JOIN pg_catalog.pg_policy p ON p.polrelid = t.oid AND p.polpermissive "
          "WHERE t.attnum IS NOT NULL",
          tables),
      table_values(judgement.facts),
      [&judgement](const pq::Row& row) { judge_policy(judgement, row); });
}

void judge_tenant_indexes(Judgement& judgement) {
  ask_tables(judgement,
             "SELECT t.relowner, t.nspname, t.relname, 'no index is led by ' || $2 "
             "FROM shared_table t WHERE t.attnum IS NOT NULL AND NOT EXISTS (SELECT "
             "FROM pg_catalog.pg_index i WHERE i.indrelid = t.oid AND i.indkey[0] = t.attnum "
             "AND i.indisvalid AND i.indpred IS NULL)");
}

// A view reads with its owner's eyes unless it says security_invoker; a materialized view has read
// all rows already, and no policy can be put on it.
void judge_views_over_rows(Judgement& judgement) {
  ask_tables(
      judgement,
      "SELECT DISTINCT v.relowner, n.nspname, v.relname, CASE v.relkind WHEN 'm' "
      "THEN 'materialized view keeps all tenants'' rows of ' ELSE 'its owner sees all rows of ' "
      "END "
      "|| t.nspname || '.' || t.relname FROM shared_table t "
      "JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass "
      "AND d.refobjid = t.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
      "JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid "
      "JOIN pg_catalog.pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm') "
      "JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace "
      "JOIN pg_catalog.pg_roles r ON r.oid = v.relowner WHERE t.attnum IS NOT NULL "
      "AND (v.relkind = 'm' OR (r.rolsuper OR r.rolbypassrls) AND NOT COALESCE(v.reloptions "
      "&& '{security_invoker=true,security_invoker=on,security_invoker=1}'::pg_catalog.text[], "
      "false)) "
      "AND EXISTS (SELECT FROM pg_catalog.aclexplode(v.relacl) AS x WHERE x.grantee <> "
      "v.relowner)");
}

}  // namespace tenantctl
