#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "support/project.h"

using namespace tenantctl::testing;

namespace {

// Tenants with a schema each, whose sessions work as roles that the tool makes.
struct RolesProject : Project {
  std::string app = database.second_role();

  RolesProject() {
    write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
    must({"registry", "init"});
    must({"gate", "install", "--runtime-role", app});
  }

  ~RolesProject() {
    database.execute("RESET ROLE; DROP SCHEMA IF EXISTS acme, beta CASCADE");
    for (const auto& row : database.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE 'rt\\_" +
                                         database.name() + "\\_%' ORDER BY length(rolname) DESC"))
      database.execute("DROP OWNED BY \"" + row[0] + "\"; DROP ROLE \"" + row[0] + "\"");
  }

  RolesProject(const RolesProject&) = delete;
  RolesProject& operator=(const RolesProject&) = delete;

  std::string role_of(const std::string& schema) const {
    return "rt_" + database.name() + "_" + schema;
  }

  Finished create(const std::string& name) const {
    return run({"tenant", "create", name, "--runtime-role", "per-tenant", "--runtime-member", app});
  }

  // What a query gives to who has entered the tenant and works as its role, or the refusal.
  std::string seen(const std::string& tenant, const std::string& as, const std::string& query) {
    std::string answer;
    try {
      database.execute("BEGIN; SET LOCAL SESSION AUTHORIZATION " + app);
      database.execute("SELECT tenantctl.enter('" + tenant + "'); SET LOCAL ROLE \"" + as + "\"");
      answer = database.value(query);
    } catch (const std::runtime_error& error) {
      answer = error.what();
    }
    database.execute("ROLLBACK");
    return answer;
  }

  bool has_role(const std::string& role) {
    return database.value("SELECT count(*) FROM pg_roles WHERE rolname = '" + role + "'") == "1";
  }
};

}  // namespace

TEST_SUITE("cli/runtime roles") {
  TEST_CASE("each tenant's own role reaches what is there and what comes, and nobody else's") {
    RolesProject project;
    CHECK(fault(project.create("acme"), 0) == "");
    CHECK(fault(project.create("beta"), 0) == "");
    project.write("tenant/0002_b.sql",
                  "CREATE TABLE b (id int); CREATE SEQUENCE s; "
                  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 7';",
                  "DROP FUNCTION f; DROP SEQUENCE s; DROP TABLE b;");
    project.must({"upgrade-all"});
    const std::string role = project.role_of("acme");
    CHECK(project.database.value("SELECT runtime_role FROM tenantctl.tenant WHERE slug = 'acme'") ==
          role);
    CHECK(project.seen("acme", role, "SELECT count(*) FROM a") == "0");
    CHECK(project.seen("acme", role, "SELECT nextval('s') + f() FROM (SELECT count(*) FROM b) x") ==
          "8");
    CHECK(contains(project.seen("acme", role, "SELECT count(*) FROM beta.a"), "permission denied"));
    CHECK(contains(project.seen("acme", role, "SELECT count(*) FROM tenantctl_version"),
                   "permission denied"));
    CHECK(
        contains(project.seen("acme", role, "CREATE TABLE planted (id int)"), "permission denied"));
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
    CHECK(contains(project.must({"gate", "show"}), role));
  }

  TEST_CASE("a dropped tenant takes its role along, a stranger's of that name is never touched") {
    RolesProject project;
    project.create("acme");
    CHECK(project.has_role(project.role_of("acme")));
    project.must({"tenant", "drop", "acme", "--yes", "--purge"});
    CHECK_FALSE(project.has_role(project.role_of("acme")));
    project.database.execute("CREATE ROLE \"" + project.role_of("beta") + "\"");
    CHECK(fault(project.create("beta"), 2, {"is there, and not ours", "HINT:"}) == "");
    CHECK_FALSE(project.has_schema("beta"));
    CHECK(project.has_role(project.role_of("beta")));
  }

  TEST_CASE("a dropped tenant's role reaches nothing until the tenant is back") {
    RolesProject project;
    project.create("acme");
    const std::string role = project.role_of("acme");
    project.must({"tenant", "drop", "acme", "--yes"});
    CHECK(project.has_role(role));
    const auto dropped = project.database.value("SELECT schema_name FROM tenantctl.tenant");
    CHECK(project.database.value("SELECT has_schema_privilege('" + role + "', '" + dropped +
                                 "', 'USAGE')") == "f");
    CHECK(contains(project.seen("acme", role, "SELECT 1"), "deleting"));
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
    CHECK(fault(project.run({"tenant", "create", "acme", "--slug", "other", "--runtime-role",
                             "per-tenant"}),
                2, {"works as a role that a new tenant would be given"}) == "");
    project.must({"tenant", "undrop", "acme"});
    CHECK(project.seen("acme", role, "SELECT count(*) FROM a") == "0");
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
    project.must({"tenant", "drop", "acme", "--yes"});
    project.must({"tenant", "purge", "--all", "--yes"});
    CHECK_FALSE(project.has_role(role));
  }

  TEST_CASE("a role on which something else depends is kept, and told") {
    RolesProject project;
    project.create("acme");
    const std::string role = project.role_of("acme");
    project.database.execute("CREATE TABLE public.own (id int); GRANT SELECT ON public.own TO \"" +
                             role + "\"");
    CHECK(fault(project.run({"tenant", "drop", "acme", "--yes", "--purge"}), 0,
                {"purged acme: role " + role + " is kept"}) == "");
    CHECK_FALSE(project.has_schema("acme"));
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.tenant") == "0");
    CHECK(project.has_role(role));
    project.database.execute("DROP OWNED BY \"" + role + "\"; DROP ROLE \"" + role + "\"");
  }

  TEST_CASE("a renamed tenant keeps its role, under the role's name") {
    RolesProject project;
    project.create("acme");
    const std::string role = project.role_of("acme");
    project.must({"tenant", "rename", "acme", "zenith"});
    CHECK(project.database.value("SELECT runtime_role FROM tenantctl.tenant") == role);
    CHECK(project.seen("zenith", role, "SELECT count(*) FROM a") == "0");
    CHECK(fault(project.create("acme"), 2, {"schema zenith works as a role"}) == "");
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
    project.must({"tenant", "drop", "zenith", "--yes", "--purge"});
    CHECK_FALSE(project.has_role(role));
  }

  TEST_CASE("a revision that fails leaves no role, what a killed run left is completed") {
    RolesProject project;
    project.write("tenant/0002_bad.sql", "SELECT 1 / 0;", "SELECT 1;");
    CHECK(fault(project.create("acme"), 1) == "");
    CHECK_FALSE(project.has_role(project.role_of("acme")));
    CHECK_FALSE(project.has_schema("acme"));
    project.remove("tenant/0002_bad.sql");
    project.create("acme");
    project.database.execute(
        "UPDATE tenantctl.tenant SET state = 'provisioning', metadata = "
        "'{\"tenantctl\": {\"run\": \"0\"}}'; DROP OWNED BY \"" +
        project.role_of("acme") + "\"");
    CHECK(fault(project.create("acme"), 0) == "");
    CHECK(project.seen("acme", project.role_of("acme"), "SELECT count(*) FROM a") == "0");
  }

  TEST_CASE("one role for all is given, and the audit says so") {
    RolesProject project;
    CHECK(fault(project.run({"tenant", "create", "acme", "--runtime-role", "nobody at all"}), 2,
                {"no role"}) == "");
    CHECK(fault(project.run({"tenant", "create", "acme", "--runtime-member", project.app}), 2,
                {"per-tenant"}) == "");
    for (const auto* name : {"acme", "beta"})
      project.must({"tenant", "create", name, "--runtime-role", project.app});
    CHECK(project.seen("acme", project.app, "SELECT count(*) FROM a") == "0");
    CHECK(fault(project.run({"audit", "isolation"}), 4, {"A0"}) == "");
    project.must({"tenant", "drop", "acme", "--yes", "--purge"});
    CHECK(project.has_role(project.app));
  }

  TEST_CASE("tenants of shared rows work as one role, which reaches their home") {
    RolesProject project;
    CHECK(fault(project.run({"tenant", "create", "acme", "--isolation", "rows", "--home", "beta",
                             "--runtime-role", "per-tenant"}),
                2, {"as one role"}) == "");
    project.must({"tenant", "create", "acme", "--isolation", "rows", "--home", "beta",
                  "--runtime-role", project.app});
    CHECK(project.seen("acme", project.app, "SELECT count(*) FROM a") == "0");
  }
}

TEST_SUITE("cli/runtime roles of the pool") {
  TEST_CASE("whoever is claimed has a role of its own, which reaches no other") {
    RolesProject project;
    project.must({"gate", "install", "--claim-role", project.app});
    const auto fill = [&project](const std::string& count) {
      project.must({"tenant", "pool", "--keep", count, "--runtime-role", "per-tenant",
                    "--runtime-member", project.app});
    };
    fill("2");
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
    const auto claim = [&project](const std::string& slug) {
      project.database.execute("BEGIN; SET LOCAL ROLE " + project.app);
      project.database.execute("SELECT tenantctl.claim('" + slug + "'); COMMIT");
      return project.database.value("SELECT runtime_role FROM tenantctl.admission('" + slug +
                                    "', NULL)");
    };
    const std::string role = claim("acme");
    CHECK(project.has_role(role));
    project.write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "DROP TABLE b;");
    project.must({"upgrade-all"});
    CHECK(project.seen("acme", role,
                       "SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b)") == "0");
    CHECK(contains(project.seen("acme", role, "SELECT count(*) FROM pool_00002.a"),
                   "permission denied"));
    CHECK(contains(project.seen("acme", role, "SELECT count(*) FROM tenantctl_version"),
                   "permission denied"));
    // The pool's names come again, the roles' do not.
    CHECK(claim("beta") != role);
    fill("1");
    const std::string next =
        project.database.value("SELECT schema_name || ' ' || runtime_role FROM tenantctl.place");
    CHECK(next.starts_with("pool_00001 rt_"));
    CHECK_FALSE(next.ends_with(role));
    CHECK(fault(project.run({"audit", "isolation"}), 0) == "");
    fill("0");
    CHECK_FALSE(project.has_role(next.substr(next.find(' ') + 1)));
    CHECK(project.has_role(role));
    project.must({"tenant", "drop", "acme", "--yes", "--purge"});
    CHECK_FALSE(project.has_role(role));
  }

  TEST_CASE("tenant create takes only who works as it was asked for") {
    RolesProject project;
    const auto fill = [&project](const std::vector<std::string>& roles) {
      std::vector<std::string> words = {"tenant", "pool", "--keep", "1"};
      words.insert(words.end(), roles.begin(), roles.end());
      project.must(words);
      return project.database.value("SELECT COALESCE(runtime_role, 'none') FROM tenantctl.place");
    };
    const std::vector<std::string> own = {"--runtime-role", "per-tenant"};
    const std::vector<std::string> ours = {"--runtime-role", "per-tenant", "--runtime-member",
                                           project.app};
    const std::string first = fill(own);
    CHECK(project.has_role(first));
    CHECK(fault(project.create("acme"), 0, {"applied"}) == "");
    CHECK(fault(project.run({"tenant", "create", "plain"}), 0, {"applied"}) == "");
    CHECK(project.database.value(
              "SELECT runtime_role FROM tenantctl.tenant WHERE slug = 'plain'") == "");
    // Who may become it counts as well.
    const std::string second = fill(ours);
    CHECK_FALSE(project.has_role(first));
    CHECK(fault(project.create("beta"), 0, {"from the pool"}) == "");
    CHECK(project.seen("beta", second, "SELECT count(*) FROM a") == "0");
    CHECK(fill({"--runtime-role", project.app}) == project.app);
    CHECK(fault(project.create("gamma"), 0, {"applied"}) == "");
    CHECK(fault(project.run({"tenant", "create", "delta", "--runtime-role", project.app}), 0,
                {"from the pool"}) == "");
    CHECK(fill(ours) != "none");
    CHECK(fill({}) == "none");
    CHECK(project.has_role(project.app));
    CHECK(project.database.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rt\\_" +
                                 project.database.name() + "\\_p%'") == "1");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("the next in turn that works otherwise is left, and the tenant made") {
    RolesProject project;
    project.must({"tenant", "pool", "--keep", "2"});
    project.database.execute("UPDATE tenantctl.place SET runtime_role = '" + project.app +
                             "' WHERE schema_name = 'pool_00001'");
    CHECK(fault(project.run({"tenant", "create", "acme"}), 0) == "");
    CHECK(project.database.value("SELECT COALESCE(runtime_role, 'none') FROM tenantctl.tenant") ==
          "none");
    CHECK(project.database.value("SELECT count(*) FROM tenantctl.place WHERE state = 'ready'") ==
          "2");
  }

  TEST_CASE("a revision that fails leaves no role, and what a killed run left is completed") {
    RolesProject project;
    const auto roles = [&project] {
      return project.database.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rt\\_" +
                                    project.database.name() + "\\_p%'");
    };
    const std::vector<std::string> fill = {"tenant", "pool",           "--keep",
                                           "2",      "--runtime-role", "per-tenant"};
    CHECK(fault(project.run({"tenant", "pool", "--runtime-member", project.app}), 2,
                {"per-tenant"}) == "");
    CHECK(fault(project.run({"tenant", "pool", "--runtime-role", "nobody at all"}), 2,
                {"no role"}) == "");
    project.write("tenant/0002_bad.sql", "SELECT 1 / 0;", "SELECT 1;");
    CHECK(fault(project.run(fill), 1, {"division by zero"}) == "");
    CHECK(roles() == "0");
    project.remove("tenant/0002_bad.sql");
    project.must(fill);
    CHECK(roles() == "2");
    // Killed before it was ready; and before there was a role.
    project.database.execute("UPDATE tenantctl.place SET state = 'provisioning'");
    project.database.execute(
        "UPDATE tenantctl.place SET runtime_role = left(runtime_role, -1) || 'x' WHERE schema_name "
        "= "
        "'pool_00002'");
    project.must(fill);
    CHECK(roles() == "3");
    CHECK(project.database.value("SELECT string_agg(p.schema_name || ' ' || p.state, ',' ORDER BY "
                                 "p.schema_name) FROM tenantctl.place p JOIN pg_roles r ON "
                                 "r.rolname = p.runtime_role") ==
          "pool_00001 ready,pool_00002 ready");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
  }

  TEST_CASE("of two runs at once the second waits for the first, and each schema has one role") {
    RolesProject project;
    const std::vector<std::string> fill = {"tenant",         "pool",       "--keep", "3",
                                           "--runtime-role", "per-tenant", "--jobs", "1"};
    std::vector<Finished> runs(3);
    std::vector<std::thread> threads;
    for (Finished& run : runs)
      threads.emplace_back([&] { run = project.run(fill); });
    for (auto& thread : threads)
      thread.join();
    for (const Finished& run : runs)
      CHECK(fault(run, 0, {"pool: 3 ready"}) == "");
    CHECK(project.database.value(
              "SELECT count(DISTINCT p.schema_name) || ' ' || count(*) FROM tenantctl.place p JOIN "
              "pg_roles r ON has_schema_privilege(r.oid, p.schema_name, 'USAGE') AND NOT "
              "r.rolsuper AND r.rolname NOT LIKE 'pg\\_%' AND p.state = 'ready'") == "3 3");
    CHECK(fault(project.run({"registry", "check"}), 0) == "");
    project.database.execute("SELECT pg_advisory_lock(1952670776, 0)");
    CHECK(fault(project.run({"tenant", "pool", "--lock-wait", "50ms"}), 3,
                {"another run fills the pool", "--lock-wait"}) == "");
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    CHECK(fault(project.run({"tenant", "pool", "--keep", "1", "--dry-run"}), 0,
                {"3 schemas of the pool would be removed"}) == "");
    project.database.execute("SELECT pg_advisory_unlock_all()");
  }

  TEST_CASE("a role is never two tenants', whatever they are called") {
    RolesProject project;
    const std::vector<std::string> fill = {
        "tenant",         "pool",       "--keep",           "1",
        "--runtime-role", "per-tenant", "--runtime-member", project.app};
    project.must(fill);
    const std::string role = project.database.value("SELECT runtime_role FROM tenantctl.place");
    const std::string name = role.substr(project.role_of("").size());
    CHECK(fault(project.run({"tenant", "create", name, "other", "--runtime-role", "per-tenant"}), 2,
                {"works as a role that a new tenant would be given"}) == "");
    CHECK(fault(project.run({"tenant", "create", "other", "--runtime-role", role}), 2,
                {"is a tenant's own"}) == "");
    CHECK(fault(project.run({"tenant", "pool", "--runtime-role", role}), 2,
                {"is a tenant's own"}) == "");
    // Another member more, and a power that no tenant has: neither is as asked for.
    project.database.execute("CREATE ROLE \"" + name + "\"; GRANT \"" + role + "\" TO \"" + name +
                             "\"");
    CHECK(fault(project.run(fill), 0, {"1 made, 1 removed"}) == "");
    project.database.execute("DROP ROLE \"" + name + "\"; ALTER ROLE \"" +
                             project.database.value("SELECT runtime_role FROM tenantctl.place") +
                             "\" BYPASSRLS");
    CHECK(fault(project.run(fill), 0, {"1 made, 1 removed"}) == "");
    project.database.execute("CREATE TABLE public.own (id int); GRANT SELECT ON public.own TO \"" +
                             project.database.value("SELECT runtime_role FROM tenantctl.place") +
                             "\"");
    project.tool.set_variable("TENANTCTL_QUIET", std::nullopt);
    CHECK(fault(project.run({"tenant", "pool", "--keep", "0"}), 0, {"is kept: something else"}) ==
          "");
  }

  TEST_CASE("a version table that is made later is not the tenant's to write") {
    RolesProject project;
    project.create("acme");
    const std::string role = project.role_of("acme");
    project.database.execute("DROP TABLE acme.tenantctl_version");
    project.must({"stamp", "head", "--schema", "acme"});
    CHECK(contains(project.seen("acme", role, "SELECT count(*) FROM tenantctl_version"),
                   "permission denied"));
    CHECK(project.seen("acme", role, "SELECT count(*) FROM a") == "0");
    project.database.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC");
    project.must({"tenant", "create", "beta"});
    CHECK(project.database.value("SELECT array_length(relacl, 1) FROM pg_class WHERE oid = "
                                 "'beta.tenantctl_version'::regclass") == "1");
  }
}

TEST_SUITE("cli/runtime role names") {
  TEST_CASE("a name that would be too long is cut, and stays one of a kind") {
    RolesProject project;
    const std::string name(60, 'x');
    project.must({"tenant", "create", name, "--runtime-role", "per-tenant"});
    const std::string role = project.database.value("SELECT runtime_role FROM tenantctl.tenant");
    CHECK(role.size() <= 63);
    CHECK(project.has_role(role));
    project.must({"tenant", "drop", name, "--yes", "--purge"});
    CHECK_FALSE(project.has_role(role));
  }
}
