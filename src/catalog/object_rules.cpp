// Objects that carry somebody across: definer functions, dependencies, side doors.

#include <fmt/format.h>

#include "base/number.h"
#include "catalog/judgement.h"

namespace tenantctl {

void judge_definers(Judgement& judgement) {
  judgement.ask(
      "SELECT p.pronamespace, p.oid::pg_catalog.regprocedure, p.proowner, "
      "NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS c (setting) "
      "WHERE c.setting LIKE 'search_path=%'), "
      "EXISTS (SELECT FROM pg_catalog.aclexplode(COALESCE(p.proacl, "
      "pg_catalog.acldefault('f', p.proowner))) AS x WHERE x.grantee = 0) "
      "FROM pg_catalog.pg_proc p "
      "JOIN pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid) ON s.oid = p.pronamespace "
      "WHERE p.prosecdef",
      {judgement.facts.path_oids()}, [&judgement](const pq::Row& row) {
        const std::string owner = judgement.facts.roles().name_of(number_of<Oid>(row.text(2)));
        if (row.text(3) == "t") {
          judgement.add(owner, std::string(row.text(1)), "its search_path is the caller's");
        }
        if (row.text(4) == "t") {
          judgement.add(owner, std::string(row.text(1)), "PUBLIC may execute it");
        }
      });
}

// From the objects in tenants' schemas outwards, over whole catalogs: a look-up for each row of
// pg_depend takes minutes on a catalog of thousands of schemas.
void judge_dependencies(Judgement& judgement) {
  judgement.ask(
      "WITH schemas AS (SELECT s.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) AS s (oid)), "
      "object AS MATERIALIZED (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid "
      "AS class, c.oid, c.relnamespace AS schema FROM pg_catalog.pg_class c "
      "JOIN schemas s ON s.oid = c.relnamespace UNION ALL "
      "SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.pronamespace "
      "FROM pg_catalog.pg_proc p JOIN schemas s ON s.oid = p.pronamespace UNION ALL "
      "SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typnamespace "
      "FROM pg_catalog.pg_type t JOIN schemas s ON s.oid = t.typnamespace), "
      "dependency AS MATERIALIZED (SELECT d.classid, d.objid, d.objsubid, d.refclassid, "
      "d.refobjid, d.refobjsubid, o.schema AS target, COALESCE(k.relnamespace, vc.relnamespace, "
      "p.pronamespace, co.connamespace, gc.relnamespace, ac.relnamespace, pc.relnamespace, "
      "ty.typnamespace) AS source "
      "FROM object o JOIN pg_catalog.pg_depend d ON d.refclassid = o.class AND d.refobjid = o.oid "
      "LEFT JOIN pg_catalog.pg_class k ON k.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass "
      "LEFT JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass "
      "LEFT JOIN pg_catalog.pg_class vc ON vc.oid = w.ev_class "
      "LEFT JOIN pg_catalog.pg_proc p ON p.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass "
      "LEFT JOIN pg_catalog.pg_constraint co ON co.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass "
      "LEFT JOIN pg_catalog.pg_trigger g ON g.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass "
      "LEFT JOIN pg_catalog.pg_class gc ON gc.oid = g.tgrelid "
      "LEFT JOIN pg_catalog.pg_attrdef ad ON ad.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass "
      "LEFT JOIN pg_catalog.pg_class ac ON ac.oid = ad.adrelid "
      "LEFT JOIN pg_catalog.pg_policy po ON po.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass "
      "LEFT JOIN pg_catalog.pg_class pc ON pc.oid = po.polrelid "
      "LEFT JOIN pg_catalog.pg_type ty ON ty.oid = d.objid "
      "AND d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass) "
      "SELECT DISTINCT x.source, x.target, "
      "pg_catalog.pg_describe_object(x.classid, x.objid, x.objsubid), "
      "pg_catalog.pg_describe_object(x.refclassid, x.refobjid, x.refobjsubid) "
      "FROM dependency x WHERE x.source <> x.target "
      "AND x.source <> 'pg_toast'::pg_catalog.regnamespace",
      {judgement.facts.schema_oids()}, [&judgement](const pq::Row& row) {
        judgement.add(judgement.facts.name_of_schema(number_of<Oid>(row.text(0))),
                      judgement.facts.name_of_schema(number_of<Oid>(row.text(1))),
                      fmt::format("{} depends on {}", row.text(2), row.text(3)));
      });
}

void judge_side_doors(Judgement& judgement) {
  judgement.ask(
      "SELECT l.lanname FROM pg_catalog.pg_language l WHERE NOT l.lanpltrusted "
      "AND l.lanname NOT IN ('internal', 'c')",
      {}, [&judgement](const pq::Row& row) {
        judgement.add("superusers", std::string(row.text(0)), "untrusted language");
      });
  judgement.ask(
      "SELECT s.srvname, x.grantee FROM pg_catalog.pg_foreign_server s "
      "CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(s.srvacl, "
      "pg_catalog.acldefault('S', s.srvowner))) AS x WHERE x.privilege_type = 'USAGE'",
      {}, [&judgement](const pq::Row& row) {
        const auto grantee = number_of<Oid>(row.text(1));
        if (grantee == 0 || !judgement.facts.outsiders(grantee, nullptr).empty()) {
          judgement.add(judgement.facts.roles().name_of(grantee), std::string(row.text(0)),
                        "may use the foreign server");
        }
      });
  judgement.ask(
      "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata "
      "HAVING pg_catalog.count(*) > 0",
      {}, [&judgement](const pq::Row& row) {
        judgement.add("database", "pg_largeobject",
                      fmt::format("{} large objects: they have no schema", row.text(0)));
      });
}

}  // namespace tenantctl
