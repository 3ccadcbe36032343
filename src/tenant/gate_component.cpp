#include "tenant/gate_component.h"

namespace tenantctl {
namespace {

constexpr auto create_table = R"(CREATE TABLE tenantctl.gate (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version_table text NOT NULL DEFAULT 'tenantctl_version',
  path_behind text NOT NULL DEFAULT ', pg_temp',
  admin_role text
))";

// Runs with the owner's rights, so that a runtime role reads no table of ours: it learns of the one
// tenant that it asks for. The head comes from the mark: a version table is never opened, whoever
// owns it. The settings are not its business: its own path is pinned.
std::string create_admission(const std::string& create) {
  return create + R"( FUNCTION tenantctl.admission(slug text, minimum_revision text,
  OUT tenant_id uuid, OUT path text, OUT runtime_role text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  asked tenantctl.tenant;
  rules tenantctl.gate;
  away text;
  mark text;
  head text;
  minimum text := substring(minimum_revision FROM '^[0-9]{1,18}');
BEGIN
)" + revision_is_named() +
         R"(  SELECT t.* INTO asked FROM tenantctl.tenant t WHERE t.slug = admission.slug;
  IF asked.id IS NULL THEN
    SELECT c.cluster INTO away FROM tenantctl.cluster_tenant c WHERE c.slug = admission.slug;
    IF FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'TG006',
        MESSAGE = format('tenant %s lives on cluster %s', admission.slug, away),
        HINT = 'The gate over there lets it in.';
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'TG001',
      MESSAGE = format('there is no tenant %L', admission.slug);
  END IF;
  IF asked.state = 'suspended' THEN
    RAISE EXCEPTION USING ERRCODE = 'TG002',
      MESSAGE = format('tenant %s is suspended', asked.slug);
  END IF;
  IF asked.state <> 'ready' THEN
    RAISE EXCEPTION USING ERRCODE = 'TG003',
      MESSAGE = format('tenant %s is not ready, but %s', asked.slug, asked.state);
  END IF;
  IF asked.cluster IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TG006',
      MESSAGE = format('tenant %s lives on cluster %s', asked.slug, asked.cluster);
  END IF;
  IF asked.schema_name IS NULL OR asked.database_name <> current_database() THEN
    RAISE EXCEPTION USING ERRCODE = 'TG006',
      MESSAGE = format('tenant %s lives in database %I', asked.slug, asked.database_name);
  END IF;
  SELECT g.* INTO STRICT rules FROM tenantctl.gate g;
  SELECT coalesce(obj_description(c.oid, 'pg_class'), '') INTO mark
  FROM pg_namespace n
  LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = rules.version_table
    AND c.relkind = 'r' AND c.relowner = n.nspowner
  WHERE n.nspname = asked.schema_name;
  IF NOT FOUND OR mark ~ ' dropping$' THEN
    RAISE EXCEPTION USING ERRCODE = 'TG003',
      MESSAGE = format('tenant %s is not ready: schema %I is not here', asked.slug,
                       asked.schema_name);
  END IF;
)" + revision_is_enough() +
         R"(  tenant_id := asked.id;
  runtime_role := asked.runtime_role;
  path := quote_ident(asked.schema_name) || rules.path_behind;
END
$$)";
}

// Without a SET clause: what it sets would end with it. So every name in it is qualified.
constexpr auto create_enter =
    R"(CREATE FUNCTION tenantctl.enter(slug text, minimum_revision text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  entry pg_catalog.record;
BEGIN
  IF pg_catalog.transaction_timestamp() OPERATOR(pg_catalog.=) pg_catalog.statement_timestamp()
     AND pg_catalog.current_query() OPERATOR(pg_catalog.~*)
         '^\s*select\s[^;]*\mtenantctl"?\s*\.\s*"?enter"?\s*\([^;]*;?\s*$' THEN
    RAISE EXCEPTION USING ERRCODE = '25P01',
      MESSAGE = 'tenantctl.enter() needs a transaction block',
      HINT = 'Send BEGIN first: a tenant is entered until the end of the transaction.';
  END IF;
  SELECT a.* INTO entry FROM tenantctl.admission(slug, minimum_revision) AS a;
  IF entry.runtime_role IS NOT NULL AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_roles r
       WHERE r.rolname OPERATOR(pg_catalog.=) entry.runtime_role::pg_catalog.name
         AND pg_catalog.pg_has_role(r.oid, 'MEMBER')) THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = pg_catalog.format('role %I may not enter tenant %s', CURRENT_USER, slug),
      HINT = pg_catalog.format('Its runtime role is %I.', entry.runtime_role);
  END IF;
  PERFORM pg_catalog.set_config('tenantctl.tenant_id', entry.tenant_id::pg_catalog.text, true),
          pg_catalog.set_config('search_path', entry.path, true);
  RETURN entry.tenant_id;
END
$$)";

// Plain SQL, so that a policy's use of it is part of the query's plan. The setting of a transaction
// that is over is empty, not NULL.
constexpr auto create_current_tenant =
    R"(CREATE FUNCTION tenantctl.current_tenant() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN pg_catalog.length(pg_catalog.current_setting('tenantctl.tenant_id', true))
                   OPERATOR(pg_catalog.>) 0
              THEN pg_catalog.current_setting('tenantctl.tenant_id', true)::pg_catalog.uuid END
$$)";

constexpr auto create_require_tenant =
    R"(CREATE FUNCTION tenantctl.require_tenant() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  tenant pg_catalog.uuid := tenantctl.current_tenant();
BEGIN
  IF tenant IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'TG005', MESSAGE = 'no tenant has been entered',
      HINT = 'Call tenantctl.enter() in this transaction first.';
  END IF;
  RETURN tenant;
END
$$)";

constexpr auto create_leave = R"(CREATE FUNCTION tenantctl.leave() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_catalog.set_config('tenantctl.tenant_id', '', true),
          pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
END
$$)";

// For policies. Whoever has entered a tenant sees that tenant alone, administrators too.
constexpr auto create_looks_across =
    R"(CREATE FUNCTION tenantctl.looks_across() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN tenantctl.current_tenant() IS NULL AND EXISTS (
    SELECT FROM tenantctl.gate g JOIN pg_roles r ON r.rolname = g.admin_role::name
    WHERE pg_has_role(CASE current_setting('role') WHEN 'none' THEN session_user
                      ELSE current_setting('role')::name END, r.oid, 'MEMBER'));
END
$$)";

std::vector<std::string> gate_of_version_1() {
  return {create_table,
          "INSERT INTO tenantctl.gate DEFAULT VALUES",
          create_admission("CREATE"),
          create_enter,
          create_current_tenant,
          create_require_tenant,
          create_leave,
          create_looks_across,
          "REVOKE ALL ON TABLE tenantctl.gate FROM PUBLIC",
          "REVOKE ALL ON FUNCTION tenantctl.admission(text, text), tenantctl.enter(text, text), "
          "tenantctl.current_tenant(), tenantctl.require_tenant(), tenantctl.leave(), "
          "tenantctl.looks_across() FROM PUBLIC"};
}

// Hands a schema of the pool over to a tenant: whoever asks first has it, nobody waits for another.
// The migrator's lock keeps a schema that is being upgraded where it is. Runs with the owner's
// rights, which alone may rename the schema.
std::string create_claim() {
  return R"(CREATE FUNCTION tenantctl.claim(slug text, name text DEFAULT NULL,
  minimum_revision text DEFAULT NULL, schema_name text DEFAULT NULL,
  tier text DEFAULT 'standard', metadata jsonb DEFAULT '{}') RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  minimum text := substring(minimum_revision FROM '^[0-9]{1,18}');
  target text := coalesce(claim.schema_name, translate(claim.slug, '-', '_'));
  taken tenantctl.place;
  place_oid oid;
  tried text[] := '{}';
  made uuid;
BEGIN
)" + revision_is_named() +
         R"(  IF target IS NULL OR target COLLATE "C" !~ '^[a-z][a-z0-9_]{0,62}$' OR target LIKE 'pg\_%'
     OR target IN ('public', 'information_schema', 'tenantctl') THEN
    RAISE EXCEPTION USING ERRCODE = '42602',
      MESSAGE = format('%L is no name for a tenant''s schema', target),
      HINT = 'A lower-case letter first, then a-z, 0-9 and _, at most 63 bytes.';
  END IF;
  LOOP
    SELECT p.* INTO taken FROM tenantctl.place p
    JOIN pg_namespace n ON n.nspname = p.schema_name::name
    JOIN tenantctl.gate g ON true
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = g.version_table::name
      AND c.relkind = 'r' AND c.relowner = n.nspowner
    WHERE p.purpose = 'pool' AND p.state = 'ready' AND p.schema_name <> ALL (tried)
      AND (minimum IS NULL OR substring(obj_description(c.oid, 'pg_class')
             FROM '^tenantctl 1 scope=tenant head=([0-9]{1,19}) ')::numeric >= minimum::numeric)
    ORDER BY p.created_at, p.schema_name LIMIT 1 FOR UPDATE OF p SKIP LOCKED;
    IF NOT FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'TG007', MESSAGE = CASE WHEN minimum IS NULL
          THEN 'the pool of tenants is empty'
          ELSE format('the pool has no tenant at %s', minimum_revision) END,
        HINT = 'tenantctl tenant pool fills it; tenantctl upgrade-all takes it along.';
    END IF;
    SELECT n.oid INTO place_oid FROM pg_namespace n WHERE n.nspname = taken.schema_name::name;
    EXIT WHEN place_oid IS NOT NULL AND pg_try_advisory_xact_lock(1952670769, place_oid::int4);
    tried := tried || taken.schema_name;
  END LOOP;
  DELETE FROM tenantctl.place p WHERE p.schema_name = taken.schema_name;
  INSERT INTO tenantctl.tenant (slug, name, tier, isolation, schema_name, state, metadata,
                                runtime_role)
  VALUES (claim.slug, coalesce(claim.name, claim.slug), claim.tier, 'schema', target, 'ready',
          claim.metadata, taken.runtime_role) RETURNING id INTO made;
  EXECUTE format('ALTER SCHEMA %I RENAME TO %I', taken.schema_name, target);
  RETURN made;
END
$$)";
}

std::vector<std::string> gate_of_version_2() {
  return {create_claim(),
          "REVOKE ALL ON FUNCTION tenantctl.claim(text, text, text, text, text, jsonb) "
          "FROM PUBLIC"};
}

// What is replaced must be ours: its owner may make of it what he likes, with the gate's rights.
constexpr auto refuse_planted = R"(DO $$BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n
             ON n.oid = p.pronamespace JOIN pg_catalog.pg_class c
             ON c.relnamespace = n.oid AND c.relname = 'component'
             WHERE n.nspname = 'tenantctl' AND p.proname = 'admission'
             AND p.proowner NOT IN (n.nspowner, c.relowner)
             AND pg_catalog.pg_get_userbyid(p.proowner) <> CURRENT_USER) THEN
    RAISE EXCEPTION USING ERRCODE = 'TC022', MESSAGE = 'tenantctl.admission is not ours';
  END IF;
END$$)";

// Whoever may look across tenants may see where the others are.
constexpr auto let_admins_see = R"(DO $$
DECLARE
  role pg_catalog.text := (SELECT r.rolname FROM tenantctl.gate g JOIN pg_catalog.pg_roles r
                           ON r.rolname = g.admin_role::pg_catalog.name);
BEGIN
  IF role IS NOT NULL THEN
    EXECUTE pg_catalog.format('GRANT SELECT ON tenantctl.cluster_tenant TO %I', role);
  END IF;
END$$)";

// Version 1 makes the gate as it is today; who has an older one is given what changed.
std::vector<std::string> gate_of_version_3() {
  return {refuse_planted, create_admission("CREATE OR REPLACE"), let_admins_see};
}

}  // namespace

std::string revision_is_named() {
  return R"(  IF minimum_revision IS NOT NULL
     AND (minimum IS NULL OR minimum_revision !~ '^[0-9]{1,18}(_[A-Za-z0-9_]*)?$') THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('%L is no revision', minimum_revision),
      HINT = 'Give its number, as 20261102090000 or 0012, with or without its name.';
  END IF;
)";
}

std::string revision_is_enough() {
  return R"(  head := substring(mark FROM '^tenantctl 1 scope=(?:tenant|shared) head=([0-9]{1,19}) ');
  IF minimum IS NOT NULL AND (head IS NULL OR head::numeric < minimum::numeric) THEN
    RAISE EXCEPTION USING ERRCODE = 'TG004',
      MESSAGE = format('tenant %s is too old: it is at %s, and %s is asked for', admission.slug,
                       coalesce(nullif(head, '0'), CASE WHEN head IS NULL THEN 'no known revision'
                                                        ELSE 'base' END), minimum_revision),
      HINT = 'tenantctl upgrade-all takes it there.';
  END IF;
)";
}

std::string_view enter_function() { return create_enter; }
std::string_view leave_function() { return create_leave; }

const Component& gate_component() {
  static const Component component{
      .name = "gate",
      .tables = {"tenant", "gate", "place", "cluster_tenant"},
      .versions = {gate_of_version_1(), gate_of_version_2(), gate_of_version_3()}};
  return component;
}

}  // namespace tenantctl
