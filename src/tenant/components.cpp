#include "tenant/components.h"

#include <fmt/format.h>

#include <optional>

#include "base/number.h"
#include "base/text.h"
#include "pq/transaction.h"

namespace tenantctl {
namespace {

// What our own checks raise; class TC is nobody else's.
constexpr std::string_view absent = "TC021";
constexpr std::string_view foreign = "TC022";
constexpr std::string_view newer = "TC023";
constexpr std::string_view older = "TC024";
constexpr std::string_view moved = "TC025";

std::string raise(std::string_view sqlstate, std::string_view message) {
  return fmt::format("RAISE EXCEPTION USING ERRCODE = '{}', MESSAGE = {};", sqlstate,
                     quote_literal(message));
}

// A role's name may hold any tag.
pq::Message block(const std::string& body) { return {.sql = "DO " + dollar_quoted(body)}; }

std::string literals(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "" : ", ") + quote_literal(name);
  }
  return text;
}

// Over pg_class c and pg_namespace n: a table of the tool's may be trusted. As version tables are
// judged, but that it may bear triggers whose functions are ours and stand in schema tenantctl.
std::string own_table_condition(const std::vector<std::string>& owners) {
  const std::string roles =
      "(CURRENT_USER::pg_catalog.text" + (owners.empty() ? "" : ", " + literals(owners)) + ")";
  return fmt::format(
      "c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relhasrules AND NOT c.relrowsecurity "
      "AND NOT c.relispartition "
      "AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid) "
      "AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid) "
      "AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid "
      "AND NOT t.tgisinternal AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p "
      "WHERE p.oid = t.tgfoid AND p.pronamespace = n.oid "
      "AND pg_catalog.pg_get_userbyid(p.proowner)::pg_catalog.text IN {0})) "
      "AND pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text IN {0} "
      "AND pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text IN {0}",
      roles);
}

// Planted tables would run their triggers as the migrating role.
std::string refuse_foreign(const std::vector<std::string>& tables,
                           const std::vector<std::string>& owners) {
  return fmt::format(
      "  SELECT pg_catalog.count(*) FILTER (WHERE {0}) INTO ours FROM pg_catalog.pg_class c "
      "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
      "WHERE n.nspname = 'tenantctl' AND c.relname IN ({1});\n"
      "  IF ours <> {2} THEN {3} END IF;\n",
      own_table_condition(owners), literals(tables), tables.size(),
      raise(foreign, "schema tenantctl or its tables are not ours alone"));
}

constexpr std::string_view declarations =
    "DECLARE\n  ours pg_catalog.int8;\n  installed pg_catalog.int4;\nBEGIN\n";

constexpr std::string_view find_component =
    "  IF NOT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
    "ON n.oid = c.relnamespace WHERE n.nspname = 'tenantctl' AND c.relname = 'component') THEN ";

std::string read_version(const Component& component) {
  return fmt::format(
      "  SELECT k.version INTO installed FROM tenantctl.component k WHERE k.name = {};\n",
      quote_literal(component.name));
}

pq::Message check(const Component& component, const std::vector<std::string>& owners) {
  const std::string none = raise(absent, "the component is not installed");
  return block(fmt::format(
      "\n{0}{1}{2} END IF;\n{3}{4}  IF installed IS NULL THEN {2} END IF;\n"
      "  IF installed > {5} THEN {6} END IF;\n  IF installed < {5} THEN {7} END IF;\n{8}END\n",
      declarations, find_component, none, refuse_foreign({"component"}, owners),
      read_version(component), component.version(), raise(newer, "the component is newer"),
      raise(older, "the component is older"), refuse_foreign(component.tables, owners)));
}

pq::Message set_lock_timeout() {
  return {.sql = "SELECT pg_catalog.set_config('lock_timeout', '5s', true)"};
}

// Of schema tenantctl itself: the ledger is made under the same lock.
pq::Message lock_schema() {
  return {.sql = "SELECT pg_catalog.pg_advisory_xact_lock(1952670769, -1)"};
}

pq::Message refuse_foreign_schema(const std::vector<std::string>& owners) {
  const std::string among = owners.empty() ? "" : ", " + literals(owners);
  return block(fmt::format(
      "BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = 'tenantctl' AND "
      "pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text NOT IN "
      "(CURRENT_USER::pg_catalog.text{})) THEN {} END IF; END",
      among, raise(foreign, "schema tenantctl is not ours")));
}

std::string_view installer_of(const Component& component) {
  if (component.name == "moves") {
    return "tenant move";
  }
  return component.name == "registry" ? "registry init" : "gate install";
}

}  // namespace

int Components::version_of(const Component& component) {
  int version = 0;
  std::vector<pq::Message> messages;
  messages.push_back(block(fmt::format("\n{}{}{} END IF;\n{}END\n", declarations, find_component,
                                       raise(absent, "nothing is installed"),
                                       refuse_foreign({"component"}, owners_))));
  messages.push_back(
      {.sql = "SELECT k.version FROM tenantctl.component k WHERE k.name = $1",
       .values = {component.name},
       .on_row = [&version](const pq::Row& row) { version = number_of<int>(row.text(0)); }});
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  } catch (const pq::ServerError& error) {
    if (!error.is(absent)) {
      explain(error, component);
    }
  }
  return version;
}

Installed Components::install(const Component& component) {
  constexpr int most_tries = 3;
  for (int tries = 1;; ++tries) {
    const int before = version_of(component);
    if (before > component.version()) {
      explain(pq::ServerError({.sqlstate = std::string(newer)}), component);
    }
    try {
      if (before < component.version()) {
        upgrade(component, before);
      }
      return {.before = before, .after = component.version()};
    } catch (const pq::ServerError& error) {
      if (!error.is(moved) || tries == most_tries) {
        explain(error, component);
      }
    }
  }
}

void Components::upgrade(const Component& component, int from) {
  std::vector<pq::Message> messages;
  messages.push_back(set_lock_timeout());
  messages.push_back(lock_schema());
  messages.push_back(refuse_foreign_schema(owners_));
  messages.push_back({.sql = "CREATE SCHEMA IF NOT EXISTS tenantctl"});
  messages.push_back(
      {.sql = "CREATE TABLE IF NOT EXISTS tenantctl.component (\n"
              "  name text PRIMARY KEY,\n"
              "  version integer NOT NULL,\n"
              "  tool_version text NOT NULL,\n"
              "  installed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()\n"
              ")"});
  messages.push_back(
      block(fmt::format("\n{}{}{}  IF COALESCE(installed, 0) <> {} THEN {} END IF;\nEND\n",
                        declarations, refuse_foreign({"component"}, owners_),
                        read_version(component), from, raise(moved, "somebody else was quicker"))));
  for (int version = from; version < component.version(); ++version) {
    for (const std::string& statement : component.versions.at(static_cast<std::size_t>(version))) {
      messages.push_back({.sql = statement});
    }
  }
  messages.push_back({.sql = "INSERT INTO tenantctl.component AS k (name, version, tool_version) "
                             "VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET "
                             "version = EXCLUDED.version, tool_version = EXCLUDED.tool_version, "
                             "installed_at = EXCLUDED.installed_at",
                      .values = {component.name, fmt::to_string(component.version()),
                                 std::string(TENANTCTL_VERSION)}});
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline());
}

void Components::explain(const pq::ServerError& error, const Component& component) {
  if (error.is(foreign)) {
    throw UsageError(fmt::format("the {} cannot be used: schema tenantctl or its tables are not "
                                 "ours alone",
                                 component.name),
                     "Look at their owner, at triggers and rules; --owner names roles to trust.");
  }
  if (error.is(newer)) {
    throw UsageError(
        fmt::format("the {} cannot be used: a newer tenantctl installed it", component.name),
        "Use that version, or a newer one.");
  }
  if (error.is(older)) {
    throw UsageError(
        fmt::format("the {} cannot be used: an older tenantctl installed it", component.name),
        fmt::format("tenantctl {} takes it to this version.", installer_of(component)));
  }
  if (error.is(absent)) {
    throw UsageError(fmt::format("there is no {} in this database", component.name),
                     fmt::format("tenantctl {} installs it.", installer_of(component)));
  }
  throw error;
}

void Components::write(const Component& component, std::vector<pq::Message> messages) {
  try {
    run(checked(component, std::move(messages)));
  } catch (const pq::ServerError& error) {
    explain(error, component);
  }
}

void Components::run(std::vector<pq::Message> messages) {
  pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_write, deadline());
}

std::vector<pq::Message> Components::checked(const Component& component,
                                             std::vector<pq::Message> messages) {
  messages.insert(messages.begin(), check(component, owners_));
  messages.insert(messages.begin(), set_lock_timeout());
  return messages;
}

bool Components::read(const Component& component, std::vector<pq::Message> messages) {
  messages.insert(messages.begin(), check(component, owners_));
  try {
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
  } catch (const pq::ServerError& error) {
    if (!error.is(absent)) {
      explain(error, component);
    }
    return false;
  }
  return true;
}

}  // namespace tenantctl
