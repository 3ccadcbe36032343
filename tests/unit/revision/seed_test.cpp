#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "revision/directives.h"
#include "revision/revision_folder.h"
#include "support/temporary_folder.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

struct ReadSeed {
  Revision seed;
  std::vector<Finding> findings;
};

ReadSeed seed_of(const std::string& bytes, Scope scope = Scope::tenant) {
  ReadSeed read;
  std::vector<Finding> warnings;
  read.seed = read_seed("seeds/admin.sql", scope, bytes, read.findings, warnings);
  return read;
}

// The only finding, as `line: message`.
std::string seed_finding(const std::string& bytes, Scope scope = Scope::tenant) {
  const ReadSeed read = seed_of(bytes, scope);
  REQUIRE(read.findings.size() == 1);
  return std::to_string(read.findings.front().place.line) + ": " + read.findings.front().message;
}

std::vector<std::string> folder_findings(const TemporaryFolder& folder) {
  std::vector<std::string> told;
  try {
    RevisionFolder::read(RevisionFolder::Paths::in(folder.path()), Scope::tenant,
                         {.file_size = 100});
  } catch (const FolderError& error) {
    for (const Finding& finding : error.findings()) {
      told.push_back(std::filesystem::path(finding.place.file).filename().string() + ": " +
                     finding.message);
    }
  }
  return told;
}

}  // namespace

TEST_SUITE("revision/seed") {
  TEST_CASE("a seed is one section with parameters") {
    const ReadSeed read = seed_of(
        "-- tenantctl: param owner_email\n-- tenantctl: param plan = free of  charge \n"
        "--tenantctl: param empty=\n-- tenantctl: lock-timeout 2s\nSELECT 1;\n");
    CHECK(read.findings.empty());
    CHECK(read.seed.title() == "admin");
    CHECK(read.seed.is_seed);
    CHECK_FALSE(read.seed.is_repeatable());
    CHECK(read.seed.lock_timeout == std::chrono::seconds(2));
    REQUIRE(read.seed.parameters.size() == 3);
    CHECK(read.seed.parameters[0].name == "owner_email");
    CHECK_FALSE(read.seed.parameters[0].preset);
    CHECK(read.seed.parameters[1].preset == "free of  charge");
    CHECK(read.seed.parameters[1].line == 2);
    CHECK(read.seed.parameters[2].name == "empty");
    CHECK(read.seed.parameters[2].preset == "");
  }

  TEST_CASE("a default may hold an equals sign, quotes and what looks like SQL") {
    const ReadSeed read = seed_of("-- tenantctl: param q = a=b'; DROP TABLE t; --\nSELECT 1;\n");
    CHECK(read.findings.empty());
    CHECK(read.seed.parameters.front().preset == "a=b'; DROP TABLE t; --");
  }

  TEST_CASE("names of parameters are refused with their line") {
    for (const char* name : {"Owner", "1st", "a-b", "a b", "", "\"x\"", "a.b", "= 1"}) {
      CAPTURE(name);
      const std::string told = seed_finding("SELECT 1;\n-- tenantctl: param " + std::string(name));
      CHECK(told.starts_with("2: \""));
      CHECK(told.ends_with("is no name of a parameter"));
    }
    CHECK(seed_finding("-- tenantctl: param " + std::string(41, 'a')).ends_with("of a parameter"));
    CHECK(seed_finding("-- tenantctl: param tenant_id\n") ==
          "1: parameter tenant_id has a name of tenantctl's own");
    CHECK(seed_finding("-- tenantctl: param a\n-- tenantctl: param a = 1\n") ==
          "2: parameter a is declared twice");
  }

  TEST_CASE("what only revisions have is refused") {
    CHECK(seed_finding("-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n") ==
          "3: a seed has no down section");
    CHECK(seed_finding("-- migrate:up transaction:false\nSELECT 1;\n") ==
          "1: a seed runs in a transaction");
    CHECK(seed_finding("-- tenantctl: requires shared 1\nSELECT 1;\n") ==
          "1: a seed requires nothing");
    CHECK(seed_finding("-- tenantctl: requires shared 1\nSELECT 1;\n", Scope::shared) ==
          "1: a seed requires nothing");
    CHECK(seed_finding("-- tenantctl: serial\nSELECT 1;\n") == "0: a seed is never serial");
    CHECK(seed_finding("SELECT 'a\n").starts_with("1: "));
  }

  TEST_CASE("only a seed has parameters") {
    std::vector<Finding> findings;
    std::vector<Finding> warnings;
    const std::string text = "-- migrate:up\n-- tenantctl: param a\nSELECT 1;\n";
    read_revision("1_a.sql", Scope::tenant, text, findings, warnings);
    read_repeatable("a.sql", Scope::tenant, text, findings, warnings);
    REQUIRE(findings.size() == 2);
    CHECK(findings[0].message == "only a seed has parameters");
    CHECK(findings[1].message == "only a seed has parameters");
    CHECK(findings[1].place.line == 2);
  }

  TEST_CASE("a folder's seeds are in the order of their names, beside its revisions") {
    const TemporaryFolder folder;
    folder.write("versions/0001_a.sql", "-- migrate:up\nSELECT 1;\n");
    folder.write("seeds/20_b.sql", "SELECT 2;\n");
    folder.write("seeds/10_a.sql", "SELECT 1;\n");
    folder.write("seeds/README.md", "nothing of ours");
    folder.write("seeds/more/x.sql", "nothing of ours");
    const RevisionFolder read =
        RevisionFolder::read(RevisionFolder::Paths::in(folder.path()), Scope::tenant, {});
    CHECK(read.revisions().size() == 1);
    CHECK(read.repeatables().empty());
    REQUIRE(read.seeds().size() == 2);
    CHECK(read.seeds()[0].title() == "10_a");
    CHECK(read.seeds()[1].title() == "20_b");
  }

  TEST_CASE("odd files are findings, as among revisions") {
    const TemporaryFolder folder;
    folder.write("seeds/big.sql", std::string(101, ' '));
    folder.write("seeds/bad name.sql", "SELECT 1;\n");
    folder.write("seeds/latin.sql", "SELECT '\xE9';\n");
    folder.write("seeds/nul.sql", std::string("SELECT 1;\0", 10));
    std::filesystem::create_symlink("latin.sql", folder.path() / "seeds" / "link.sql");
    CHECK(folder_findings(folder) ==
          std::vector<std::string>{"bad name.sql: is not named like a seed",
                                   "big.sql: is larger than 100 bytes", "latin.sql: invalid UTF-8",
                                   "link.sql: is a symbolic link", "nul.sql: NUL byte"});
  }

  TEST_CASE("line ends do not change a seed's checksum") {
    CHECK(seed_of("SELECT 1;\r\nSELECT 2;\r\n").seed.checksum ==
          seed_of("SELECT 1;\nSELECT 2;\n").seed.checksum);
    CHECK(seed_of("SELECT 1;\n").seed.checksum != seed_of("SELECT 2;\n").seed.checksum);
  }
}
