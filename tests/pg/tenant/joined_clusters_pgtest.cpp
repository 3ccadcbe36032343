#include "tenant/joined_clusters.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
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
  JoinedClusters clusters{session.pipeline(), {}, std::chrono::seconds(60)};

  JoinedBench() { registry.install(); }

  // `eu` and `us` are registries of their own.
  void join(const std::string& name, const std::string& id = {}) {
    const std::string digit = name == "eu" ? "1" : "2";
    clusters.join(
        {.name = name, .registry = id.empty() ? "10000000-0000-4000-8000-00000000000" + digit : id},
        {});
  }

  JoinedClusters::Synced sync(const std::string& cluster, std::vector<RegisteredTenant> tenants,
                              const std::string& run = {}) {
    for (RegisteredTenant& tenant : tenants)
      tenant.cluster = cluster;
    return clusters.sync(cluster, run, [&tenants] { return tenants; });
  }

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
    bench.join("eu");
    bench.join("us");
    auto synced = bench.sync("eu", {tenant_of(1, "a"), tenant_of(2, "b")});
    CHECK(synced.added == Names{"a", "b"});
    CHECK(bench.sync("us", {tenant_of(3, "c")}).added == Names{"c"});
    synced = bench.sync("eu", {tenant_of(1, "a"), tenant_of(2, "b")});
    CHECK(synced.added.empty());
    CHECK(synced.removed.empty());

    RegisteredTenant suspended = tenant_of(2, "b");
    suspended.state = "suspended";
    synced = bench.sync("eu", {suspended, tenant_of(4, "d")});
    CHECK(synced.added == Names{"b", "d"});
    CHECK(synced.removed == Names{"a", "b"});
    CHECK(synced.refused.empty());
    CHECK(bench.known() == "eu:b suspended,eu:d ready,us:c ready");

    // Two that have changed their names with each other.
    synced = bench.sync("eu", {tenant_of(4, "b"), tenant_of(2, "d")});
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
    // One that has left meanwhile is passed over.
    CHECK(bench.sync("eu", {tenant_of(1, "a")}).added.empty());
    CHECK(bench.known() == "us:c ready");
  }

  TEST_CASE("a slug and an id are one tenant's, whoever comes second") {
    JoinedBench bench;
    bench.registry.adopt({"here"});
    bench.join("eu");
    bench.join("us");
    RegisteredTenant copy = tenant_of(5, "copy");
    copy.id = bench.registry.all().front().id;
    const auto synced = bench.sync("eu", {tenant_of(1, "a"), tenant_of(2, "here"), copy});
    CHECK(synced.added == Names{"a"});
    CHECK(synced.refused == Names{"copy", "here"});
    CHECK(bench.sync("us", {tenant_of(3, "a"), tenant_of(1, "b")}).refused == Names{"a", "b"});
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
    CHECK(bench.sync("eu", {}).removed == Names{"a"});
    CHECK(bench.registry.adopt({"a"}) == Names{"a"});
  }

  TEST_CASE("who registers a tenant while a sync is under way is in the sync, or waits for it") {
    JoinedBench bench;
    bench.join("eu");
    Session other(bench.database);
    other.execute("BEGIN");
    other.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, state) "
        "VALUES ('a', 'a', 'schema', 'a', 'ready')");
    JoinedClusters::Synced synced;
    std::thread sync([&] { synced = bench.sync("eu", {tenant_of(1, "a")}); });
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
    bench.join("eu");
    bench.database.execute("CREATE TABLE told (what text)");
    bench.database.execute(
        "CREATE OR REPLACE FUNCTION tenantctl.tenant_notify() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.told VALUES (TG_OP); RETURN NULL; END$$");
    bench.sync("eu", {tenant_of(1, "a")});
    bench.sync("eu", {tenant_of(1, "a")});
    bench.clusters.leave("eu");
    CHECK(bench.database.value("SELECT string_agg(what, ',') FROM told") == "INSERT,DELETE");
  }

  TEST_CASE("what would be one registry twice does not join") {
    JoinedBench bench;
    bench.database.execute(
        "INSERT INTO tenantctl.tenant (slug, name, isolation, schema_name, database_name, cluster, "
        "state) VALUES ('a', 'a', 'database', 't', 'd', 'eu', 'ready')");
    CHECK_THROWS_WITH_AS(bench.join("eu"), "this registry has tenants on cluster eu itself",
                         UsageError);
    CHECK_THROWS_WITH_AS(bench.join("us", bench.clusters.own_id()),
                         "cluster us is this very database, or a copy of it", UsageError);
    RegisteredTenant copied = tenant_of(1, "b");
    copied.id = bench.registry.all().front().id;
    const JoinedCluster us{.name = "us", .registry = tenant_of(9, "").id};
    CHECK_THROWS_WITH_AS(bench.clusters.join(us, {copied}),
                         "cluster us has tenants that are this registry's: one is a copy of the "
                         "other",
                         UsageError);
    CHECK(bench.clusters.all().empty());
    copied = tenant_of(1, "b");
    copied.cluster = "us";
    CHECK(bench.clusters.join(us, {copied}).added == Names{"b"});
    CHECK(bench.clusters.join(us, {copied}).added.empty());
    constexpr auto twice =
        "the registry of cluster us2 has joined under another name, or another registry under its "
        "name";
    CHECK_THROWS_WITH_AS(bench.join("us2", us.registry), twice, UsageError);
    CHECK_THROWS_AS(bench.join("us", tenant_of(8, "").id), UsageError);
  }

  TEST_CASE("a sync that read first does not write over one that read later") {
    JoinedBench bench;
    bench.join("eu");
    Session other(bench.database);
    JoinedClusters others{other.pipeline(), {}, std::chrono::seconds(20)};
    std::thread second;
    bench.clusters.sync("eu", "", [&] {
      // Waits until the first is written.
      second = std::thread(
          [&] { others.sync("eu", "", [] { return std::vector<RegisteredTenant>{}; }); });
      for (int i = 0; i < 500; ++i) {
        if (bench.database.value("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0")
          break;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      RegisteredTenant tenant = tenant_of(1, "a");
      tenant.cluster = "eu";
      return std::vector<RegisteredTenant>{tenant};
    });
    second.join();
    CHECK(bench.known().empty());
  }

  TEST_CASE("a reserved slug is nobody else's until the run has synced") {
    JoinedBench bench;
    bench.registry.adopt({"here"});
    bench.join("eu");
    bench.join("us");
    bench.sync("us", {tenant_of(1, "there")});
    const auto taken = bench.clusters.reserve("eu", {"here", "there", "new"}, "run 1");
    CHECK(taken.size() == 2);
    CHECK(taken.at("there") == "on cluster us");
    CHECK(bench.clusters.reserve("us", {"new"}, "run 2").at("new") == "being made on cluster eu");
    CHECK(bench.registry.adopt({"new"}).empty());
    // Somebody else's look does not free it, nor the end of another run that tried the same.
    bench.sync("eu", {}, "run 3");
    CHECK(bench.clusters.reserve("eu", {"new"}, "run 4").empty());
    bench.sync("eu", {}, "run 4");
    CHECK(bench.known() == "eu:new provisioning,us:there ready");
    SUBCASE("the tenant was made") {
      CHECK(bench.sync("eu", {tenant_of(2, "new")}, "run 1").added == Names{"new"});
      CHECK(bench.known() == "eu:new ready,us:there ready");
    }
    SUBCASE("it was not made") {
      bench.sync("eu", {}, "run 1");
      CHECK(bench.known() == "us:there ready");
    }
    SUBCASE("the run was killed, long ago") {
      bench.database.execute(
          "UPDATE tenantctl.cluster_tenant SET state_since = now() - interval '11 min'");
      CHECK(bench.registry.adopt({"new"}).empty());
      CHECK(bench.clusters.reserve("us", {"new"}, "run 5").empty());
      CHECK(bench.known() == "us:new provisioning,us:there ready");
    }
  }

  TEST_CASE("ten thousand tenants are synced by set, not one by one") {
    JoinedBench bench;
    bench.join("eu");
    std::vector<RegisteredTenant> tenants;
    for (int i = 0; i < 10'000; ++i) {
      RegisteredTenant tenant = tenant_of(0, "t" + std::to_string(10'000 + i));
      tenant.id.replace(24, 12, "000000" + tenant.slug.substr(1) + "0");
      tenants.push_back(std::move(tenant));
    }
    const auto begin = std::chrono::steady_clock::now();
    CHECK(bench.sync("eu", tenants).added.size() == 10'000);
    tenants.front().state = "archived";
    CHECK(bench.sync("eu", tenants).added.size() == 1);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
  }
}
