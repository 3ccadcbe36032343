#include "tenant/runtime_roles.h"

#include <fmt/format.h>

#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "base/text.h"
#include "pq/server_error.h"
#include "pq/transaction.h"
#include "tenant/own_tables.h"

namespace tenantctl {
namespace {

constexpr std::size_t most_bytes = 63;

// What our own blocks raise; class TC is nobody else's.
constexpr std::string_view taken = "TC027";
// What the comment of a tenant's own role says, in front of the registry's database.
constexpr std::string_view own_purpose = "tenantctl: runtime role of one tenant in database ";
constexpr std::string_view dependent_objects = "2BP01";

constexpr std::string_view gate_functions =
    "tenantctl.admission(text, text), tenantctl.enter(text, text), tenantctl.current_tenant(), "
    "tenantctl.require_tenant(), tenantctl.leave(), tenantctl.looks_across()";

pq::Message role_block(const std::string& body) {
  return {.sql = "DO " + dollar_quoted(fmt::format("\nBEGIN\n{}END\n", body))};
}

std::string exists(const std::string& role) {
  return fmt::format("EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::text = {})",
                     quote_literal(role));
}

// CREATE ROLE knows no IF NOT EXISTS; whoever bears the name without our comment is a stranger.
pq::Message make_role(const std::string& role, const std::string& purpose) {
  return role_block(fmt::format(
      "  IF NOT {0} THEN\n    CREATE ROLE {1} NOLOGIN;\n    COMMENT ON ROLE {1} IS {2};\n"
      "  ELSIF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::text = {3} AND "
      "pg_catalog.shobj_description(r.oid, 'pg_authid') = {2} AND NOT r.rolsuper) THEN\n"
      "    RAISE EXCEPTION USING ERRCODE = '{4}', MESSAGE = {3};\n  END IF;\n",
      exists(role), quote_identifier(role), quote_literal(purpose), quote_literal(role), taken));
}

[[noreturn]] void explain_roles(const pq::ServerError& error) {
  if (error.is(taken)) {
    throw UsageError(
        fmt::format("role {} is there, and not ours", escaped_name(error.fields().message)),
        "Rename it, or name a role of your own with --runtime-role NAME.");
  }
  if (error.is(pq::insufficient_privilege)) {
    throw UsageError(
        fmt::format("the runtime role cannot be made: {}", told(error.fields().message)),
        "Roles are made by who has CREATEROLE; --runtime-role NAME takes one that is "
        "there.");
  }
  if (error.is(pq::undefined_object)) {
    throw UsageError(
        fmt::format("the runtime role was left as it is: {}", told(error.fields().message)),
        "Make the role first, with CREATE ROLE.");
  }
  throw error;
}

}  // namespace

RuntimeRoles::RuntimeRoles(pq::Pipeline& pipeline, std::string version_table,
                           std::chrono::milliseconds patience, std::string database)
    : pipeline_(pipeline),
      version_table_(std::move(version_table)),
      patience_(patience),
      database_(std::move(database)) {}

std::string RuntimeRoles::name_of(std::string_view database, std::string_view schema) {
  std::string name = fmt::format("rt_{}_{}", database, schema);
  if (name.size() <= most_bytes) {
    return name;
  }
  constexpr std::size_t digits = 12;
  std::size_t end = most_bytes - digits - 1;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return name.substr(0, end) + "_" + sha256_hex(name).substr(0, digits);
}

std::string RuntimeRoles::database() {
  if (database_.empty()) {
    std::vector<pq::Message> messages;
    messages.push_back({.sql = "SELECT pg_catalog.current_database()",
                        .on_row = [this](const pq::Row& row) { database_ = row.text(0); }});
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  }
  return database_;
}

// Not which: a tenant may be renamed. The registry says that.
std::string RuntimeRoles::purpose() { return fmt::format("{}{}", own_purpose, database()); }

void RuntimeRoles::run(std::vector<pq::Message> messages) {
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline());
  } catch (const pq::ServerError& error) {
    explain_roles(error);
  }
}

void RuntimeRoles::check_given(const std::string& role) {
  std::string found;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("SELECT CASE WHEN r.rolsuper OR r.rolbypassrls THEN 'all' WHEN "
                          "pg_catalog.shobj_description(r.oid, 'pg_authid') LIKE {} THEN 'own' "
                          "ELSE 'given' END FROM pg_catalog.pg_roles r "
                          "WHERE r.rolname::pg_catalog.text = $1",
                          quote_literal(fmt::format("{}%", own_purpose))),
       .values = {role},
       .on_row = [&found](const pq::Row& row) { found = row.text(0); }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  if (found.empty()) {
    throw UsageError(fmt::format("there is no role {}", escaped_name(role)),
                     "Make it first, with CREATE ROLE, or say --runtime-role per-tenant.");
  }
  if (found == "own") {
    throw UsageError(fmt::format("role {} is a tenant's own", escaped_name(role)),
                     "Name another; --runtime-role per-tenant makes one for each.");
  }
  if (found == "all") {
    throw UsageError(
        fmt::format("role {} sees every tenant's rows whatever is granted", escaped_name(role)),
        "Name one that is no superuser and has no BYPASSRLS.");
  }
}

void RuntimeRoles::check_free(const std::vector<std::string>& roles) {
  std::string stranger;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = "SELECT r.rolname FROM pg_catalog.pg_roles r "
              "WHERE r.rolname::pg_catalog.text = ANY ($1::pg_catalog.text[]) AND (r.rolsuper OR "
              "pg_catalog.shobj_description(r.oid, 'pg_authid') IS DISTINCT FROM $2)",
       .values = {array_of(roles), purpose()},
       .on_row = [&stranger](const pq::Row& row) { stranger = row.text(0); }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  if (!stranger.empty()) {
    explain_roles(pq::ServerError({.sqlstate = std::string(taken), .message = stranger}));
  }
}

namespace {

std::string revoke_if_there(const std::string& schema, const std::string& table,
                            const std::string& role) {
  return "DO " +
         dollar_quoted(fmt::format(
             "BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_class c "
             "JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
             "WHERE n.nspname OPERATOR(pg_catalog.=) {} AND c.relname "
             "OPERATOR(pg_catalog.=) {}) THEN REVOKE ALL ON {}.{} FROM {}; END IF; END",
             quote_literal(schema), quote_literal(table), quote_identifier(schema),
             quote_identifier(table), quote_identifier(role)));
}

}  // namespace

void RuntimeRoles::add_grants(std::vector<pq::Message>& messages, const std::string& role,
                              const std::string& schema) const {
  const std::string to = quote_identifier(role);
  const std::string in = quote_identifier(schema);
  const std::string defaults = fmt::format("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT ", in);
  for (const std::string& sql :
       {fmt::format("REVOKE ALL ON SCHEMA {} FROM PUBLIC", in),
        fmt::format("GRANT USAGE ON SCHEMA {} TO {}", in, to),
        fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {} TO {}", in,
                    to),
        fmt::format("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {} TO {}", in, to),
        fmt::format("GRANT EXECUTE ON ALL ROUTINES IN SCHEMA {} TO {}", in, to),
        fmt::format("REVOKE ALL ON {}.{} FROM {}", in, quote_identifier(version_table_), to),
        revoke_if_there(schema, seed_table_name(version_table_), role),
        fmt::format("{}SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}", defaults, to),
        fmt::format("{}USAGE, SELECT ON SEQUENCES TO {}", defaults, to),
        fmt::format("{}EXECUTE ON ROUTINES TO {}", defaults, to)}) {
    messages.push_back({.sql = sql});
  }
}

void RuntimeRoles::make(const std::string& role, const std::string& schema,
                        const std::vector<std::string>& members) {
  const std::string ours = purpose();
  const std::string group = name_of(database_, "");
  const std::string quoted_group = quote_identifier(group);
  std::vector<pq::Message> messages;
  // Two runs that make the group at once must not meet.
  messages.push_back({.sql = "SELECT pg_catalog.pg_advisory_xact_lock(1952670771)"});
  messages.push_back(make_role(
      group, fmt::format("tenantctl: group of the runtime roles in database {}", database_)));
  messages.push_back(role_block(fmt::format(
      "  IF EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = "
      "p.pronamespace WHERE n.nspname = 'tenantctl' AND p.proname = 'enter' AND NOT "
      "pg_catalog.has_function_privilege({0}, p.oid, 'EXECUTE')) THEN\n"
      "    GRANT USAGE ON SCHEMA tenantctl TO {1};\n    GRANT EXECUTE ON FUNCTION {2} TO {1};\n"
      "  END IF;\n",
      quote_literal(group), quoted_group, gate_functions)));
  messages.push_back(make_role(role, ours));
  messages.push_back({.sql = fmt::format("GRANT {} TO {}", quoted_group, quote_identifier(role))});
  for (const std::string& member : members) {
    messages.push_back(
        {.sql = fmt::format("GRANT {} TO {}", quote_identifier(role), quote_identifier(member))});
  }
  add_grants(messages, role, schema);
  run(std::move(messages));
}

void RuntimeRoles::grant(const std::string& role, const std::string& schema) {
  std::vector<pq::Message> messages;
  add_grants(messages, role, schema);
  run(std::move(messages));
}

// Its members too: who is no heir of a role's rights must connect by its own.
pq::Message RuntimeRoles::let_connect(const std::string& role) {
  return {.sql = "DO " +
                 dollar_quoted(fmt::format(
                     "\nDECLARE\n  guest pg_catalog.text;\nBEGIN\n"
                     "  FOR guest IN SELECT r.rolname FROM pg_catalog.pg_roles r WHERE "
                     "r.rolname::pg_catalog.text = {0} OR r.oid IN (SELECT m.member FROM "
                     "pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid "
                     "WHERE g.rolname::pg_catalog.text = {0}) LOOP\n"
                     "    EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO %I', "
                     "pg_catalog.current_database(), guest);\n  END LOOP;\nEND\n",
                     quote_literal(role)))};
}

void RuntimeRoles::make_inside(const std::string& role, const std::string& schema,
                               const std::vector<std::string>& members) {
  std::vector<pq::Message> messages;
  messages.push_back(make_role(role, purpose()));
  for (const std::string& member : members) {
    messages.push_back(
        {.sql = fmt::format("GRANT {} TO {}", quote_identifier(role), quote_identifier(member))});
  }
  messages.push_back(let_connect(role));
  add_grants(messages, role, schema);
  run(std::move(messages));
}

void RuntimeRoles::grant_inside(const std::string& role, const std::string& schema) {
  std::vector<pq::Message> messages;
  messages.push_back(let_connect(role));
  add_grants(messages, role, schema);
  run(std::move(messages));
}

bool RuntimeRoles::is_ours(const std::string& role) {
  bool is_ours = false;
  std::vector<pq::Message> messages;
  messages.push_back({.sql =
                          "SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::pg_catalog.text = $1 "
                          "AND pg_catalog.shobj_description(r.oid, 'pg_authid') = $2",
                      .values = {role, purpose()},
                      .on_row = [&is_ours](const pq::Row& /*row*/) { is_ours = true; }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  return is_ours;
}

RuntimeRoles::Found RuntimeRoles::find(const std::vector<std::string>& roles,
                                       const std::vector<std::string>& members) {
  // From 16 on whoever makes a role is a member of it, as whom nobody may act.
  constexpr int grants_have_options = 160000;
  const std::string able = fmt::format(
      "(SELECT g.rolname::pg_catalog.text AS name FROM pg_catalog.pg_auth_members m JOIN "
      "pg_catalog.pg_roles g ON g.oid = m.member WHERE m.roleid = r.oid{})",
      pipeline_.connection().server_version() >= grants_have_options ? " AND m.set_option" : "");
  Found found;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format(
           "SELECT w.name, r.oid IS NULL, pg_catalog.shobj_description(r.oid, 'pg_authid') = $2 "
           "AND NOT r.rolsuper AND NOT r.rolbypassrls AND NOT EXISTS (SELECT FROM "
           "pg_catalog.unnest($3::pg_catalog.text[]) AS a (name) WHERE a.name NOT IN {0}) "
           "AND NOT EXISTS (SELECT FROM {0} AS a WHERE a.name <> CURRENT_USER AND a.name <> ALL "
           "($3::pg_catalog.text[])) FROM pg_catalog.unnest($1::pg_catalog.text[]) AS w (name) "
           "LEFT JOIN pg_catalog.pg_roles r ON r.rolname::pg_catalog.text = w.name",
           able),
       .values = {array_of(roles), purpose(), array_of(members)},
       .on_row = [&found](const pq::Row& row) {
         if (row.text(1) == "t") {
           found.absent.emplace(row.text(0));
         } else if (row.text(2) == "t") {
           found.fitting.emplace(row.text(0));
         }
       }});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  return found;
}

pq::Message RuntimeRoles::drop_along(const std::string& role) {
  return role_block(fmt::format(
      "  IF EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname::text = {} AND "
      "pg_catalog.shobj_description(r.oid, 'pg_authid') = {}) THEN\n"
      "    BEGIN\n      DROP ROLE {};\n"
      "    EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN NULL;\n"
      "    END;\n  END IF;\n",
      quote_literal(role), quote_literal(purpose()), quote_identifier(role)));
}

bool RuntimeRoles::drop(const std::string& role) {
  if (!is_ours(role)) {
    return false;
  }
  std::vector<pq::Message> last;
  last.push_back({.sql = fmt::format("DROP ROLE {}", quote_identifier(role))});
  try {
    pq::run_transaction(pipeline_, std::move(last), pq::Access::read_write, deadline());
  } catch (const pq::ServerError& error) {
    if (!error.is(dependent_objects)) {
      throw;
    }
    throw UsageError(fmt::format("role {} is kept, something else depends on it: {}",
                                 escaped_name(role), told(error.fields().detail)),
                     "DROP OWNED BY it in each database, then DROP ROLE.");
  }
  return true;
}

}  // namespace tenantctl
