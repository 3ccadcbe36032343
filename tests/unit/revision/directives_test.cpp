#include "revision/directives.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace tenantctl;
using std::chrono::milliseconds;

namespace {

struct Answer {
  Directives directives;
  std::vector<Finding> findings;
};

Answer answer_to(const std::string& text) {
  Answer answer;
  answer.directives = read_directives("a.sql", lines_of(text), answer.findings);
  return answer;
}

std::string complaint(const std::string& text) {
  const auto findings = answer_to(text).findings;
  return findings.size() == 1 ? findings.front().message : std::to_string(findings.size());
}

}  // namespace

TEST_SUITE("revision/directives") {
  TEST_CASE("a lock-timeout is read in every unit") {
    const auto timeout = [](const std::string& value) {
      return answer_to("-- tenantctl: lock-timeout " + value).directives.lock_timeout;
    };
    CHECK(timeout("2s") == milliseconds(2000));
    CHECK(timeout("500") == milliseconds(500));
    CHECK(timeout("500ms") == milliseconds(500));
    CHECK(timeout("1 min") == milliseconds(60'000));
    CHECK(timeout("2147483647") == milliseconds(2'147'483'647));
  }

  TEST_CASE("a lock-timeout that PostgreSQL would not take is a finding") {
    for (const std::string value :
         {"0", "-1s", "2h", "s", "", "1.5s", "2 s s", "2147484s", "99999999999999999999"}) {
      CAPTURE(value);
      CHECK(complaint("-- tenantctl: lock-timeout " + value) ==
            "\"" + value + "\" is not a lock-timeout");
    }
  }

  TEST_CASE("a second lock-timeout is a finding") {
    CHECK(complaint("-- tenantctl: lock-timeout 1s\n-- tenantctl: lock-timeout 2s") ==
          "directive \"lock-timeout\" is given twice");
  }

  TEST_CASE("ignore needs a rule and a reason") {
    CHECK(answer_to("-- tenantctl: ignore add-index the table is small").findings.empty());
    CHECK(complaint("-- tenantctl: ignore add-index") ==
          "directive \"ignore\" needs a rule and a reason");
  }

  TEST_CASE("serial stands alone") {
    CHECK(answer_to("-- tenantctl: serial").directives.serial);
    CHECK_FALSE(answer_to("-- tenantctl: lock-timeout 1s").directives.serial);
    CHECK(complaint("-- tenantctl: serial please") == "directive \"serial\" takes no argument");
  }

  TEST_CASE("requires names revisions of the shared scope") {
    const auto answer = answer_to(
        "\n-- tenantctl: requires shared 20261120101500\n-- tenantctl: requires shared 0007");
    REQUIRE(answer.findings.empty());
    REQUIRE(answer.directives.requires_shared.size() == 2);
    CHECK(answer.directives.requires_shared[0].number == 20261120101500);
    CHECK(answer.directives.requires_shared[0].line == 2);
    CHECK(answer.directives.requires_shared[1].number == 7);
  }

  TEST_CASE("requires with anything else is a finding") {
    for (const std::string words :
         {"", "shared", "shared x", "shared 0", "shared -1", "shared 7x", "shared 7 8", "tenant 7",
          "7", "shared 1234567890123456789", "shared 99999999999999999999"}) {
      CAPTURE(words);
      CHECK(complaint("-- tenantctl: requires " + words) ==
            "directive \"requires\" needs a revision of the shared scope");
    }
  }

  TEST_CASE("an unknown directive is a finding that names the nearest") {
    const auto near = answer_to("\n--tenantctl:lock-timeuot 2s").findings;
    REQUIRE(near.size() == 1);
    CHECK(near.front().message == "unknown directive \"lock-timeuot\"");
    CHECK(near.front().hint == "Did you mean lock-timeout?");
    CHECK(near.front().place.line == 2);
    CHECK(near.front().place.text == "--tenantctl:lock-timeuot 2s");
    CHECK(
        answer_to("-- tenantctl: explode").findings.front().hint ==
        "The directives are lock-timeout, requires shared, serial, ignore and, in a seed, param.");
    CHECK(complaint("-- tenantctl:") == "unknown directive \"\"");
  }

  TEST_CASE("other lines are no directives") {
    CHECK(answer_to("SELECT 1 -- tenantctl: x\n-- about tenantctl: x\n-- tenantctl\n--\n")
              .findings.empty());
  }

  TEST_CASE("a directive may be indented") {
    CHECK(answer_to("  -- tenantctl: lock-timeout 1s").directives.lock_timeout ==
          milliseconds(1000));
  }
}
