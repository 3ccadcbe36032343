// What was granted to whom: schemas, relations, columns, and what will be granted by itself.

#include <fmt/format.h>

#include "base/number.h"
#include "catalog/judgement.h"

namespace tenantctl {
namespace {

// Of a million grants nearly all are to a schema's own role: left out on the server.
constexpr std::string_view own_grants =
    "LEFT JOIN ROWS FROM (pg_catalog.unnest($2::pg_catalog.oid[]), "
    "pg_catalog.unnest($3::pg_catalog.oid[])) AS own (schema, role) "
    "ON own.schema = n.oid AND own.role = x.grantee ";

constexpr std::string_view privileges =
    "pg_catalog.string_agg(DISTINCT x.privilege_type, ', ' ORDER BY x.privilege_type)";

std::vector<std::optional<std::string>> scope_values(const AuditFacts& facts) {
  return {facts.schema_oids(), facts.own_schemas(), facts.own_roles()};
}

// `SELECT (held by app_b, app_c and 3 more tenants' roles)`
std::string held_text(const AuditFacts& facts, Oid grantee, const std::vector<Oid>& reached,
                      std::string_view rights) {
  if (reached.size() == 1 && reached.front() == grantee) {
    return std::string(rights);
  }
  constexpr std::size_t shown = 3;
  std::string names;
  for (std::size_t i = 0; i < std::min(shown, reached.size()); ++i) {
    names += (i == 0 ? "" : ", ") + facts.roles().name_of(reached[i]);
  }
  if (reached.size() > shown) {
    names += fmt::format(" and {} more", reached.size() - shown);
  }
  return fmt::format("{} (held by {})", rights, names);
}

// Rows (schema's oid, object or NULL, grantee, rights).
void add_grant(Judgement& judgement, const pq::Row& row) {
  const AuditFacts& facts = judgement.facts;
  const AuditedSchema* schema = facts.schema(number_of<Oid>(row.text(0)));
  const auto grantee = number_of<Oid>(row.text(2));
  const std::vector<Oid> reached = facts.outsiders(grantee, schema);
  if (schema == nullptr || reached.empty()) {
    return;
  }
  const std::string object =
      row.is_null(1) ? schema->name : fmt::format("{}.{}", schema->name, row.text(1));
  judgement.add(facts.roles().name_of(grantee), object,
                held_text(facts, grantee, reached, row.text(3)));
}

void add_public(Judgement& judgement, const pq::Row& row) {
  const std::string& schema = judgement.facts.name_of_schema(number_of<Oid>(row.text(0)));
  judgement.add("PUBLIC", row.is_null(1) ? schema : fmt::format("{}.{}", schema, row.text(1)),
                std::string(row.text(2)));
}

bool concerns_tenants(const AuditFacts& facts, Oid grantee, std::string_view kind,
                      const AuditedSchema* schema) {
  if (grantee == 0) {
    // Functions and types are PUBLIC's by default; without USAGE on the schema that opens nothing.
    return kind != "f" && kind != "T";
  }
  return !facts.outsiders(grantee, schema).empty();
}

}  // namespace

void judge_schema_grants(Judgement& judgement) {
  judgement.ask(
      fmt::format("SELECT n.oid, NULL, x.grantee, {} FROM pg_catalog.pg_namespace n "
                  "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid) ON s.oid = n.oid "
                  "CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS x {}"
                  "WHERE x.grantee NOT IN (0, n.nspowner) AND own.role IS NULL "
                  "GROUP BY n.oid, x.grantee",
                  privileges, own_grants),
      scope_values(judgement.facts),
      [&judgement](const pq::Row& row) { add_grant(judgement, row); });
}

void judge_relation_grants(Judgement& judgement) {
  const std::string from =
      "FROM pg_catalog.pg_class c "
      "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS n (oid) ON n.oid = c.relnamespace ";
  judgement.ask(fmt::format("SELECT n.oid, c.relname, x.grantee, {} {}"
                            "CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS x {}"
                            "WHERE x.grantee NOT IN (0, c.relowner) AND own.role IS NULL "
                            "GROUP BY n.oid, c.relname, x.grantee",
                            privileges, from, own_grants),
                scope_values(judgement.facts),
                [&judgement](const pq::Row& row) { add_grant(judgement, row); });
  judgement.ask(fmt::format("SELECT n.oid, c.relname || '.' || a.attname, x.grantee, {} {}"
                            "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
                            "AND a.attacl IS NOT NULL AND NOT a.attisdropped "
                            "CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) AS x {}"
                            "WHERE x.grantee NOT IN (0, c.relowner) AND own.role IS NULL "
                            "GROUP BY n.oid, c.relname, a.attname, x.grantee",
                            privileges, from, own_grants),
                scope_values(judgement.facts),
                [&judgement](const pq::Row& row) { add_grant(judgement, row); });
}

void judge_public_grants(Judgement& judgement) {
  const auto add = [&judgement](const pq::Row& row) { add_public(judgement, row); };
  const std::string schemas = judgement.facts.schema_oids();
  judgement.ask(
      fmt::format("SELECT n.oid, NULL, {} FROM pg_catalog.pg_namespace n "
                  "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid) ON s.oid = n.oid "
                  "CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS x "
                  "WHERE x.grantee = 0 GROUP BY n.oid",
                  privileges),
      {schemas}, add);
  judgement.ask(fmt::format("SELECT c.relnamespace, c.relname, {} FROM pg_catalog.pg_class c "
                            "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid) "
                            "ON s.oid = c.relnamespace "
                            "CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS x "
                            "WHERE x.grantee = 0 GROUP BY c.relnamespace, c.relname",
                            privileges),
                {schemas}, add);
  judgement.ask(
      fmt::format("SELECT c.relnamespace, c.relname || '.' || a.attname, {} "
                  "FROM pg_catalog.pg_class c "
                  "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid) "
                  "ON s.oid = c.relnamespace "
                  "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL "
                  "AND NOT a.attisdropped "
                  "CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) AS x "
                  "WHERE x.grantee = 0 GROUP BY c.relnamespace, c.relname, a.attname",
                  privileges),
      {schemas}, add);
}

void judge_planting(Judgement& judgement) {
  judgement.ask(
      "SELECT n.oid, n.nspowner, x.grantee FROM pg_catalog.pg_namespace n "
      "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid) ON s.oid = n.oid "
      "CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS x "
      "WHERE x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner",
      {judgement.facts.path_oids()}, [&judgement](const pq::Row& row) {
        const AuditFacts& facts = judgement.facts;
        const auto owner = number_of<Oid>(row.text(1));
        const auto grantee = number_of<Oid>(row.text(2));
        const Role* role = facts.roles().find(grantee);
        if (facts.is_trusted_owner(grantee) || (role != nullptr && role->is_superuser)) {
          return;
        }
        for (const Oid group : facts.roles().groups_of(grantee)) {
          if (group == owner) {
            return;
          }
        }
        judgement.add(facts.roles().name_of(grantee),
                      facts.name_of_schema(number_of<Oid>(row.text(0))), "CREATE");
      });
}

void judge_default_privileges(Judgement& judgement) {
  judgement.ask(
      fmt::format("SELECT d.defaclrole, d.defaclnamespace, d.defaclobjtype, x.grantee, {} "
                  "FROM pg_catalog.pg_default_acl d "
                  "CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) AS x "
                  "WHERE x.grantee <> d.defaclrole "
                  "GROUP BY d.defaclrole, d.defaclnamespace, d.defaclobjtype, x.grantee",
                  privileges),
      {}, [&judgement](const pq::Row& row) {
        const AuditFacts& facts = judgement.facts;
        const auto place = number_of<Oid>(row.text(1));
        const AuditedSchema* schema = facts.schema(place);
        const auto grantee = number_of<Oid>(row.text(3));
        if ((place != 0 && schema == nullptr) ||
            !concerns_tenants(facts, grantee, row.text(2), schema)) {
          return;
        }
        judgement.add(facts.roles().name_of(grantee),
                      schema == nullptr ? "(all schemas)" : schema->name,
                      fmt::format("{} on what {} will create", row.text(4),
                                  facts.roles().name_of(number_of<Oid>(row.text(0)))));
      });
}

}  // namespace tenantctl
