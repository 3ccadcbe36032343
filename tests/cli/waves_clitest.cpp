#include <doctest/doctest.h>

#include <string>

#include "support/project.h"

using namespace tenantctl::testing;

TEST_SUITE("cli/waves") {
  TEST_CASE("a canary that fails stops the run, and the rest is named as not started") {
    Project project;
    project.create_tenants(12);
    project.write("tenant/0001_a.sql",
                  "SELECT 1 / CASE WHEN :'schema' = 't005' THEN 0 ELSE 1 END;");
    const auto run = project.run({"upgrade-all", "--canary", "t005", "--waves", "50%"});
    CHECK(fault(run, 1,
                {"1 failed", "11 not-started", "t005", "division by zero",
                 "no further schema was started: 1 schema of wave 1 failed"}) == "");
    CHECK(project.revision_of("t001") == "base");
    CHECK(fault(project.run({"upgrade-all", "--canary", "2"}), 1, {"11 applied", "1 failed"}) ==
          "");
    CHECK(project.revision_of("t001") == "0001_a");
  }

  TEST_CASE("on a terminal --confirm asks before each further wave, and only yes is yes") {
    Project project;
    project.create_tenants(10);
    project.write("tenant/0001_a.sql", "CREATE TABLE a (id int);");
    const auto answered = [&](const std::string& first, const std::string& second) {
      return project.tool.run_in_terminal(
          {"upgrade-all", "--canary", "1", "--waves", "4", "--confirm"},
          {{"Type yes to go on: ", first}, {"Type yes to go on: ", second}});
    };
    const auto stopped =
        project.tool.run_in_terminal({"upgrade-all", "--canary", "1", "--waves", "4", "--confirm"},
                                     {{"Type yes to go on: ", "no\n"}});
    CHECK(fault(stopped, 1, {"Go on with wave 2, 3 schemas?", "1 applied", "9 not-started"}) == "");
    CHECK(project.revision_of("t001") == "0001_a");
    CHECK(project.revision_of("t002") == "base");
    CHECK(fault(answered("yes\n", "yes\n"), 0, {"9 applied"}) == "");
    CHECK(project.revision_of("t010") == "0001_a");
  }

  TEST_CASE("what says no waves or budgets is refused before any connection") {
    Project project;
    project.write("tenant/0001_a.sql", "CREATE TABLE a ();");
    project.tool.set_variable("DATABASE_URL", unreachable_url);
    const auto refused = [&project](std::vector<std::string> options, const std::string& why) {
      options.insert(options.begin(), "upgrade-all");
      return fault(project.run(options), 2, {why});
    };
    CHECK(refused({"--canary", "1", "--canary", "acme"}, "--canary 1 stands beside") == "");
    CHECK(refused({"--waves", "1,ten"}, "\"ten\" is neither a number") == "");
    CHECK(refused({"--max-failures", "101%"}, "\"101%\" is neither a number") == "");
    CHECK(refused({"--max-lock-waits", "5%"}, "takes a number of tries") == "");
    CHECK(refused({"--confirm"}, "nobody is at a terminal") == "");
  }

  TEST_CASE("an unknown canary is refused, and touches nothing") {
    Project project;
    project.create_tenants(3);
    project.write("tenant/0001_a.sql", "CREATE TABLE a ();");
    CHECK(fault(project.run({"upgrade-all", "--canary", "nobody"}), 2,
                {"the canary nobody is not among the selected schemas"}) == "");
    CHECK(project.revision_of("t001") == "base");
  }
}
