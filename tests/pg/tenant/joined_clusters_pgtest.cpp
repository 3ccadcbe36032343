#include "tenant/joined_clusters.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "pq/server_error.h"
#include "support/session.h"
#include "tenant/registry_component.h"
#include "tenant/tenant_registry.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

using Names = std::vector<std::string>;

struct JoinedBench {
  TestDatabase database;
  Session session{database};
  TenantRegistry registry{session.pipeline(), {}};
  JoinedClusters clusters{session.pipeline(), {}, std::chrono::seconds(20)};

  JoinedBench() { registry.install(); }

  std::string known() {
    return database.value(
        "SELECT string_agg(cluster || ':' || slug || ' ' || state, ',' ORDER BY cluster, slug) "
        "FROM tenantctl.cluster_tenant");
  }
};

// The last digit of the id tells tenants apart.
RegisteredTenant tenant_of(int number, const std::string& slug) {
  RegisteredTenant tenant;
  tenant.id = "00000000-0000-4000-8000-00000000000" + std::to_string(number);
  tenant.slug = slug;
  tenant.name = slug;
  tenant.tier = "standard";
  tenant.isolation = "schema";
  tenant.schema = slug;
  tenant.state = "ready";
  tenant.metadata = "{}";
  tenant.state_since = tenant.created_at = "2026-11-29T10:00:00Z";
  return tenant;
}

}  // namespace

TEST_SUITE("pg/tenant/joined_clusters") {
  TEST_CASE("who is there is known after a sync, and only what changed is written") {
    JoinedBench bench;
    bench.clusters.join("eu");
    bench.clusters.join("us");
    auto synced = bench.clusters.sync("eu", {tenant_of(1, "a"), tenant_of(2, "b")});
    CHECK(synced.added == Names{"a", "b"});
    CHECK(bench.clusters.sync("us", {tenant_of(3, "c")}).added == Names{"c"});
    synced = bench.clusters.sync("eu", {tenant_of(1, "a"), tenant_of(2, "b")});
    CHECK(synced.added.empty());
    CHECK(synced.removed.empty());

    RegisteredTenant suspended = tenant_of(2, "b");
    suspended.state = "suspended";
    synced = bench.clusters.sync("eu", {suspended, tenant_of(4, "d")});
    CHECK(synced.added == Names{"b", "d"});
    CHECK(synced.removed == Names{"a", "b"});
    CHECK(synced.refused.empty());
    CHECK(bench.known() == "eu:b suspended,eu:d ready,us:c ready");

    // Two that have changed their names with each other.
    synced = bench.clusters.sync("eu", {tenant_of(4, "b"), tenant_of(2, "d")});
    CHECK(synced.refused.empty());
    CHECK(bench.database.value("SELECT id FROM tenantctl.cluster_tenant WHERE slug = 'd'") ==
          tenant_of(2, "").id);
    const auto all = bench.clusters.tenants();
    REQUIRE(all.size() == 3);
    CHECK(all[0].place() == "eu:/b");
    CHECK(all[1].cluster == "us");

    bench.clusters.leave("eu");
    CHECK(bench.known() == "us:c ready");
    CHECK_THROWS_AS(bench.clusters.leave("eu"), UsageError);
    CHECK_THROWS_WITH_AS(bench.clusters.sync("eu", {}), "cluster eu has not joined the registry",
                         UsageError);
  }

  TEST_CASE("a slug and an id are one tenant's, whoever comes second") {
    JoinedBench bench;
    bench.registry.adopt({"here"});
    bench.clusters.join("eu");
    bench.clusters.join("us");
    RegisteredTenant copy = tenant_of(5, "copy");
    copy.id = bench.registry.all().front().id;
    const auto synced = bench.clusters.sync("eu", {tenant_of(1, "a"), tenant_of(2, "here"), copy});
    CHECK(synced.added == Names{"a"});
    CHECK(synced.refused == Names{"copy", "here"});
    CHECK(bench.clusters.sync("us", {tenant_of(3, "a"), tenant_of(1, "b")}).refused ==
          Names{"a", "b"});
    CHECK(bench.known() == "eu:a ready");

    CHECK(bench.registry.adopt({"a", "more"}) == Names{"more"});
    CHECK_THROWS_WITH_AS(
        bench.registry.provision({{.slug = "a", .name = "a", .schema = "x"}}, {}, "run", false),
        "tenant a lives on cluster eu", UsageError);
    CHECK_THROWS_WITH_AS(bench.registry.rename(bench.registry.find({"more"}).front(), "a", ""),
                         "tenant a lives on cluster eu", UsageError);
    CHECK_THROWS_AS(bench.registry.find_own({"more", "eu:/a"}), UsageError);
    CHECK(bench.registry.find_own({"more"}).size() == 1);

    // Whoever has left his name behind gives it free.
    CHECK(bench.clusters.sync("eu", {}).removed == Names{"a"});
    CHECK(bench.registry.adopt({"a"}) == Names{"a"});
  }

  TEST_CASE("who registers a tenant while a sync is under way is in the sync, or waits for it") {
    JoinedBench bench;
    bench.clusters.join("eu");
    Session other(bench.database);
    other.execute("BEGIN");
    other.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) "
        "VALUES ('a', 'a', 'schema', 'a', 'ready')");
    JoinedClusters::Synced synced;
    std::thread sync([&] { synced = bench.clusters.sync("eu", {tenant_of(1, "a")}); });
    for (int i = 0; i < 200 && other.send_sql({"SELECT 1"}).failure() == nullptr; ++i) {
      if (bench.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1")
        break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(bench.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1");
    other.execute("COMMIT");
    sync.join();
    CHECK(synced.refused == Names{"a"});
    CHECK(bench.known().empty());
  }

  TEST_CASE("a registry of version 2 is taken to this one, with its tenants") {
    TestDatabase database;
    Session session(database);
    Component second = registry_component();
    second.versions.resize(2);
    second.tables = {"tenant", "place"};
    Components(session.pipeline(), {}, std::chrono::seconds(30)).install(second);
    database.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) "
        "VALUES ('a', 'A', 'schema', 'a', 'ready')");
    TenantRegistry registry(session.pipeline(), {});
    CHECK_THROWS_WITH_AS(
        registry.all(), "the registry cannot be used: an older tenantctl installed it", UsageError);
    CHECK(registry.install().before == 2);
    CHECK(registry.all().front().slug == "a");
  }

  TEST_CASE("each change is told on the registry's channel") {
    JoinedBench bench;
    bench.clusters.join("eu");
    bench.database.execute("CREATE TABLE told (what text)");
    bench.database.execute(
        "CREATE OR REPLACE FUNCTION tenantctl.tenant_notify() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.told VALUES (TG_OP); RETURN NULL; END$$");
    bench.clusters.sync("eu", {tenant_of(1, "a")});
    bench.clusters.sync("eu", {tenant_of(1, "a")});
    bench.clusters.leave("eu");
    CHECK(bench.database.value("SELECT string_agg(what, ',') FROM told") == "INSERT,DELETE");
  }

  TEST_CASE("a cluster where this registry has tenants itself does not join") {
    JoinedBench bench;
    bench.database.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, database_name, cluster, "
        "state) VALUES ('a', 'a', 'database', 't', 'd', 'eu', 'ready')");
    CHECK_THROWS_WITH_AS(bench.clusters.join("eu"),
                         "this registry has tenants on cluster eu itself", UsageError);
    CHECK(bench.clusters.all().empty());
  }

  TEST_CASE("ten thousand tenants are synced by set, not one by one") {
    JoinedBench bench;
    bench.clusters.join("eu");
    std::vector<RegisteredTenant> tenants;
    for (int i = 0; i < 10'000; ++i) {
      RegisteredTenant tenant = tenant_of(0, "t" + std::to_string(10'000 + i));
      tenant.id.replace(24, 12, "000000" + tenant.slug.substr(1) + "0");
      tenants.push_back(std::move(tenant));
    }
    const auto begin = std::chrono::steady_clock::now();
    CHECK(bench.clusters.sync("eu", tenants).added.size() == 10'000);
    tenants.front().state = "archived";
    CHECK(bench.clusters.sync("eu", tenants).added.size() == 1);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
  }
}
