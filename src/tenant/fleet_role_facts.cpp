#include <fmt/format.h>

#include <algorithm>

#include "pq/transaction.h"
#include "tenant/fleet_roles.h"
#include "tenant/own_tables.h"

namespace tenantctl {
namespace {

void split_into(std::vector<std::string>& words, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    words.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
}

// A name cannot hold a line's end and be told apart here; nothing is decided by it but a refusal.
pq::Message read_role(FleetRole& role, const std::string& owner) {
  return {.sql =
              "SELECT r.rolcanlogin, r.rolinherit, pg_catalog.concat_ws(E'\\n', "
              "CASE WHEN r.rolsuper THEN 'SUPERUSER' END, "
              "CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END, "
              "CASE WHEN r.rolreplication THEN 'REPLICATION' END, "
              "CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END, "
              "CASE WHEN r.rolcreatedb THEN 'CREATEDB' END), "
              "COALESCE((SELECT pg_catalog.string_agg(g.rolname, E'\\n' ORDER BY g.rolname) "
              "FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid "
              "WHERE m.member = r.oid AND g.rolname <> $2::pg_catalog.name), ''), "
              "pg_catalog.shobj_description(r.oid, 'pg_authid') IS NOT DISTINCT FROM "
              "'tenantctl: ' || $3 || ' role of database ' || pg_catalog.current_database(), "
              "pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT'), "
              "COALESCE((SELECT pg_catalog.string_agg(x.rolname, E'\\n' ORDER BY x.rolname) "
              "FROM pg_catalog.pg_roles x WHERE x.oid <> r.oid AND NOT r.rolsuper "
              "AND pg_catalog.pg_has_role(r.oid, x.oid, 'MEMBER') AND (x.rolsuper "
              "OR x.rolbypassrls OR x.rolreplication OR x.rolname = ANY "
              "('{pg_execute_server_program,pg_read_server_files,pg_write_server_files,"
              "pg_read_all_data,pg_write_all_data}'::pg_catalog.name[]))), '') "
              "FROM pg_catalog.pg_roles r WHERE r.rolname::pg_catalog.text = $1",
          .values = {role.name, owner, role.purpose},
          .on_row = [&role](const pq::Row& row) {
            role.is_there = true;
            role.may_log_in = row.text(0) == "t";
            role.inherits = row.text(1) == "t";
            split_into(role.powers, row.text(2));
            split_into(role.groups, row.text(3));
            role.is_made = row.text(4) == "t";
            role.may_connect = row.text(5) == "t";
            split_into(role.reaches, row.text(6));
          }};
}

// No row where one of the two is not there yet.
pq::Message read_membership(FleetRoleFacts& facts) {
  const std::string_view become = facts.server_version >= 160000 ? "SET" : "MEMBER";
  return {.sql = fmt::format(
              "SELECT pg_catalog.pg_has_role(m.oid, o.oid, '{0}'), "
              "pg_catalog.pg_has_role(m.oid, o.oid, 'USAGE') "
              "FROM pg_catalog.pg_roles o, pg_catalog.pg_roles m "
              "WHERE o.rolname::pg_catalog.text = $1 AND m.rolname::pg_catalog.text = $2",
              become),
          .values = {facts.owner.name, facts.migrator.name},
          .on_row = [&facts](const pq::Row& row) {
            facts.migrator_acts = row.text(0) == "t";
            facts.migrator_is_owner = row.text(1) == "t";
          }};
}

// Who may use a schema and execute such a function does there what its owner may.
pq::Message read_definers(FleetRoleFacts& facts, const std::string& version_table) {
  return {.sql =
              "SELECT n.nspname || '.' || p.proname FROM pg_catalog.pg_proc p "
              "JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
              "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $1 "
              "JOIN pg_catalog.pg_roles s ON s.rolname::pg_catalog.text = $2 "
              "WHERE p.prosecdef AND NOT s.rolsuper "
              "AND pg_catalog.has_function_privilege(s.oid, p.oid, 'EXECUTE') ORDER BY 1",
          .values = {version_table, facts.status.name},
          .on_row = [&facts](const pq::Row& row) { facts.definers.emplace_back(row.text(0)); }};
}

// Tables and views of tenants and of the shared scope, or columns of them: by a grant to the role
// or to everybody, or because it owns them.
pq::Message read_reached(FleetRoleFacts& facts, const std::string& version_table) {
  return {.sql =
              "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class v "
              "JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace "
              "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid "
              "JOIN pg_catalog.pg_roles s ON s.rolname::pg_catalog.text = $2 "
              "WHERE v.relname = $1 AND v.relkind = 'r' AND NOT s.rolsuper "
              "AND c.relkind IN ('r', 'p', 'v', 'm', 'f') "
              "AND c.relname <> ALL ($3::pg_catalog.name[]) "
              "AND (c.relacl IS NOT NULL OR c.relowner = s.oid OR c.oid IN (SELECT a.attrelid "
              "FROM pg_catalog.pg_attribute a WHERE a.attacl IS NOT NULL)) "
              "AND pg_catalog.has_schema_privilege(s.oid, n.oid, 'USAGE') "
              "AND (pg_catalog.has_any_column_privilege(s.oid, c.oid, 'SELECT, INSERT, UPDATE') "
              "OR pg_catalog.has_table_privilege(s.oid, c.oid, 'DELETE, TRUNCATE')) ORDER BY 1",
          .values = {version_table, facts.status.name, own_tables(version_table)},
          .on_row = [&facts](const pq::Row& row) { facts.reached.emplace_back(row.text(0)); }};
}

pq::Message read_owner_rights(FleetRoleFacts& facts) {
  const std::string_view become = facts.server_version >= 160000 ? "SET" : "MEMBER";
  return {.sql = fmt::format("SELECT pg_catalog.pg_has_role(SESSION_USER, o.oid, '{}'), "
                             "pg_catalog.has_database_privilege(o.oid, d.oid, 'CREATE') AND "
                             "pg_catalog.has_database_privilege(o.oid, d.oid, 'TEMP') "
                             "FROM pg_catalog.pg_roles o, pg_catalog.pg_database d "
                             "WHERE o.rolname::pg_catalog.text = $1 "
                             "AND d.datname = pg_catalog.current_database()",
                             become),
          .values = {facts.owner.name},
          .on_row = [&facts](const pq::Row& row) {
            facts.login_acts = row.text(0) == "t";
            facts.owner_creates = row.text(1) == "t";
          }};
}

// A superuser may act as whom it likes, also as one that is not there yet.
pq::Message read_login(FleetRoleFacts& facts) {
  return {.sql = "SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = SESSION_USER",
          .on_row = [&facts](const pq::Row& row) { facts.login_acts = row.text(0) == "t"; }};
}

pq::Message read_own_schema(FleetRoleFacts& facts) {
  return {
      .sql =
          "SELECT pg_catalog.pg_get_userbyid(n.nspowner), s.oid IS NOT NULL "
          "AND pg_catalog.has_schema_privilege(s.oid, n.oid, 'USAGE') AND NOT EXISTS (SELECT FROM "
          "pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v') "
          "AND NOT pg_catalog.has_table_privilege(s.oid, c.oid, 'SELECT')), "
          "EXISTS (SELECT FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles o "
          "ON o.oid = d.defaclrole, pg_catalog.aclexplode(d.defaclacl) a "
          "WHERE d.defaclnamespace = n.oid AND d.defaclobjtype = 'r' "
          "AND o.rolname::pg_catalog.text = $2 AND a.grantee = s.oid "
          "AND a.privilege_type = 'SELECT') FROM pg_catalog.pg_namespace n "
          "LEFT JOIN pg_catalog.pg_roles s ON s.rolname::pg_catalog.text = $1 "
          "WHERE n.nspname = 'tenantctl'",
      .values = {facts.status.name, facts.owner.name},
      .on_row = [&facts](const pq::Row& row) {
        facts.schema_owner = row.text(0);
        facts.status_sees = row.text(1) == "t";
        facts.status_will_see = row.text(2) == "t";
      }};
}

// Who was dropped is nobody's to read; those rights come back with the tenant.
pq::Message read_version_tables(FleetRoleFacts& facts, const std::string& version_table) {
  return {.sql =
              "SELECT n.nspname, pg_catalog.pg_get_userbyid(c.relowner), s.oid IS NOT NULL "
              "AND pg_catalog.has_schema_privilege(s.oid, n.oid, 'USAGE') "
              "AND pg_catalog.has_table_privilege(s.oid, c.oid, 'SELECT'), c.relname "
              "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
              "LEFT JOIN pg_catalog.pg_roles s ON s.rolname::pg_catalog.text = $2 "
              "WHERE c.relname = ANY ($1::pg_catalog.name[]) AND c.relkind = 'r' AND "
              "c.relpersistence = 'p' "
              "AND n.nspname !~ '^tenantctl_dropped_' ORDER BY n.nspname COLLATE pg_catalog.\"C\", "
              "c.relname",
          .values = {own_tables(version_table), facts.status.name},
          .on_row = [&facts, version_table](const pq::Row& row) {
            const std::string owner(row.text(1));
            const bool is_seeds = row.text(3) != version_table;
            if (owner != facts.owner.name) {
              if (is_seeds)
                return;
              auto at = std::ranges::find(facts.strangers, owner,
                                          &std::pair<std::string, std::size_t>::first);
              if (at == facts.strangers.end()) {
                at = facts.strangers.insert(at, {owner, 0});
              }
              ++at->second;
            } else if (row.text(2) == "t") {
              facts.readable += is_seeds ? 0 : 1;
            } else {
              facts.unreadable.push_back({std::string(row.text(0)), std::string(row.text(3))});
            }
          }};
}

}  // namespace

FleetRoleFacts FleetRoles::read(const FleetRoleNames& names) {
  FleetRoleFacts facts;
  facts.server_version = pipeline_.connection().server_version();
  facts.owner = {
      .name = names.owner, .purpose = "owner", .powers = {}, .groups = {}, .reaches = {}};
  facts.migrator = {
      .name = names.migrator, .purpose = "migrator", .powers = {}, .groups = {}, .reaches = {}};
  facts.status = {
      .name = names.status, .purpose = "status", .powers = {}, .groups = {}, .reaches = {}};
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT pg_catalog.current_database()",
                      .on_row = [&facts](const pq::Row& row) { facts.database = row.text(0); }});
  for (FleetRole* role : {&facts.owner, &facts.migrator, &facts.status}) {
    messages.push_back(read_role(*role, names.owner));
  }
  messages.push_back(read_membership(facts));
  messages.push_back(read_login(facts));
  messages.push_back(read_owner_rights(facts));
  messages.push_back(read_own_schema(facts));
  messages.push_back(read_version_tables(facts, version_table_));
  messages.push_back(read_definers(facts, version_table_));
  messages.push_back(read_reached(facts, version_table_));
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  return facts;
}

}  // namespace tenantctl
