#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/checksum.h"
#include "revision/file_name.h"
#include "revision/revision_folder.h"
#include "support/temporary_folder.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

std::vector<Finding> findings_of(const std::string& bytes,
                                 const std::string& file = "repeatable/totals.sql",
                                 Scope scope = Scope::tenant) {
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
  read_repeatable(file, scope, bytes, findings, warnings);
  return findings;
}

// The only finding, as `line: message`.
std::string repeatable_finding(const std::string& bytes) {
  const auto findings = findings_of(bytes);
  REQUIRE(findings.size() == 1);
  return std::to_string(findings.front().place.line) + ": " + findings.front().message;
}

RevisionFolder read(const TemporaryFolder& folder, Scope scope = Scope::tenant) {
  return RevisionFolder::read(RevisionFolder::Paths::in(folder.path()), scope, {});
}

}  // namespace

TEST_SUITE("revision/repeatable") {
  TEST_CASE("a repeatable is one section, with or without its marker") {
    const std::string sql = "CREATE OR REPLACE VIEW v AS SELECT 1;\n";
    const Revision plain = repeatable_of("totals", sql + "\n\n");
    CHECK(plain.title() == "totals");
    CHECK(plain.is_repeatable());
    CHECK(plain.number == repeatable_number("totals"));
    CHECK(plain.up.sql == sql);
    CHECK(plain.up.first_line == 1);
    CHECK_FALSE(plain.down);
    CHECK(plain.checksum == "sha256:" + sha256_hex(sql));
    const Revision marked = repeatable_of("totals", "-- What it is.\n-- migrate:up\n" + sql);
    CHECK(marked.checksum == plain.checksum);
    CHECK(marked.up.first_line == 3);
  }

  TEST_CASE("a down section is refused with its line") {
    CHECK(repeatable_finding("-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n") ==
          "3: a repeatable has no down section");
    const auto alone = findings_of("SELECT 1;\n-- migrate:down\nSELECT 2;\n");
    CHECK(std::any_of(alone.begin(), alone.end(), [](const Finding& finding) {
      return finding.place.line == 2 && finding.message == "a repeatable has no down section";
    }));
  }

  TEST_CASE("a repeatable outside a transaction is refused") {
    CHECK(repeatable_finding("-- migrate:up transaction:false\nSELECT 1;\n") ==
          "1: a repeatable runs in a transaction");
    CHECK(findings_of("-- migrate:up transaction:true\nSELECT 1;\n").empty());
  }

  TEST_CASE("what is refused in a revision is refused in a repeatable") {
    CHECK(repeatable_finding("SELECT 1;\nSELECT 'a\n") == "2: unterminated quoted string");
    CHECK(repeatable_finding("-- tenantctl: explode\nSELECT 1;\n") ==
          "1: unknown directive \"explode\"");
    CHECK(repeatable_finding("-- migrate:up x:y\nSELECT 1;\n") == "1: unknown option \"x:y\"");
    CHECK(repeatable_finding(std::string("SELECT 1;\n\0", 11)) == "2: NUL byte");
    CHECK(findings_of("SELECT 1;\n", "repeatable/a b.sql").front().message ==
          "is not named like a repeatable");
  }

  TEST_CASE("directives of a repeatable are those of a revision") {
    const Revision revision = repeatable_of("totals",
                                            "-- tenantctl: lock-timeout 2s\n-- tenantctl: serial\n"
                                            "-- tenantctl: requires shared 7\nSELECT 1;\n");
    CHECK(revision.lock_timeout == std::chrono::milliseconds(2'000));
    CHECK(revision.serial);
    CHECK(revision.requires_shared.front().number == 7);
  }

  TEST_CASE("a folder holds its repeatables by name beside its revisions") {
    const TemporaryFolder folder;
    folder.write("versions/0001_a.sql", "-- migrate:up\nSELECT 1;\n");
    folder.write("repeatable/z.sql", "SELECT 1;\n");
    folder.write("repeatable/a.sql", "SELECT 2;\n");
    folder.write("repeatable/.hidden.sql", "nonsense '");
    folder.write("repeatable/README.md", "nonsense '");
    const auto both = read(folder);
    CHECK(both.revisions().size() == 1);
    REQUIRE(both.repeatables().size() == 2);
    CHECK(both.repeatables()[0].title() == "a");
    CHECK(both.repeatables()[1].title() == "z");
    CHECK(both.find_repeatable("z") == &both.repeatables()[1]);
    CHECK(both.find_repeatable("m") == nullptr);
    CHECK(both.find(both.repeatables()[0].number) == nullptr);
  }

  TEST_CASE("either folder may be missing") {
    const TemporaryFolder folder;
    CHECK(read(folder).is_blank());
    folder.write("repeatable/a.sql", "SELECT 1;\n");
    CHECK(read(folder).empty());
    CHECK_FALSE(read(folder).is_blank());
  }

  TEST_CASE("findings of both folders come at once") {
    const TemporaryFolder folder;
    folder.write("versions/0001_a.sql", "SELECT 1;\n");
    folder.write("repeatable/a.SQL", "SELECT 1;\n");
    folder.write("repeatable/b.sql", "-- migrate:up\nSELECT 1;\n-- migrate:down\n");
    try {
      read(folder);
      FAIL("not refused");
    } catch (const FolderError& error) {
      const std::string text = error.what();
      CAPTURE(text);
      CHECK(error.findings().size() == 3);
      CHECK(text.find("versions/0001_a.sql: has no line") != std::string::npos);
      CHECK(text.find("repeatable/a.SQL: is not named like a repeatable") != std::string::npos);
      CHECK(text.find("repeatable/b.sql:3: a repeatable has no down") != std::string::npos);
    }
  }

  TEST_CASE("a shared revision that a tenant's requires must be in the folder") {
    const std::string bytes = "-- migrate:up\nSELECT 1;\n-- tenantctl: requires shared 0002\n";
    const RevisionFolder tenant(
        Scope::tenant, {revision_of(1, bytes)},
        {repeatable_of("v", "-- tenantctl: requires shared 3\nSELECT 1;\n")});
    const RevisionFolder shared(Scope::shared, {revision_of(2), revision_of(3)});
    CHECK(check_requirements(tenant, shared).empty());
    const auto findings =
        check_requirements(tenant, RevisionFolder(Scope::shared, {revision_of(1)}));
    REQUIRE(findings.size() == 2);
    CHECK(findings[0].message == "requires the shared revision 0002, which is not in the folder");
    CHECK(findings[0].place.file == "versions/0001_r1.sql");
    CHECK(findings[0].place.line == 3);
    CHECK(findings[1].place.file == "repeatable/v.sql");
  }

  TEST_CASE("the shared scope requires nothing of itself") {
    const auto findings = findings_of("\n-- tenantctl: requires shared 1\nSELECT 1;\n",
                                      "repeatable/v.sql", Scope::shared);
    REQUIRE(findings.size() == 1);
    CHECK(findings.front().place.line == 2);
    CHECK(findings.front().message == "a revision of the shared scope requires the shared scope");
  }
}
