// Whether what is registered is there, once, and whose it is.

#include <fmt/format.h>

#include <map>

#include "base/number.h"
#include "base/text.h"
#include "catalog/judgement.h"

namespace tenantctl {
namespace {

// Of the others nobody promises that their place exists (yet, or still).
bool is_in_use(const AuditedTenant& tenant) {
  return tenant.state == "ready" || tenant.state == "suspended";
}

void judge_place(Judgement& judgement, const AuditedTenant& tenant) {
  const AuditFacts& facts = judgement.facts;
  if (tenant.isolation == "database") {
    if (tenant.cluster.empty() && !facts.has_database(tenant.database)) {
      judgement.add(tenant.name, tenant.database, "there is no such database");
    }
    return;
  }
  if (!facts.is_here(tenant)) {
    return;
  }
  if (!facts.has_schema(tenant.schema)) {
    judgement.add(tenant.name, tenant.schema, "there is no such schema");
  } else if (!tenant.is_marked) {
    judgement.add(tenant.name, tenant.schema, "the schema has no version table");
  }
}

}  // namespace

void judge_registry(Judgement& judgement) {
  for (const AuditedTenant& tenant : judgement.facts.input().tenants) {
    if (!tenant.is_known()) {
      judgement.add(tenant.name, tenant.schema, "has a version table, but is not registered");
      continue;
    }
    if (!is_in_use(tenant)) {
      continue;
    }
    judge_place(judgement, tenant);
    if (tenant.cluster.empty() && !tenant.role.empty() &&
        judgement.facts.roles().find(tenant.role) == nullptr) {
      judgement.add(tenant.name, tenant.role, "there is no such role");
    }
  }
}

void judge_shared_places(Judgement& judgement) {
  // By folded name: clients that do not quote meet in the same schema.
  std::map<std::string, std::vector<const AuditedTenant*>> places;
  for (const AuditedTenant& tenant : judgement.facts.input().tenants) {
    if (tenant.is_registered() && judgement.facts.is_here(tenant)) {
      places[lowered(tenant.schema)].push_back(&tenant);
    }
  }
  for (const auto& [place, tenants] : places) {
    std::size_t alone = 0;
    for (const AuditedTenant* tenant : tenants) {
      alone += tenant->isolation == "schema" ? 1 : 0;
    }
    if (tenants.size() > 1 && alone > 0) {
      judgement.add(
          tenants.front()->name, tenants.front()->schema,
          fmt::format("also the place of {}{}", tenants[1]->name,
                      tenants.size() > 2 ? fmt::format(" and {} more", tenants.size() - 2) : ""));
    }
  }
}

void judge_owners(Judgement& judgement) {
  const AuditFacts& facts = judgement.facts;
  for (const auto& [oid, schema] : facts.schemas()) {
    if (!facts.is_trusted_owner(schema.owner)) {
      judgement.add(facts.roles().name_of(schema.owner), schema.name, "owns the schema");
    }
  }
  judgement.ask(
      "SELECT n.oid, o.name, o.owner FROM pg_catalog.pg_namespace n "
      "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid) ON s.oid = n.oid "
      "JOIN (SELECT c.relnamespace, c.relname, c.relowner FROM pg_catalog.pg_class c "
      "WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') UNION ALL "
      "SELECT p.pronamespace, p.proname, p.proowner FROM pg_catalog.pg_proc p) "
      "AS o (schema, name, owner) ON o.schema = n.oid WHERE o.owner <> n.nspowner",
      {facts.schema_oids()}, [&judgement](const pq::Row& row) {
        const auto owner = number_of<Oid>(row.text(2));
        if (!judgement.facts.is_trusted_owner(owner)) {
          judgement.add(
              judgement.facts.roles().name_of(owner),
              fmt::format("{}.{}", judgement.facts.name_of_schema(number_of<Oid>(row.text(0))),
                          row.text(1)),
              "owns it, but not the schema");
        }
      });
}

}  // namespace tenantctl
