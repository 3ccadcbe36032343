#include "revision/new_revision.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <string>

#include "revision/revision_folder.h"
#include "support/temporary_folder.h"

using namespace tenantctl;
using tenantctl::testing::TemporaryFolder;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto noon = std::chrono::sys_days(std::chrono::year(2026) / 11 / 20) + 12h + 5min + 9s;
constexpr const char* good = "-- migrate:up\nSELECT 1;\n";

std::string written(const TemporaryFolder& folder, const NewRevision& revision,
                    std::chrono::system_clock::time_point now = noon) {
  return write_revision(revision, folder.path(), now).filename().string();
}

}  // namespace

TEST_SUITE("revision/new_revision") {
  TEST_CASE("a message becomes a slug") {
    CHECK(slug_of("add invoices!") == "add_invoices");
    CHECK(slug_of("  Add -- 2nd INDEX  ") == "add_2nd_index");
    CHECK(slug_of("caf\xC3\xA9 table") == "caf_table");
    CHECK(slug_of("a__b") == "a_b");
  }

  TEST_CASE("a slug is at most 80 bytes and never ends in an underscore") {
    CHECK(slug_of(std::string(200, 'a')).size() == 80);
    CHECK(slug_of(std::string(79, 'a') + " b") == std::string(79, 'a'));
  }

  TEST_CASE("a message that leaves nothing is refused") {
    CHECK_THROWS_WITH_AS(slug_of("!\x1B"), "\"!\\x1b\" makes no name for a revision", UsageError);
    CHECK_THROWS_AS(slug_of(""), UsageError);
  }

  TEST_CASE("a new revision has the time in its name and both sections") {
    const TemporaryFolder folder;
    const auto path = write_revision({.message = "Add invoices"}, folder.path() / "a" / "b", noon);
    CHECK(path == folder.path() / "a" / "b" / "20261120120509_add_invoices.sql");
    CHECK(folder.read("a/b/20261120120509_add_invoices.sql") ==
          "-- migrate:up\n\n-- migrate:down\n\n");
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0111U) == 0);
  }

  TEST_CASE("a new repeatable is named by its message and never written over") {
    const TemporaryFolder folder;
    const NewRevision totals{.message = "Invoice totals", .repeatable = true};
    CHECK(written(folder, totals) == "invoice_totals.sql");
    std::vector<Finding> findings;
    std::vector<Finding> warnings;
    read_repeatable("invoice_totals.sql", Scope::tenant, folder.read("invoice_totals.sql"),
                    findings, warnings);
    CHECK(findings.empty());
    CHECK_THROWS_WITH_AS(written(folder, totals),
                         (folder.path() / "invoice_totals.sql is there already").c_str(),
                         UsageError);
  }

  TEST_CASE("a revision outside a transaction says so in both sections") {
    const TemporaryFolder folder;
    const auto name = written(folder, {.message = "a", .transaction = false});
    CHECK(folder.read(name) ==
          "-- migrate:up transaction:false\n\n-- migrate:down transaction:false\n\n");
    const auto revisions = RevisionFolder::read(folder.path(), Scope::tenant);
    CHECK_FALSE(revisions.revisions().front().up.transaction);
  }

  TEST_CASE("two of one second and one with a clock behind still go up") {
    const TemporaryFolder folder;
    const NewRevision revision{.message = "a"};
    CHECK(written(folder, revision) == "20261120120509_a.sql");
    CHECK(written(folder, revision) == "20261120120510_a.sql");
    CHECK(written(folder, revision, noon - 24h) == "20261120120511_a.sql");
    CHECK(written(folder, revision, noon + 1h) == "20261120130509_a.sql");
  }

  TEST_CASE("a sequence goes on in the folder's width") {
    const TemporaryFolder folder;
    const NewRevision revision{.message = "a", .numbering = Numbering::sequence};
    CHECK(written(folder, revision) == "0001_a.sql");
    CHECK(written(folder, revision) == "0002_a.sql");
    folder.write("000041_b.sql", good);
    CHECK(written(folder, revision) == "000042_a.sql");
  }

  TEST_CASE("the other numbering goes on above the head") {
    const TemporaryFolder folder;
    folder.write("0007_b.sql", good);
    CHECK(written(folder, {.message = "a"}) == "20261120120509_a.sql");
    CHECK(written(folder, {.message = "a", .numbering = Numbering::sequence}) ==
          "20261120120510_a.sql");
  }

  TEST_CASE("a number with 19 digits is not made") {
    const TemporaryFolder folder;
    folder.write("999999999999999999_b.sql", good);
    CHECK_THROWS_WITH_AS(written(folder, {.message = "a"}), "no number is left above the head",
                         UsageError);
  }

  TEST_CASE("a folder with findings gets no further revision") {
    const TemporaryFolder folder;
    folder.write("x.sql", good);
    CHECK_THROWS_AS(written(folder, {.message = "a"}), FolderError);
  }

  TEST_CASE("a folder that cannot be made or written to is an error that names it") {
    const TemporaryFolder folder;
    const fs::path deep = folder.path() / std::string(200, 'a') / std::string(200, 'b');
    CHECK_NOTHROW(write_revision({.message = "a"}, deep, noon));
    CHECK_THROWS_AS(write_revision({.message = "a"}, "/proc/no/such", noon), Error);
    CHECK_THROWS_AS(write_revision({.message = "a"}, "/proc/sys", noon), Error);
  }
}
