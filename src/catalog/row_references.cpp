#include "catalog/row_references.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

struct RowReference {
  std::string name;        ///< as told to people
  std::string table;       ///< qualified
  std::string home_table;  ///< that it refers to, qualified
  std::string condition;   ///< between rows `r` and `t`
  bool has_column = false;
};

// A key that holds the tenant column on both sides cannot lead from one tenant to another. Of a
// partitioned table the parent's key stands for all.
constexpr std::string_view select_references =
    "WITH owned AS (SELECT c.oid, c.relname, a.attnum FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum > 0 "
    "AND NOT a.attisdropped WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')) "
    "SELECT pg_catalog.format('foreign key %s of %s', k.conname, k.conrelid::"
    "pg_catalog.regclass::pg_catalog.text), pg_catalog.format('%I.%I', rn.nspname, r.relname), "
    "pg_catalog.format('%I.%I', $1, o.relname), (SELECT pg_catalog.string_agg(pg_catalog.format("
    "'t.%I OPERATOR(%I.%s) r.%I', ta.attname, pn.nspname, p.oprname, ra.attname), ' AND ') "
    "FROM ROWS FROM (pg_catalog.unnest(k.confkey), pg_catalog.unnest(k.conkey), "
    "pg_catalog.unnest(k.conpfeqop)) AS u (home, away, operator) "
    "JOIN pg_catalog.pg_attribute ta ON ta.attrelid = k.confrelid AND ta.attnum = u.home "
    "JOIN pg_catalog.pg_attribute ra ON ra.attrelid = k.conrelid AND ra.attnum = u.away "
    "JOIN pg_catalog.pg_operator p ON p.oid = u.operator "
    "JOIN pg_catalog.pg_namespace pn ON pn.oid = p.oprnamespace), w.oid IS NOT NULL "
    "FROM pg_catalog.pg_constraint k JOIN owned o ON o.oid = k.confrelid "
    "JOIN pg_catalog.pg_class r ON r.oid = k.conrelid "
    "JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace "
    "LEFT JOIN owned w ON w.oid = k.conrelid WHERE k.contype = 'f' AND k.conparentid = 0 "
    "AND NOT (w.oid IS NOT NULL AND EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest(k.confkey), "
    "pg_catalog.unnest(k.conkey)) AS u (home, away) WHERE u.home = o.attnum "
    "AND u.away = w.attnum)) ORDER BY 1";

std::string find_stranger(const RowReference& reference, const ErasedTenant& tenant) {
  const std::string column = quote_identifier(tenant.column);
  const std::string id = quote_literal(tenant.id);
  return fmt::format(
      "SELECT EXISTS (SELECT FROM {} r JOIN {} t ON {} WHERE t.{} OPERATOR(pg_catalog.=) {}{})",
      reference.table, reference.home_table, reference.condition, column, id,
      reference.has_column
          ? fmt::format(" AND (r.{0} OPERATOR(pg_catalog.=) {1}) IS NOT TRUE", column, id)
          : "");
}

}  // namespace

std::vector<std::string> read_row_references(pq::Pipeline& pipeline, const ErasedTenant& tenant,
                                             pq::Deadline deadline) {
  std::vector<RowReference> references;
  std::vector<pq::Message> question;
  question.push_back({.sql = std::string(select_references),
                      .values = {tenant.home, tenant.column},
                      .on_row = [&references](const pq::Row& row) {
                        references.push_back({.name = std::string(row.text(0)),
                                              .table = std::string(row.text(1)),
                                              .home_table = std::string(row.text(2)),
                                              .condition = std::string(row.text(3)),
                                              .has_column = row.text(4) == "t"});
                      }});
  pq::run_transaction(pipeline, std::move(question), pq::Access::read_only, deadline);
  std::vector<std::string> found;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT pg_catalog.set_config('tenantctl.tenant_id', $1, true)",
                      .values = {tenant.id}});
  for (const RowReference& reference : references) {
    messages.push_back({.sql = find_stranger(reference, tenant),
                        .on_row = [&found, &reference](const pq::Row& row) {
                          if (row.text(0) == "t") {
                            found.push_back(reference.name);
                          }
                        }});
  }
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return found;
}

}  // namespace tenantctl
