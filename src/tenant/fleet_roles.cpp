#include "tenant/fleet_roles.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "pq/server_error.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

constexpr std::size_t longest_role = 63;

std::string comment_of(std::string_view purpose, std::string_view database) {
  return fmt::format("tenantctl: {} role of database {}", purpose, database);
}

std::string words(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& word : list) {
    text += (text.empty() ? "" : ", ") + escaped_name(word);
  }
  return text;
}

// What no role of the tool may have; the owner makes roles and databases where tenants have them.
std::vector<std::string> dangers_of(const FleetRole& role, const FleetRoleFacts& facts) {
  std::vector<std::string> dangers;
  for (const std::string& power : role.powers) {
    if (role.purpose != "owner" || (power != "CREATEROLE" && power != "CREATEDB")) {
      dangers.push_back(fmt::format("role {} has {}", escaped_name(role.name), power));
    }
  }
  if (!role.reaches.empty()) {
    dangers.push_back(fmt::format("role {} may act as {}, which may do too much",
                                  escaped_name(role.name), words(role.reaches)));
  }
  const bool inherits_all =
      role.purpose == "migrator" &&
      (facts.migrator_is_owner || (role.inherits && facts.server_version < 160000));
  if (role.is_there && inherits_all) {
    dangers.push_back(
        fmt::format("role {} has the owner's rights at any time: it must be NOINHERIT",
                    escaped_name(role.name)));
  }
  if (role.purpose == "status" && !role.groups.empty()) {
    dangers.push_back(
        fmt::format("role {} is a member of {}", escaped_name(role.name), words(role.groups)));
  }
  return dangers;
}

std::vector<std::string> all_dangers(const FleetRoleFacts& facts) {
  std::vector<std::string> dangers;
  for (const FleetRole* role : {&facts.owner, &facts.migrator, &facts.status}) {
    for (std::string& danger : dangers_of(*role, facts)) {
      dangers.push_back(std::move(danger));
    }
  }
  return dangers;
}

void add_role(std::vector<FleetRoleStep>& steps, const FleetRole& role, const FleetRoleFacts& facts,
              std::string_view attributes, std::string_view says) {
  if (role.is_there) {
    return;
  }
  const std::string name = quote_identifier(role.name);
  steps.push_back({.what = fmt::format("role {}: {}", escaped_name(role.name), says),
                   .sql = {fmt::format("CREATE ROLE {} {}", name, attributes),
                           fmt::format("COMMENT ON ROLE {} IS {}", name,
                                       quote_literal(comment_of(role.purpose, facts.database)))}});
}

[[noreturn]] void explain_steps(const pq::ServerError& error) {
  if (error.is(pq::insufficient_privilege)) {
    throw UsageError(
        fmt::format("the roles were left as they are: {}", told(error.fields().message)),
        "Roles are made by who has CREATEROLE, rights on the database given by its owner; --sql "
        "prints what is to be done.");
  }
  throw error;
}

using OwnTable = FleetRoleFacts::OwnTable;

std::string schemas_of(const std::vector<OwnTable>& tables, std::size_t first) {
  std::string text;
  for (std::size_t i = first; i < std::min(first + tables_at_a_time, tables.size()); ++i) {
    text += (text.empty() ? "" : ", ") + quote_identifier(tables[i].schema);
  }
  return text;
}

std::string names_of(const std::vector<OwnTable>& tables, std::size_t first) {
  std::string text;
  for (std::size_t i = first; i < std::min(first + tables_at_a_time, tables.size()); ++i) {
    text += (text.empty() ? "" : ", ") + quote_identifier(tables[i].schema) + "." +
            quote_identifier(tables[i].name);
  }
  return text;
}

void add_memberships(std::vector<FleetRoleStep>& steps, const FleetRoleFacts& facts) {
  const std::string owner = quote_identifier(facts.owner.name);
  const std::string_view alone =
      facts.server_version >= 160000 ? " WITH INHERIT FALSE, SET TRUE" : "";
  if (!facts.migrator_acts) {
    steps.push_back({.what = fmt::format("{} may act as {}", escaped_name(facts.migrator.name),
                                         escaped_name(facts.owner.name)),
                     .sql = {fmt::format("GRANT {} TO {}{}", owner,
                                         quote_identifier(facts.migrator.name), alone)}});
  }
  if (!facts.login_acts) {
    steps.push_back({.what = "and so may who installs",
                     .sql = {fmt::format("GRANT {} TO SESSION_USER{}", owner, alone)}});
  }
}

void add_own_schema(std::vector<FleetRoleStep>& steps, const FleetRoleFacts& facts) {
  const std::string status = quote_identifier(facts.status.name);
  if (facts.schema_owner.empty()) {
    steps.push_back(
        {.what = "schema tenantctl", .sql = {"CREATE SCHEMA tenantctl"}, .as_owner = true});
  }
  const bool is_owners = facts.schema_owner.empty() || facts.schema_owner == facts.owner.name;
  if (!is_owners || (facts.status_sees && facts.status_will_see)) {
    return;
  }
  steps.push_back(
      {.what = fmt::format("{} sees ledger and registry, and new version tables",
                           escaped_name(facts.status.name)),
       .sql = {"GRANT USAGE ON SCHEMA tenantctl TO " + status,
               "GRANT SELECT ON ALL TABLES IN SCHEMA tenantctl TO " + status,
               "ALTER DEFAULT PRIVILEGES IN SCHEMA tenantctl GRANT SELECT ON TABLES TO " + status},
       .as_owner = true});
}

void find_amiss_roles(std::vector<std::string>& amiss, const FleetRoleFacts& facts) {
  for (const FleetRole* role : {&facts.owner, &facts.migrator, &facts.status}) {
    if (!role->is_there) {
      amiss.push_back(
          fmt::format("there is no {} role {}", role->purpose, escaped_name(role->name)));
    }
  }
  for (std::string& danger : all_dangers(facts)) {
    amiss.push_back(std::move(danger));
  }
  if (facts.owner.may_log_in) {
    amiss.push_back(fmt::format("role {}, the owner, may log in", escaped_name(facts.owner.name)));
  }
  for (const FleetRole* role : {&facts.migrator, &facts.status}) {
    if (role->is_there && !(role->may_connect && role->may_log_in)) {
      amiss.push_back(fmt::format("role {} may not {}", escaped_name(role->name),
                                  role->may_log_in ? "connect to this database" : "log in"));
    }
  }
}

void find_amiss_rights(std::vector<std::string>& amiss, const FleetRoleFacts& facts) {
  const std::string owner = escaped_name(facts.owner.name);
  if (facts.owner.is_there && facts.migrator.is_there && !facts.migrator_acts) {
    amiss.push_back(
        fmt::format("role {} may not act as {}", escaped_name(facts.migrator.name), owner));
  }
  if (facts.owner.is_there && !facts.owner_creates) {
    amiss.push_back(fmt::format("role {} may not make schemas here", owner));
  }
  if (!facts.schema_owner.empty() && facts.schema_owner != facts.owner.name) {
    amiss.push_back(fmt::format("schema tenantctl belongs to {}, not to {}",
                                escaped_name(facts.schema_owner), owner));
  } else if (facts.status.is_there && !(facts.status_sees && facts.status_will_see)) {
    amiss.push_back(
        fmt::format("role {} does not see ledger and registry", escaped_name(facts.status.name)));
  }
}

}  // namespace

FleetRoleNames FleetRoles::complete(FleetRoleNames names) {
  std::string database;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT pg_catalog.current_database()",
                      .on_row = [&database](const pq::Row& row) { database = row.text(0); }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  std::set<std::string> different;
  for (auto& [name, end] : {std::pair<std::string&, const char*>{names.owner, "_owner"},
                            {names.migrator, "_migrator"},
                            {names.status, "_status"}}) {
    if (name.empty()) {
      name = database + end;
    }
    if (name.size() > longest_role) {
      throw UsageError(fmt::format("the role's name {} is longer than {} bytes", escaped_name(name),
                                   longest_role),
                       "Name it with --owner-role, --migrator-role or --status-role.");
    }
    different.insert(name);
  }
  if (different.size() < 3) {
    throw UsageError("owner, migrating and status role must be three",
                     "Name them with --owner-role, --migrator-role and --status-role.");
  }
  return names;
}

void FleetRoles::run(const std::vector<FleetRoleStep>& steps, const std::string& owner) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT pg_catalog.set_config('lock_timeout', '5s', true)"});
  // Two installs at once must not meet.
  messages.push_back({.sql = "SELECT pg_catalog.pg_advisory_xact_lock(1952670769, -1)"});
  bool as_owner = false;
  for (const FleetRoleStep& step : steps) {
    if (step.as_owner != as_owner) {
      messages.push_back({.sql = step.as_owner ? "SET LOCAL ROLE " + quote_identifier(owner)
                                               : "SET LOCAL ROLE NONE"});
      as_owner = step.as_owner;
    }
    for (const std::string& sql : step.sql) {
      messages.push_back({.sql = sql});
    }
  }
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline());
  } catch (const pq::ServerError& error) {
    explain_steps(error);
  }
}

std::vector<FleetRoleStep> plan_roles(const FleetRoleFacts& facts, bool without_execute) {
  const std::vector<std::string> dangers = all_dangers(facts);
  if (!dangers.empty()) {
    throw UsageError(dangers.front(), "Take it away (ALTER ROLE, REVOKE), or name another role.");
  }
  std::vector<FleetRoleStep> steps;
  add_role(steps, facts.owner, facts, "NOLOGIN", "owns everything, logs in to nothing");
  add_role(steps, facts.migrator, facts, "LOGIN NOINHERIT",
           fmt::format("logs in, may only act as {}", escaped_name(facts.owner.name)));
  add_role(steps, facts.status, facts, "LOGIN", "sees versions, ledger and registry alone");
  add_memberships(steps, facts);
  if (!facts.owner_creates) {
    steps.push_back({.what = "the owner may make schemas",
                     .sql = {fmt::format("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}",
                                         quote_identifier(facts.database),
                                         quote_identifier(facts.owner.name))}});
  }
  for (FleetRoleStep& step : plan_connecting(facts)) {
    step.as_owner = false;
    steps.push_back(std::move(step));
  }
  add_own_schema(steps, facts);
  if (without_execute) {
    steps.push_back({.what = "what the owner makes is not for everybody to call",
                     .sql = {"ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC"},
                     .as_owner = true});
  }
  return steps;
}

std::vector<FleetRoleStep> plan_connecting(const FleetRoleFacts& facts) {
  std::vector<FleetRoleStep> steps;
  for (const FleetRole* role : {&facts.migrator, &facts.status}) {
    if (role->may_connect) {
      continue;
    }
    steps.push_back(
        {.what = fmt::format("{} may connect", escaped_name(role->name)),
         .sql = {fmt::format("GRANT CONNECT ON DATABASE {} TO {}", quote_identifier(facts.database),
                             quote_identifier(role->name))},
         .as_owner = true});
  }
  return steps;
}

std::vector<FleetRoleStep> plan_reading(const FleetRoleFacts& facts) {
  const std::string status = quote_identifier(facts.status.name);
  std::vector<FleetRoleStep> steps;
  for (std::size_t i = 0; i < facts.unreadable.size(); i += tables_at_a_time) {
    steps.push_back(
        {.what = fmt::format("{} reads version tables", escaped_name(facts.status.name)),
         .sql = {fmt::format("GRANT USAGE ON SCHEMA {} TO {}", schemas_of(facts.unreadable, i),
                             status),
                 fmt::format("GRANT SELECT ON TABLE {} TO {}", names_of(facts.unreadable, i),
                             status)},
         .as_owner = true});
  }
  return steps;
}

std::vector<std::string> find_amiss(const FleetRoleFacts& facts) {
  std::vector<std::string> amiss;
  find_amiss_roles(amiss, facts);
  find_amiss_rights(amiss, facts);
  for (const auto& [owner, count] : facts.strangers) {
    amiss.push_back(fmt::format("{} of {}, not of {}: the tool calls them foreign",
                                counted(count, "version table"), escaped_name(owner),
                                escaped_name(facts.owner.name)));
  }
  if (!facts.definers.empty()) {
    amiss.push_back(
        fmt::format("{} of the schemas that {} may use, and anybody call, with the owner's rights "
                    "(SECURITY DEFINER), {} the first: REVOKE EXECUTE ON FUNCTION ... FROM PUBLIC",
                    counted(facts.definers.size(), "function"), escaped_name(facts.status.name),
                    escaped_name(facts.definers.front())));
  }
  if (!facts.reached.empty()) {
    amiss.push_back(fmt::format("{} that {} may read or change, {} the first: REVOKE it",
                                counted(facts.reached.size(), "table or view", "tables or views"),
                                escaped_name(facts.status.name),
                                escaped_name(facts.reached.front())));
  }
  if (facts.status.is_there && !facts.unreadable.empty()) {
    amiss.push_back(fmt::format(
        "{} that {} may not read, {} the first", counted(facts.unreadable.size(), "version table"),
        escaped_name(facts.status.name), escaped_name(facts.unreadable.front().schema)));
  }
  return amiss;
}

// As far as the current role itself has said so: nobody else's word counts here.
pq::Message read_status_roles(std::vector<std::string>& roles) {
  roles.clear();
  return {.sql =
              "SELECT s.rolname FROM pg_catalog.pg_namespace n "
              "JOIN pg_catalog.pg_roles o ON o.rolname OPERATOR(pg_catalog.=) CURRENT_USER "
              "JOIN pg_catalog.pg_default_acl d "
              "ON d.defaclrole OPERATOR(pg_catalog.=) o.oid "
              "AND d.defaclnamespace OPERATOR(pg_catalog.=) n.oid "
              "AND d.defaclobjtype OPERATOR(pg_catalog.=) 'r' "
              "CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a "
              "JOIN pg_catalog.pg_roles s ON s.oid OPERATOR(pg_catalog.=) a.grantee "
              "WHERE n.nspname OPERATOR(pg_catalog.=) 'tenantctl' "
              "AND a.privilege_type OPERATOR(pg_catalog.=) 'SELECT' "
              "AND s.oid OPERATOR(pg_catalog.<>) o.oid ORDER BY s.rolname",
          .on_row = [&roles](const pq::Row& row) { roles.emplace_back(row.text(0)); }};
}

std::string grant_reading(const std::vector<std::string>& roles, const std::string& schema,
                          std::string_view version_table) {
  std::string body = "\nBEGIN\n";
  for (const std::string& role : roles) {
    const std::string to = quote_identifier(role);
    body += fmt::format(
        "  IF EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::pg_catalog.text "
        "OPERATOR(pg_catalog.=) {}) THEN\n    GRANT USAGE ON SCHEMA {} TO {};\n"
        "    GRANT SELECT ON TABLE {}.{} TO {};\n  END IF;\n",
        quote_literal(role), quote_identifier(schema), to, quote_identifier(schema),
        quote_identifier(std::string(version_table)), to);
  }
  return "DO " + dollar_quoted(body + "END\n");
}

}  // namespace tenantctl
