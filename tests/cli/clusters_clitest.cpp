#include <doctest/doctest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "support/database.h"
#include "support/process.h"
#include "support/project.h"

using namespace tenantctl::testing;
using nlohmann::json;

namespace {

/// The version of the server that the tests are given.
std::string major_version() {
  return TestDatabase().value("SELECT current_setting('server_version_num')::int / 10000");
}

/// Another private server of that version, up until the end of the test: a run takes one version.
class SecondServer {
 public:
  SecondServer()
      : process_({(source_folder() / "scripts/with_postgres").string(), "--postgres",
                  major_version(), "sh", "-c",
                  "echo \"host=$PGHOST port=$PGPORT user=$PGUSER dbname=postgres\" > " +
                      file("up") + ".new; mv " + file("up") + ".new " + file("up") +
                      "; while [ ! -e " + file("down") + " ]; do sleep 0.1; done"}) {
    for (int i = 0; i < 600 && conninfo_.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (std::filesystem::exists(file("up")))
        conninfo_ = folder_.read("up");
    }
    if (conninfo_.empty())
      throw std::runtime_error("the second server did not start");
    conninfo_.pop_back();
  }

  ~SecondServer() {
    folder_.write("down", "");
    process_.wait(std::chrono::seconds(60));
  }

  SecondServer(const SecondServer&) = delete;
  SecondServer& operator=(const SecondServer&) = delete;

  const std::string& conninfo() const { return conninfo_; }

  std::string value(const std::string& database, const std::string& sql) const {
    const auto run = run_process({"psql", "-XAtq", conninfo_ + " dbname=" + database, "-c", sql});
    return run.exit_code == 0 ? run.out.substr(0, run.out.find_last_not_of('\n') + 1) : run.err;
  }

 private:
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }

  TemporaryFolder folder_;
  RunningProcess process_;
  std::string conninfo_;
};

std::string result_of(const json& document, const std::string& schema) {
  for (const auto& one : document.at("tenants").at("schemas")) {
    if (one.at("schema") == schema)
      return one.at("result");
  }
  return "";
}

}  // namespace

TEST_SUITE("cli/clusters") {
  TEST_CASE("one run goes over two servers, with a ledger in each") {
    const SecondServer eu;
    Project project;
    project.tool.folder().write("tenantctl.toml", "[clusters]\neu = \"$EU_URL\"\n");
    project.tool.set_variable("EU_URL", eu.conninfo());
    project.write("shared/0001_plans.sql", "CREATE TABLE plans (id int);", "DROP TABLE plans;");
    project.write_abc();
    project.must({"upgrade", "--scope", "shared"});
    project.must({"registry", "init"});
    project.must({"tenant", "create", "plain"});
    project.must({"tenant", "create", "far", "further", "--isolation", "database", "--cluster",
                  "eu", "--template-database", "source"});
    CHECK(project.database.value("SELECT string_agg(cluster || ' ' || database_name || ' ' || "
                                 "state, ',' ORDER BY slug) FROM tenantctl.tenant WHERE cluster IS "
                                 "NOT NULL") == "eu tenant_far ready,eu tenant_further ready");
    CHECK(eu.value("tenant_far", "SELECT count(*) FROM tenant.c, shared.plans") == "0");

    project.write("tenant/0004_d.sql", "CREATE TABLE d (i int);", "DROP TABLE d;");
    const auto run = project.run({"upgrade-all", "-o", "json"});
    CHECK(fault(run, 0) == "");
    const json document = json::parse(run.out);
    CHECK(document["tenants"]["counts"]["applied"] == 3);
    CHECK(result_of(document, "eu:tenant_far/tenant") == "applied");
    const std::string id = document["run_id"];
    CHECK(eu.value("postgres",
                   "SELECT r.state || ' ' || (SELECT string_agg(s.schema, ',' "
                   "ORDER BY s.schema) FROM tenantctl.run_schema s WHERE s.run_id "
                   "= r.id AND s.scope = 'tenant') FROM tenantctl.run r WHERE r.id = '" +
                       id + "'") == "ok eu:tenant_far/tenant,eu:tenant_further/tenant");
    CHECK(fault(project.run({"status"}), 0, {"0004_d"}) == "");
    CHECK(fault(project.run({"undo", id, "-y"}), 0, {"3 applied"}) == "");

    project.tool.set_variable("EU_URL", unreachable_url);
    const auto alone = project.run({"upgrade-all", "-o", "json"});
    CHECK(alone.exit_code == 1);
    CHECK(json::parse(alone.out)["tenants"]["counts"]["unavailable"] == 2);
    CHECK(json::parse(alone.out)["tenants"]["counts"]["applied"] == 1);
    project.tool.set_variable("EU_URL", std::nullopt);
    CHECK(fault(project.run({"upgrade-all"}), 2, {"cluster \"eu\"", "EU_URL", "is not set"}) == "");
    project.tool.folder().write("tenantctl.toml", "");
    CHECK(fault(project.run({"check"}), 2, {"nothing says where cluster \"eu\" is"}) == "");

    project.tool.set_variable("TENANTCTL_CLUSTER_URL", "eu=" + eu.conninfo());
    CHECK(fault(project.run({"retry", std::string(json::parse(alone.out)["run_id"])}), 0,
                {"2 applied"}) == "");
    project.must({"tenant", "rename", "far", "afar"});
    CHECK(eu.value("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'tenant_afar'") ==
          "1");
    project.must({"tenant", "drop", "afar", "-y"});
    CHECK(fault(project.run({"check"}), 0) == "");
    project.must({"tenant", "undrop", "afar"});
    CHECK(fault(project.run({"check"}), 0) == "");
    CHECK(fault(project.run({"tenant", "show", "afar"}), 0, {"cluster eu", "tenant_afar"}) == "");
    project.must({"tenant", "drop", "afar", "eu:tenant_further/tenant", "-y", "--purge"});
    CHECK(eu.value("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'tenant%'") ==
          "0");
    CHECK(project.database.value("SELECT string_agg(slug, ',') FROM tenantctl.tenant") == "plain");
  }

  TEST_CASE("databases are made and dropped on the server that their tenants are on, or not") {
    const SecondServer eu;
    Project project;
    project.tool.folder().write("tenantctl.toml", "[clusters]\neu = \"$EU_URL\"\n");
    project.tool.set_variable("EU_URL", eu.conninfo());
    project.write_abc();
    project.must({"registry", "init"});
    const std::string prefix = project.database.name() + "_";
    const std::vector<std::string> database{"--isolation", "database", "--database-prefix", prefix};
    const auto run = [&](std::vector<std::string> args) {
      if (args[1] == "create")
        args.insert(args.end(), database.begin(), database.end());
      return project.run(args);
    };
    CHECK(fault(run({"tenant", "create", "acme"}), 0) == "");
    project.must({"registry", "init", "--cluster", "eu"});
    project.must({"registry", "join", "eu"});
    CHECK(fault(run({"tenant", "create", "far", "--cluster", "eu"}), 0) == "");
    // Of the same name, on the other server.
    CHECK(eu.value("postgres", "ALTER DATABASE \"" + prefix + "far\" RENAME TO \"" + prefix +
                                   "acme\"; UPDATE tenantctl.tenant SET database_name = '" +
                                   prefix + "acme'") == "");
    project.tool.set_variable("TENANTCTL_ADMIN_URL", project.database.conninfo());
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"tenant", "drop", "far", "--purge", "-y", "--cluster", "eu"},
          {"tenant", "drop", "far", "-y", "--cluster", "eu"},
          {"tenant", "create", "more", "--cluster", "eu"}})
      CHECK(fault(run(args), 2, {"--admin-url leads to another server"}) == "");
    CHECK(project.database.value("SELECT count(*) FROM pg_database WHERE datname = '" + prefix +
                                 "acme'") == "1");
    project.tool.set_variable("TENANTCTL_ADMIN_URL", eu.conninfo());
    CHECK(fault(run({"tenant", "drop", "far", "--purge", "-y", "--cluster", "eu"}), 0) == "");
    CHECK(eu.value("postgres",
                   "SELECT count(*) FROM pg_database WHERE datname = '" + prefix + "acme'") == "0");
    CHECK(project.database.value("SELECT count(*) FROM pg_database WHERE datname = '" + prefix +
                                 "acme'") == "1");
  }

  TEST_CASE("what names no cluster is refused before anything is made") {
    Project project;
    project.write_abc();
    project.must({"registry", "init"});
    CHECK(fault(project.run(
                    {"tenant", "create", "one", "--isolation", "database", "--cluster", "mars"}),
                2, {"nothing says where cluster \"mars\" is", "[clusters]"}) == "");
    CHECK(fault(project.run({"tenant", "create", "one", "--cluster", "mars"}), 2,
                {"nothing says where cluster \"mars\" is"}) == "");
    project.tool.folder().write("tenantctl.toml", "[clusters]\neu = \"dbname=x\"\n");
    CHECK(fault(project.run({"tenant", "create", "one", "--cluster", "eu"}), 2,
                {"cluster eu has not joined", "tenantctl registry join"}) == "");
    CHECK(fault(project.run({"status", "--cluster-url", "mars"}), 2, {"is not name=URL"}) == "");
    project.tool.folder().write("tenantctl.toml", "[servers]\neu = \"x\"\n");
    CHECK(fault(project.run({"status"}), 2, {"[clusters] is the only section"}) == "");
  }
}
