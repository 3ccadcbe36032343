#include "tenant/tenant_registry.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "pq/server_error.h"
#include "support/process.h"
#include "support/session.h"
#include "tenant/registry_component.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

struct RegistryBench {
  TestDatabase database;
  Session session{database};
  TenantRegistry registry{session.pipeline(), {}};

  std::string insert(const std::string& columns, const std::string& values) {
    try {
      database.execute("INSERT INTO tenantctl.tenant (" + columns + ") VALUES (" + values + ")");
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }
};

constexpr auto columns = "slug, name, isolation, schema_name, state";

}  // namespace

TEST_SUITE("pg/tenant/tenant_registry") {
  TEST_CASE("it is installed once, whoever is first") {
    RegistryBench bench;
    CHECK_FALSE(bench.registry.is_installed());
    std::vector<int> before(4, -1);
    std::vector<std::thread> threads;
    for (int& found : before) {
      threads.emplace_back([&] {
        Session session(bench.database);
        TenantRegistry registry(session.pipeline(), {});
        found = registry.install().before;
      });
    }
    for (auto& thread : threads)
      thread.join();
    CHECK(std::count(before.begin(), before.end(), -1) == 0);
    CHECK(std::count(before.begin(), before.end(), 0) >= 1);
    CHECK(bench.registry.is_installed());
    CHECK(bench.registry.install().before == registry_component().version());
  }

  TEST_CASE("a component is taken to a newer version in one transaction, or not at all") {
    RegistryBench bench;
    Components components(bench.session.pipeline(), {}, std::chrono::seconds(30));
    Component part{
        .name = "part", .tables = {"part"}, .versions = {{"CREATE TABLE tenantctl.part (a int)"}}};
    CHECK(components.install(part).after == 1);
    part.versions.push_back({"ALTER TABLE tenantctl.part ADD b int", "SELECT 1 / 0"});
    CHECK_THROWS_AS(components.install(part), pq::ServerError);
    CHECK(bench.database.value("SELECT count(*) FROM pg_attribute WHERE attrelid = "
                               "'tenantctl.part'::regclass AND attnum > 0") == "1");
    CHECK_THROWS_AS(components.read(part, messages({"SELECT 1"})), UsageError);
    part.versions.back().pop_back();
    const Installed installed = components.install(part);
    CHECK(installed.before == 1);
    CHECK(installed.after == 2);
    CHECK(components.read(part, messages({"SELECT b FROM tenantctl.part"})));
  }

  TEST_CASE("version 1, with its tenants, is taken to this version") {
    RegistryBench bench;
    Components components(bench.session.pipeline(), {}, std::chrono::seconds(30));
    Component first = registry_component();
    first.versions.resize(1);
    first.tables = {"tenant"};
    components.install(first);
    CHECK(bench.insert(columns, "'one', 'One', 'schema', 'one', 'ready'") == "");
    CHECK_THROWS_AS(bench.registry.all(), UsageError);
    CHECK(bench.registry.install().before == 1);
    CHECK(bench.registry.install().before == registry_component().version());
    CHECK(bench.registry.all().size() == 1);
    CHECK(bench.database.value("SELECT count(*) FROM tenantctl.place") == "0");
    CHECK_THROWS_AS(components.read(first, messages({"SELECT 1"})), UsageError);
  }

  TEST_CASE("planted tables, triggers and functions are refused") {
    RegistryBench bench;
    bench.registry.install();
    bench.database.execute(
        "CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; "
        "END$$; CREATE TRIGGER spy BEFORE INSERT ON tenantctl.tenant FOR EACH ROW EXECUTE "
        "FUNCTION public.spy()");
    CHECK_THROWS_AS(bench.registry.adopt({"a"}), UsageError);
    bench.database.execute("DROP TRIGGER spy ON tenantctl.tenant");
    CHECK(bench.registry.adopt({"a"}) == std::vector<std::string>{"a"});
    // Our trigger, with a function that is not ours any more.
    bench.database.execute("ALTER FUNCTION tenantctl.tenant_touch() OWNER TO " +
                           bench.database.second_role());
    CHECK_THROWS_AS(bench.registry.adopt({"b"}), UsageError);
    bench.database.execute(
        "ALTER FUNCTION tenantctl.tenant_touch() OWNER TO CURRENT_USER; "
        "ALTER TABLE tenantctl.tenant ENABLE ROW LEVEL SECURITY");
    CHECK_THROWS_AS(bench.registry.registered({"a"}), UsageError);
  }

  TEST_CASE("without a registry nothing is read, and writing says what is missing") {
    RegistryBench bench;
    CHECK(bench.registry.registered({"a"}).empty());
    CHECK_THROWS_WITH_AS(bench.registry.adopt({"a"}), "there is no registry in this database",
                         UsageError);
  }

  TEST_CASE("rows that make no sense are refused by the table itself") {
    RegistryBench bench;
    bench.registry.install();
    CHECK(bench.insert(columns, "'a', 'A', 'schema', 'a', 'ready'") == "");
    for (const auto* const bad :
         {"'A', 'A', 'schema', 'x', 'ready'", "'9a', 'A', 'schema', 'x', 'ready'",
          "'', 'A', 'schema', 'x', 'ready'", "'\xc3\xa4', 'A', 'schema', 'x', 'ready'",
          "E'b\\n', 'A', 'schema', 'x', 'ready'", "repeat('b', 64), 'A', 'schema', 'x', 'ready'",
          "'b', 'A', 'cloud', 'x', 'ready'", "'b', 'A', 'schema', 'x', 'happy'",
          "'b', 'A', 'schema', NULL, 'ready'", "'b', 'A', 'rows', NULL, 'ready'",
          "'b', 'A', 'database', 'x', 'ready'", "'a', 'A', 'schema', 'x', 'ready'",
          "'b', 'B', 'schema', 'a', 'ready'"}) {
      CAPTURE(bad);
      CHECK(bench.insert(columns, bad) != "");
    }
    CHECK(bench.insert("slug, name, isolation, schema_name, state, metadata",
                       "'b', 'B', 'schema', 'b', 'ready', '[]'") != "");
    // A home of rows is shared by many; another database has a schema of that name too.
    CHECK(bench.insert(columns, "'r1', 'R', 'rows', 'home', 'ready'") == "");
    CHECK(bench.insert(columns, "'r2', 'R', 'rows', 'home', 'ready'") == "");
    CHECK(bench.insert("slug, name, isolation, schema_name, database_name, state",
                       "'other', 'O', 'schema', 'a', 'other', 'ready'") == "");
    CHECK(bench.database.value("SELECT count(*) FROM tenantctl.tenant") == "4");
  }

  TEST_CASE("times and notices follow the rows") {
    RegistryBench bench;
    bench.registry.install();
    bench.registry.adopt({"a"});
    const auto times =
        "SELECT (updated_at > created_at)::int || ' ' || (state_since > "
        "created_at)::int FROM tenantctl.tenant";
    bench.database.execute("UPDATE tenantctl.tenant SET name = 'A'");
    CHECK(bench.database.value(times) == "1 0");
    bench.database.execute("UPDATE tenantctl.tenant SET state = 'archived'");
    CHECK(bench.database.value(times) == "1 1");
    const auto told = run_process(
        {"psql", "-X", "-d", bench.database.conninfo(), "-c", "LISTEN tenantctl_tenant", "-c",
         "UPDATE tenantctl.tenant SET state = 'suspended'", "-c",
         "UPDATE tenantctl.tenant SET slug = 'b'", "-c", "DELETE FROM tenantctl.tenant"});
    CHECK(told.exit_code == 0);
    for (const auto* const payload :
         {R"({"slug" : "a", "state" : "suspended", "operation" : "update"})",
          R"({"slug" : "b", "state" : "suspended", "operation" : "update"})",
          R"({"slug" : "a", "state" : "suspended", "operation" : "rename"})",
          R"({"slug" : "b", "state" : "suspended", "operation" : "delete"})"}) {
      CAPTURE(told.out);
      CHECK(told.out.find(payload) != std::string::npos);
    }
  }

  TEST_CASE("ten thousand tenants are adopted at once") {
    RegistryBench bench;
    bench.registry.install();
    std::vector<std::string> names;
    for (int i = 10'000; i < 20'000; ++i)
      names.push_back("t" + std::to_string(i));
    CHECK(bench.registry.adopt(names).size() == 10'000);
    CHECK(bench.registry.adopt(names).empty());
    CHECK(bench.registry.registered(names) == names);
  }
}
