#include "catalog/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "base/text.h"
#include "catalog/role_graph.h"
#include "pq/transaction.h"
#include "tenant/own_tables.h"

namespace tenantctl {
namespace {

constexpr std::string_view denied = "42501";

struct Relation {
  std::string name;
  std::string column;  ///< one that may be written; empty if there is none
  bool is_sequence = false;
  bool is_writable = false;
  bool is_shared = false;  ///< has the tenant column
};

/// What there is to cross into in one schema.
struct Targets {
  std::vector<Relation> relations;
  std::vector<std::string> calls;  ///< `f(x.a1) FROM (SELECT NULL::integer AS a1 OFFSET 0) x`
};

using Pair = std::pair<const AuditedTenant*, const AuditedTenant*>;

/// One transaction as one role against one tenant's things.
class Crossing {
 public:
  Crossing(pq::Pipeline& pipeline, const AuditFacts& facts, ProbeReport& report,
           std::chrono::milliseconds patience)
      : pipeline_(pipeline), facts_(facts), report_(report), patience_(patience) {}

  void run(const AuditedTenant& who, const AuditedTenant& whom) {
    who_ = &who;
    whom_ = &whom;
    const Targets targets = read_targets();
    // With row_security off, as a role or database may have it, a policy that shows too much would
    // be an error, which reads like a refusal.
    const pq::FlightAnswer begun =
        send({"BEGIN", "SET LOCAL statement_timeout = '5s'", "SET LOCAL lock_timeout = '1s'",
              "SET LOCAL search_path = pg_catalog, pg_temp", "SET LOCAL row_security = on",
              "SET LOCAL ROLE " + quote_identifier(who.role), "SAVEPOINT tenantctl_probe"});
    if (const pq::Answer* failure = begun.failure()) {
      add("P0", who.role, fmt::format("SET ROLE failed: {}", failure->error->message));
    } else if (who.isolation == "rows" && who.schema == whom.schema) {
      try_rows(targets);
    } else {
      try_schema(targets);
    }
    send({"ROLLBACK"});
  }

 private:
  pq::Deadline deadline() const { return pq::Clock::now() + patience_; }

  pq::FlightAnswer send(const std::vector<std::string>& statements) {
    std::vector<pq::Message> flight;
    for (const std::string& sql : statements) {
      flight.push_back({.sql = sql});
    }
    return pipeline_.wait_for_answer(std::move(flight), deadline());
  }

  void add(std::string_view rule, std::string object, std::string detail) {
    report_.findings.push_back({.rule = find_rule(rule),
                                .subject = who_->role,
                                .object = std::move(object),
                                .detail = single_line(detail)});
  }

  std::string qualified(const std::string& name) const {
    return quote_identifier(whom_->schema) + "." + quote_identifier(name);
  }

  std::string object(const std::string& name) const {
    return fmt::format("{}.{}", whom_->schema, name);
  }

  // As ourselves: what a tenant's role cannot see must be tried too.
  Targets read_targets() {
    Targets targets;
    std::vector<pq::Message> messages;
    messages.push_back(
        {.sql = "SELECT c.relname, c.relkind = 'S', c.relkind IN ('r', 'p', 'f') "
                "AND c.relname <> ALL ($3::pg_catalog.text[]), "
                "(SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid "
                "AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' "
                "AND a.attidentity <> 'a' ORDER BY a.attnum LIMIT 1), "
                "EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid "
                "AND a.attname = $2 AND NOT a.attisdropped) FROM pg_catalog.pg_class c "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 "
                "AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') ORDER BY c.relname",
         .values = {whom_->schema, facts_.input().tenant_column,
                    own_tables(facts_.input().version_table)},
         .on_row = [&targets](const pq::Row& row) {
           targets.relations.push_back({.name = std::string(row.text(0)),
                                        .column = std::string(row.text(3)),
                                        .is_sequence = row.text(1) == "t",
                                        .is_writable = row.text(2) == "t",
                                        .is_shared = row.text(4) == "t"});
         }});
    // Arguments come out of a subquery, so that the planner has no constants to call it with.
    messages.push_back(
        {.sql =
             "SELECT pg_catalog.quote_ident(p.proname) || '(' || COALESCE(pg_catalog.string_agg("
             "'x.a' || a.i, ', ' ORDER BY a.i), '') || ') FROM (SELECT ' || "
             "COALESCE(pg_catalog.string_agg('NULL::' || pg_catalog.format_type(a.type, NULL) "
             "|| ' AS a' || a.i, ', ' ORDER BY a.i), '') || ' OFFSET 0) AS x' "
             "FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
             "LEFT JOIN LATERAL pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) "
             "WITH ORDINALITY AS a (type, i) ON true WHERE n.nspname = $1 "
             "AND p.prokind = 'f' AND p.provariadic = 0 AND NOT EXISTS (SELECT "
             "FROM pg_catalog.unnest(p.proargtypes::pg_catalog.oid[]) AS t (oid) "
             "JOIN pg_catalog.pg_type y ON y.oid = t.oid WHERE y.typtype = 'p') "
             "AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, "
             "'pg_catalog.event_trigger'::pg_catalog.regtype) GROUP BY p.oid, p.proname",
         .values = {whom_->schema},
         .on_row = [&targets](const pq::Row& row) { targets.calls.emplace_back(row.text(0)); }});
    pq::run_transaction(pipeline_, std::move(messages), pq::Access::read_only, deadline());
    return targets;
  }

  /// Tries one statement; `rows_count` where the statement may run, and only rows prove a crossing.
  void attempt(std::string_view rule, const std::string& where, std::string_view what,
               const std::string& sql, bool rows_count = false) {
    bool has_rows = false;
    std::vector<pq::Message> flight;
    flight.push_back({.sql = "ROLLBACK TO SAVEPOINT tenantctl_probe"});
    flight.push_back(
        {.sql = sql, .on_row = [&has_rows](const pq::Row& /*row*/) { has_rows = true; }});
    const pq::FlightAnswer answer = pipeline_.wait_for_answer(std::move(flight), deadline());
    ++report_.attempts;
    const pq::Answer* failure = answer.failure();
    const std::string sqlstate = failure == nullptr ? "" : failure->error->sqlstate;
    if (sqlstate == denied || (failure == nullptr && rows_count && !has_rows)) {
      ++report_.denied;
    } else if (failure == nullptr) {
      add(rule, where, std::string(what));
    } else {
      judge_failure(rule, where, what, *failure);
    }
  }

  // Where rows are really inserted, constraints are checked behind rights and policies.
  void judge_failure(std::string_view rule, const std::string& where, std::string_view what,
                     const pq::Answer& failure) {
    const std::string& sqlstate = failure.error->sqlstate;
    const bool is_executed = who_->schema == whom_->schema;
    if ((is_executed && sqlstate.starts_with("23")) || sqlstate == "57014") {
      add(rule, where, fmt::format("{} was let through: {}", what, failure.error->message));
      return;
    }
    add("P0", where, fmt::format("{}: {} ({})", what, failure.error->message, sqlstate));
  }

  void try_schema(const Targets& targets) {
    for (const Relation& relation : targets.relations) {
      const std::string name = qualified(relation.name);
      const std::string where = object(relation.name);
      attempt("P1", where, "read", fmt::format("SELECT FROM {} LIMIT 1", name));
      if (relation.is_sequence) {
        // Asked, not tried: no rollback gives a number back.
        attempt("P2", where, "nextval",
                fmt::format("SELECT FROM (SELECT pg_catalog.has_sequence_privilege({}, "
                            "'USAGE, UPDATE') AS may) AS x WHERE x.may",
                            quote_literal(name)),
                true);
      }
      if (!relation.is_writable || relation.column.empty()) {
        continue;
      }
      const std::string column = quote_identifier(relation.column);
      attempt("P2", where, "INSERT",
              fmt::format("EXPLAIN INSERT INTO {} ({}) SELECT NULL WHERE false", name, column));
      attempt("P2", where, "UPDATE",
              fmt::format("EXPLAIN UPDATE {} SET {} = NULL WHERE false", name, column));
      attempt("P2", where, "DELETE", fmt::format("EXPLAIN DELETE FROM {} WHERE false", name));
    }
    attempt("P3", whom_->schema, "CREATE TABLE",
            fmt::format("CREATE TABLE {} ()", qualified("tenantctl_probe")));
    for (const std::string& call : targets.calls) {
      attempt("P4", object(call.substr(0, call.find('('))), "call",
              fmt::format("EXPLAIN SELECT {}.{}", quote_identifier(whom_->schema), call));
    }
  }

  void enter(const std::string& id) {
    send({"ROLLBACK TO SAVEPOINT tenantctl_probe",
          fmt::format("SELECT pg_catalog.set_config('tenantctl.tenant_id', {}, true)",
                      quote_literal(id)),
          "SAVEPOINT tenantctl_probe"});
  }

  void try_rows(const Targets& targets) {
    const std::string column = quote_identifier(facts_.input().tenant_column);
    const std::string other = quote_literal(whom_->id);
    for (const std::string& id : {std::string(), who_->id}) {
      enter(id);
      const std::string_view as = id.empty() ? " without a tenant" : "";
      for (const Relation& relation : targets.relations) {
        if (!relation.is_shared) {
          continue;
        }
        const std::string name = qualified(relation.name);
        const std::string where = object(relation.name);
        attempt("P1", where, fmt::format("read{}", as),
                id.empty() ? fmt::format("SELECT FROM {} LIMIT 1", name)
                           : fmt::format("SELECT FROM {} WHERE {}::pg_catalog.text = {} LIMIT 1",
                                         name, column, other),
                true);
        if (relation.is_writable) {
          attempt("P2", where, fmt::format("INSERT{}", as),
                  fmt::format("INSERT INTO {} ({}) VALUES ({})", name, column, other));
        }
      }
    }
  }

  pq::Pipeline& pipeline_;
  const AuditFacts& facts_;
  ProbeReport& report_;
  std::chrono::milliseconds patience_;
  const AuditedTenant* who_ = nullptr;
  const AuditedTenant* whom_ = nullptr;
};

std::vector<const AuditedTenant*> tenants_with_roles(const AuditFacts& facts) {
  std::vector<const AuditedTenant*> tenants;
  for (const AuditedTenant& tenant : facts.input().tenants) {
    if (facts.is_here(tenant) && facts.has_schema(tenant.schema) && !tenant.role.empty()) {
      tenants.push_back(&tenant);
    }
  }
  return tenants;
}

// The k-th of the n * (n - 1) ordered pairs.
Pair pair_of(const std::vector<const AuditedTenant*>& tenants, std::uint64_t k) {
  const std::uint64_t others = tenants.size() - 1;
  const std::uint64_t first = k / others;
  const std::uint64_t second = k % others;
  return {tenants[first], tenants[second < first ? second : second + 1]};
}

// Without repetition (Floyd's way), in the order of the numbers.
std::vector<std::uint64_t> sample(std::uint64_t possible, std::size_t wanted, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> chosen;
  const std::uint64_t count = std::min<std::uint64_t>(possible, wanted);
  for (std::uint64_t top = possible - count; top < possible; ++top) {
    const std::uint64_t k = random() % (top + 1);
    const bool is_taken = std::find(chosen.begin(), chosen.end(), k) != chosen.end();
    chosen.push_back(is_taken ? top : k);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace

ProbeReport probe_isolation(pq::Pipeline& pipeline, const AuditFacts& facts,
                            const ProbeOptions& options, std::chrono::milliseconds patience) {
  ProbeReport report;
  report.seed = options.seed;
  const auto tenants = tenants_with_roles(facts);
  report.possible = tenants.size() < 2 ? 0 : tenants.size() * (tenants.size() - 1);
  if (report.possible == 0) {
    report.findings.push_back({.rule = find_rule("P0"),
                               .subject = "tenants",
                               .object = "pairs",
                               .detail = "fewer than two registered tenants of this database have "
                                         "a runtime role: nothing was tried"});
    return report;
  }
  Crossing crossing(pipeline, facts, report, patience);
  for (const std::uint64_t k : sample(report.possible, options.pairs, options.seed)) {
    const auto [who, whom] = pair_of(tenants, k);
    crossing.run(*who, *whom);
    ++report.pairs;
  }
  return report;
}

}  // namespace tenantctl
