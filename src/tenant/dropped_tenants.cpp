#include "tenant/dropped_tenants.h"

#include <fmt/format.h>

#include <utility>

#include "base/number.h"
#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

// Of the comment; what follows is JSON.
constexpr std::string_view comment_prefix = "tenantctl dropped 1 ";

pq::Message do_block(const std::string& body) { return {.sql = "DO " + dollar_quoted(body)}; }

}  // namespace

// All on the server: what is written down is what is taken away, whoever grants at the same time
// (the second change of one row of pg_namespace fails).
pq::Message DroppedTenants::put_aside(const SchemaName& schema) {
  return do_block(fmt::format(
      R"(
DECLARE
  home pg_namespace;
  what_it_was jsonb;
  grantee text;
  new_name text;
BEGIN
  SELECT n.* INTO STRICT home FROM pg_namespace n WHERE n.nspname = {schema};
  new_name := 'tenantctl_dropped_' || home.oid::text;
  what_it_was := jsonb_build_object('name', home.nspname::text,
    'at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'by', SESSION_USER::text, 'comment', obj_description(home.oid, 'pg_namespace'),
    'grants', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
        'role', CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee)::text END,
        'right', a.privilege_type, 'grantable', a.is_grantable)), '[]')
      FROM aclexplode(home.nspacl) a WHERE a.grantee <> home.nspowner));
  FOR grantee IN SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC'
      ELSE quote_ident(pg_get_userbyid(a.grantee)) END
      FROM aclexplode(home.nspacl) a WHERE a.grantee <> home.nspowner LOOP
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %s CASCADE', home.nspname, grantee);
  END LOOP;
  EXECUTE format('ALTER SCHEMA %I RENAME TO %I', home.nspname, new_name);
  EXECUTE format('COMMENT ON SCHEMA %I IS %L', new_name, {prefix} || what_it_was::text);
END
)",
      fmt::arg("schema", quote_literal(schema.text())),
      fmt::arg("prefix", quote_literal(comment_prefix))));
}

pq::Message DroppedTenants::bring_back(const DroppedTenant& tenant) {
  return do_block(fmt::format(
      R"(
DECLARE
  what_it_was jsonb;
  granted record;
BEGIN
  SELECT substr(obj_description(n.oid, 'pg_namespace'), {length})::jsonb INTO STRICT what_it_was
  FROM pg_namespace n WHERE n.nspname = {schema};
  EXECUTE format('ALTER SCHEMA %I RENAME TO %I', {schema}, what_it_was ->> 'name');
  FOR granted IN SELECT CASE WHEN g ->> 'role' IS NULL THEN 'PUBLIC'
      ELSE quote_ident(g ->> 'role') END AS role, g ->> 'right' AS right,
      (g ->> 'grantable')::bool AS grantable
      FROM jsonb_array_elements(what_it_was -> 'grants') g
      WHERE g ->> 'right' IN ('USAGE', 'CREATE') AND (g ->> 'role' IS NULL
        OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname::text = g ->> 'role')) LOOP
    EXECUTE format('GRANT %s ON SCHEMA %I TO %s%s', granted.right, what_it_was ->> 'name',
      granted.role, CASE WHEN granted.grantable THEN ' WITH GRANT OPTION' ELSE '' END);
  END LOOP;
  EXECUTE format('COMMENT ON SCHEMA %I IS %L', what_it_was ->> 'name', what_it_was ->> 'comment');
END
)",
      fmt::arg("schema", quote_literal(tenant.schema)),
      fmt::arg("length", comment_prefix.size() + 1)));
}

pq::Message DroppedTenants::lost_roles(const DroppedTenant& tenant,
                                       std::vector<std::string>& roles) {
  return {.sql = fmt::format(
              "SELECT DISTINCT g ->> 'role' FROM pg_catalog.pg_namespace n, "
              "pg_catalog.jsonb_array_elements(pg_catalog.substr(pg_catalog.obj_description(n.oid, "
              "'pg_namespace'), {})::pg_catalog.jsonb -> 'grants') g WHERE n.nspname = $1 "
              "AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r "
              "WHERE r.rolname::pg_catalog.text = g ->> 'role') AND g ->> 'role' IS NOT NULL",
              comment_prefix.size() + 1),
          .values = {tenant.schema},
          .on_row = [&roles](const pq::Row& row) { roles.emplace_back(row.text(0)); }};
}

std::string DroppedTenants::mark_of(pq::Pipeline& pipeline, const std::string& schema,
                                    const std::string& version_table, pq::Deadline deadline) {
  std::string mark;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT pg_catalog.obj_description(c.oid, 'pg_class') "
                             "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
                             "ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
                      .values = {schema, version_table},
                      .on_row = [&mark](const pq::Row& row) { mark = row.text(0); }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return mark;
}

std::vector<DroppedTenant> DroppedTenants::all(pq::Pipeline& pipeline,
                                               const std::vector<std::string>& owners,
                                               const std::string& version_table,
                                               pq::Deadline deadline) {
  std::string roles = "CURRENT_USER::pg_catalog.text";
  for (const std::string& owner : owners) {
    roles += ", " + quote_literal(owner);
  }
  std::vector<DroppedTenant> tenants;
  std::vector<pq::Message> messages;
  // The cast comes behind the condition: only our own comments are JSON.
  messages.push_back(
      {.sql = fmt::format(
           "SELECT d.nspname, d.record ->> 'name', d.record ->> 'at', d.record ->> 'by', "
           "pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - "
           "(d.record ->> 'at')::pg_catalog.timestamptz)::pg_catalog.int8, "
           "COALESCE((SELECT pg_catalog.obj_description(c.oid, 'pg_class') "
           "FROM pg_catalog.pg_class c WHERE c.relnamespace = d.oid AND c.relname = $1) "
           "LIKE '% dropping', false) "
           "FROM (SELECT n.oid, n.nspname, CASE WHEN t.description LIKE 'tenantctl dropped 1 {{%' "
           "THEN pg_catalog.substr(t.description, {})::pg_catalog.jsonb END AS record "
           "FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_description t ON t.objoid = n.oid "
           "AND t.objsubid = 0 AND t.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass "
           "WHERE n.nspname ~ '^tenantctl_dropped_[0-9]+$' "
           "AND pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text IN ({}) OFFSET 0) d "
           "WHERE d.record ->> 'name' IS NOT NULL ORDER BY 2, 3, 1",
           comment_prefix.size() + 1, roles),
       .values = {version_table},
       .on_row = [&tenants](const pq::Row& row) {
         tenants.push_back({.schema = std::string(row.text(0)),
                            .name = std::string(row.text(1)),
                            .at = std::string(row.text(2)),
                            .by = std::string(row.text(3)),
                            .age = std::chrono::seconds(number_of<std::int64_t>(row.text(4))),
                            .is_going = row.text(5) == "t"});
       }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return tenants;
}

}  // namespace tenantctl
