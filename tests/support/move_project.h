#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/database_project.h"
#include "support/process.h"

namespace tenantctl::testing {

inline constexpr auto moved_tables = R"(
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE countries (code text PRIMARY KEY);
INSERT INTO countries VALUES ('de'), ('fr');
CREATE TABLE customers (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL,
  country text REFERENCES countries, invited_by uuid REFERENCES customers, feels mood,
  shout text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE TABLE invoices (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  number bigint GENERATED ALWAYS AS IDENTITY, customer uuid NOT NULL REFERENCES customers,
  payload jsonb, raw bytea, ratio double precision, at timestamptz, tags text[]);
CREATE TABLE teams (id uuid PRIMARY KEY, lead uuid);
CREATE TABLE members (id uuid PRIMARY KEY, team uuid NOT NULL REFERENCES teams);
ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES members;
CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SEQUENCE tickets;
)";

/// The columns whose rows a test compares, of each table that is a tenant's own.
inline const std::vector<std::pair<std::string, std::string>> compared_tables{
    {"customers", "id, name, country, invited_by, feels, shout, tenant_id"},
    {"invoices", "id, number, customer, payload, raw, ratio, at, tags, tenant_id"},
    {"teams", "id, lead, tenant_id"},
    {"members", "id, team, tenant_id"},
    {"events", "at, what, tenant_id"}};

/// Tenants of shared rows, acme and beta, whose tables are protected and filled.
class MoveProject : public ManyDatabases {
 public:
  enum class Role : std::uint8_t { superuser, owner };

  /// As a role that row security binds, or as one that it does not.
  explicit MoveProject(Role role = Role::superuser) {
    if (role == Role::owner) {
      const std::string owner = database.second_role();
      database.execute("ALTER ROLE " + owner + " CREATEDB; GRANT CREATE ON DATABASE \"" +
                       database.name() + "\" TO " + owner);
      tool.set_variable("DATABASE_URL", database.conninfo_as(owner));
    }
    tool.set_variable("TENANTCTL_COMMON", "countries");
    write("tenant/0001_tables.sql", moved_tables,
          "DROP TABLE events, invoices, customers, countries; DROP TABLE teams, members CASCADE;");
    must({"registry", "init"});
    must({"gate", "install"});
    must({"tenant", "create", "acme", "beta", "--isolation", "rows", "--home", "home"});
    must({"rows", "protect"});
    must({"upgrade-all"});
    acme_ = database.value("SELECT id FROM tenantctl.tenant WHERE slug = 'acme'");
  }

  const std::string& acme() const { return acme_; }

  /// What psql prints in a database (empty: the project's), or its error.
  std::string ask(const std::string& where, const std::vector<std::string>& statements) const {
    std::vector<std::string> words{"psql", "-XAtq", "-v", "ON_ERROR_STOP=1",
                                   conninfo_to(where.empty() ? database.name() : where)};
    for (const std::string& statement : statements)
      words.insert(words.end(), {"-c", statement});
    const auto run = run_process(words);
    return run.exit_code == 0 ? run.out.substr(0, run.out.find_last_not_of('\n') + 1) : run.err;
  }

  /// Through the gate, as an application does.
  std::string as_tenant(const std::string& slug, const std::string& sql) const {
    return ask("", {"BEGIN", "SELECT tenantctl.enter('" + slug + "') IS NULL", sql, "COMMIT"});
  }

  // Policies do not bind the superuser who asks: each statement says whose rows it means.
  void fill(const std::string& slug, int count) const {
    const std::string own = "tenant_id = tenantctl.current_tenant()";
    as_tenant(slug,
              "INSERT INTO customers (name, country, feels) SELECT 'c' || n, 'de', 'glad' "
              "FROM generate_series(1, " +
                  std::to_string(count) + ") n");
    as_tenant(slug,
              "UPDATE customers SET invited_by = (SELECT min(id::text)::uuid FROM customers "
              "WHERE " +
                  own + "), country = NULL WHERE name LIKE '%1' AND " + own);
    as_tenant(slug,
              "INSERT INTO invoices (customer, payload, raw, ratio, at, tags) SELECT id, "
              "'{\"a\": [1, null, \"\u00e9\"]}', '\\x00ff5c0a', 0.1 + 0.2::float8, "
              "'2026-03-29 01:30:00.123456+00', ARRAY['a,b', NULL, E'tab\\t\\\\.'] FROM customers "
              "WHERE " +
                  own);
    as_tenant(slug,
              "INSERT INTO invoices (customer, ratio, at) SELECT id, 'NaN', '-infinity' "
              "FROM customers WHERE " +
                  own + " LIMIT 1");
    as_tenant(slug, "INSERT INTO teams (id) VALUES (gen_random_uuid())");
    as_tenant(
        slug,
        "INSERT INTO members (id, team) SELECT gen_random_uuid(), id FROM teams WHERE " + own);
    as_tenant(slug,
              "UPDATE teams SET lead = (SELECT id FROM members WHERE " + own + ") WHERE " + own);
    as_tenant(slug,
              "INSERT INTO events SELECT '2026-03-01', 'e' || n FROM generate_series(1, 9) n");
    ask("", {"SELECT nextval('home.tickets') FROM generate_series(1, 41)"});
  }

  /// What the server says of a tenant's rows in a schema of a database.
  std::string hashes(const std::string& where, const std::string& schema) const {
    std::string all;
    for (const auto& [table, columns] : compared_tables) {
      all += table + " " +
             ask(where, {"SELECT count(*) || ' ' || md5(coalesce(string_agg(x, '|' ORDER BY x), "
                         "'')) FROM (SELECT ROW(" +
                         columns + ")::text AS x FROM " + schema + "." + table +
                         " WHERE tenant_id = '" + acme_ + "') r"}) +
             "\n";
    }
    return all;
  }

  std::string place() const {
    return ask("",
               {"SELECT isolation || ' ' || state || ' ' || schema_name || "
                "coalesce(' ' || database_name, '') FROM tenantctl.tenant WHERE slug = 'acme'"});
  }

  std::string moves() const { return ask("", {"SELECT count(*) FROM tenantctl.move"}); }

  void move(const std::string& to) const { must({"tenant", "move", "acme", "--to", to}); }
  void confirm() const { must({"tenant", "move", "acme", "--confirm"}); }

  /// Waits until `sql` answers `wanted`.
  bool comes(const std::string& sql, const std::string& wanted) const {
    for (int tries = 0; tries < 200; ++tries) {
      if (ask("", {sql}) == wanted)
        return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }

 private:
  std::string acme_;
};

}  // namespace tenantctl::testing
