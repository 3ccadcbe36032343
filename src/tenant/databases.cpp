#include "tenant/databases.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/number.h"
#include "base/text.h"
#include "pq/server_error.h"
#include "pq/transaction.h"
#include "tenant/fleet_roles.h"

namespace tenantctl {
namespace {

// Advisory lock class of templates; the second key is made of the name.
constexpr int template_lock_class = 1952670771;

}  // namespace

// In a flight with anything else the server would refuse it as part of a transaction.
void Databases::run(std::string sql) {
  std::vector<pq::Message> messages;
  messages.push_back({.sql = std::move(sql)});
  const pq::FlightAnswer answer =
      admin_.wait_for_answer(std::move(messages), pq::Clock::now() + patience_);
  if (const pq::Answer* failure = answer.failure()) {
    throw pq::ServerError(*failure->error);
  }
}

std::vector<FoundDatabase> Databases::find(const std::vector<std::string>& names) {
  std::vector<FoundDatabase> found;
  std::string list;
  for (const std::string& name : names) {
    list += (list.empty() ? "" : ", ") + quote_literal(name);
  }
  if (list.empty()) {
    return found;
  }
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format(
           "SELECT d.datname, pg_catalog.pg_get_userbyid(d.datdba), "
           "COALESCE(pg_catalog.shobj_description(d.oid, 'pg_database'), ''), d.datallowconn, "
           "d.datconnlimit = -2 FROM pg_catalog.pg_database d "
           "WHERE d.datname::pg_catalog.text IN ({}) ORDER BY d.datname",
           list),
       .on_row = [&found](const pq::Row& row) {
         found.push_back({.name = std::string(row.text(0)),
                          .owner = std::string(row.text(1)),
                          .comment = std::string(row.text(2)),
                          .takes_connections = row.text(3) == "t",
                          .is_broken = row.text(4) == "t"});
       }});
  pq::run_transaction(admin_, std::move(messages), pq::Access::read_only,
                      pq::Clock::now() + patience_);
  return found;
}

void Databases::create(const std::string& name, const std::string& source) {
  run(fmt::format("CREATE DATABASE {} WITH OWNER = {}{} ALLOW_CONNECTIONS = false",
                  quote_identifier(name), quote_identifier(roles_.owner),
                  source.empty() ? "" : " TEMPLATE = " + quote_identifier(source)));
}

void Databases::open(const std::string& name) {
  run(fmt::format("REVOKE ALL ON DATABASE {} FROM PUBLIC", quote_identifier(name)));
  for (const std::string& guest : roles_.guests) {
    run(fmt::format("GRANT CONNECT ON DATABASE {} TO {}", quote_identifier(name),
                    quote_identifier(guest)));
  }
  reopen(name);
}

void Databases::reopen(const std::string& name) { run(reopening(name).sql); }

pq::Message Databases::reopening(const std::string& name) {
  return {.sql = fmt::format("ALTER DATABASE {} WITH ALLOW_CONNECTIONS = true",
                             quote_identifier(name))};
}

void Databases::rename(const std::string& from, const std::string& to) {
  run(fmt::format("ALTER DATABASE {} RENAME TO {}", quote_identifier(from), quote_identifier(to)));
}

// Of the same login, left by a run that was killed, say: the role that it acts as may not.
void Databases::end_own_sessions(const std::string& name) {
  const std::string& role = admin_.connection().role();
  if (role.empty()) {
    return;
  }
  const pq::Deadline until = pq::Clock::now() + std::chrono::seconds(5);
  for (std::size_t count = 1; count > 0 && pq::Clock::now() < until;) {
    std::vector<pq::Message> messages;
    messages.push_back({.sql = "SELECT true" + pq::and_act_as(pq::login_role, true)});
    messages.push_back(
        {.sql = "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid)) "
                "FROM pg_catalog.pg_stat_activity a "
                "WHERE a.datname = $1::pg_catalog.name AND a.usename = SESSION_USER "
                "AND a.pid <> pg_catalog.pg_backend_pid()",
         .values = {name},
         .on_row = [&count](const pq::Row& row) { count = number_of<std::size_t>(row.text(0)); }});
    pq::run_transaction(admin_, std::move(messages), pq::Access::read_only,
                        pq::Clock::now() + patience_);
    if (count > 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
}

std::size_t Databases::end_sessions(const std::string& name, bool force) {
  if (force) {
    end_own_sessions(name);
  }
  const pq::Deadline until =
      pq::Clock::now() + std::min<std::chrono::milliseconds>(std::chrono::seconds(10), patience_);
  while (true) {
    std::size_t count = 0;
    std::vector<pq::Message> messages;
    // A worker of the server's own has no user. Whom we may not end is counted and left.
    messages.push_back(
        {.sql = "SELECT pg_catalog.count(*), pg_catalog.count(CASE WHEN $2 AND (SELECT "
                "pg_catalog.pg_has_role(a.usesysid, 'MEMBER') OR pg_catalog.pg_has_role("
                "'pg_signal_backend', 'MEMBER')) THEN pg_catalog.pg_terminate_backend(a.pid) END) "
                "FROM pg_catalog.pg_stat_activity a WHERE a.datname = $1::pg_catalog.name "
                "AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()",
         .values = {name, force ? "true" : "false"},
         .on_row = [&count](const pq::Row& row) { count = number_of<std::size_t>(row.text(0)); }});
    pq::run_transaction(admin_, std::move(messages), pq::Access::read_only,
                        pq::Clock::now() + patience_);
    if (count == 0 || !force || pq::Clock::now() >= until) {
      return count;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void Databases::shut(const std::string& name) {
  run(fmt::format("ALTER DATABASE {} WITH ALLOW_CONNECTIONS = false", quote_identifier(name)));
}

void Databases::drop(const std::string& name, bool force) {
  if (force) {
    end_own_sessions(name);
  }
  run(fmt::format("DROP DATABASE IF EXISTS {}{}", quote_identifier(name),
                  force ? " WITH (FORCE)" : ""));
}

void Databases::comment(const std::string& name, const std::string& text) {
  run(fmt::format("COMMENT ON DATABASE {} IS {}", quote_identifier(name), quote_literal(text)));
}

bool Databases::try_lock(const std::string& name) {
  bool is_locked = false;
  std::vector<pq::Message> messages;
  messages.push_back(
      {.sql = fmt::format("SELECT pg_catalog.pg_try_advisory_lock({}, pg_catalog.hashtext($1))",
                          template_lock_class),
       .values = {name},
       .on_row = [&is_locked](const pq::Row& row) { is_locked = row.text(0) == "t"; }});
  const pq::FlightAnswer answer =
      admin_.wait_for_answer(std::move(messages), pq::Clock::now() + patience_);
  if (const pq::Answer* failure = answer.failure()) {
    throw pq::ServerError(*failure->error);
  }
  return is_locked;
}

std::string server_identity(pq::Pipeline& pipeline, pq::Deadline deadline) {
  std::string server;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT s.system_identifier || '/' || (pg_catalog.date_part('epoch', "
                             "pg_catalog.pg_postmaster_start_time()) * 1000000)::pg_catalog.int8 "
                             "FROM pg_catalog.pg_control_system() s",
                      .on_row = [&server](const pq::Row& row) { server = row.text(0); }});
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  return server;
}

DatabaseRoles read_own_roles(pq::Pipeline& pipeline, pq::Deadline deadline) {
  DatabaseRoles roles;
  std::vector<pq::Message> messages;
  messages.push_back({.sql = "SELECT CURRENT_USER::pg_catalog.text, SESSION_USER::pg_catalog.text",
                      .on_row = [&roles](const pq::Row& row) {
                        roles.owner = row.text(0);
                        if (row.text(1) != row.text(0)) {
                          roles.guests.emplace_back(row.text(1));
                        }
                      }});
  std::vector<std::string> readers;
  messages.push_back(read_status_roles(readers));
  pq::run_transaction(pipeline, std::move(messages), pq::Access::read_only, deadline);
  roles.guests.insert(roles.guests.end(), readers.begin(), readers.end());
  return roles;
}

}  // namespace tenantctl
