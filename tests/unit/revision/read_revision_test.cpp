#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "revision/revision_folder.h"

using namespace tenantctl;

namespace {

constexpr const char* file_name = "versions/0012_backfill_total.sql";

struct Reading {
  Revision revision;
  std::vector<Finding> findings;
  std::vector<Finding> warnings;
};

Reading reading_of(const std::string& bytes, const std::string& name = file_name) {
  Reading reading;
  reading.revision = read_revision(name, Scope::tenant, bytes, reading.findings, reading.warnings);
  return reading;
}

Revision revision_of(const std::string& bytes) {
  auto reading = reading_of(bytes);
  REQUIRE(reading.findings.empty());
  return reading.revision;
}

// The only finding, as `line: message`.
std::string finding_of(const std::string& bytes) {
  const auto findings = reading_of(bytes).findings;
  REQUIRE(findings.size() == 1);
  return std::to_string(findings.front().place.line) + ": " + findings.front().message;
}

std::string checksum_of(const std::string& text) { return "sha256:" + sha256_hex(text); }

}  // namespace

TEST_SUITE("revision/read_revision") {
  TEST_CASE("a file is a revision with two sections") {
    const auto revision = revision_of(
        "-- Totals.\n-- migrate:up\nUPDATE a;\n\n\n-- migrate:down transaction:false\nDROP b;\n");
    CHECK(revision.number == 12);
    CHECK(revision.title() == "0012_backfill_total");
    CHECK(revision.file == file_name);
    CHECK(revision.up.sql == "UPDATE a;\n");
    CHECK(revision.up.first_line == 3);
    CHECK(revision.up.transaction);
    CHECK(revision.up.script.statements().size() == 1);
    REQUIRE(revision.down);
    CHECK(revision.down->sql == "DROP b;\n");
    CHECK(revision.down->first_line == 7);
    CHECK_FALSE(revision.down->transaction);
  }

  TEST_CASE("without a down marker a revision is irreversible") {
    CHECK_FALSE(revision_of("-- migrate:up\nSELECT 1;").down);
  }

  TEST_CASE("an empty down section means that nothing is to be undone") {
    const auto revision = revision_of("-- migrate:up\nSELECT 1;\n-- migrate:down\n-- nothing\n\n");
    REQUIRE(revision.down);
    CHECK(revision.down->script.statements().empty());
    CHECK(revision_of("-- migrate:up\nSELECT 1;\n-- migrate:down").down->sql.empty());
  }

  TEST_CASE("an up section without a statement is strange but legal") {
    const auto reading = reading_of("\n-- migrate:up\n-- later\n");
    CHECK(reading.findings.empty());
    REQUIRE(reading.warnings.size() == 1);
    CHECK(reading.warnings.front().message == "the up section holds no statement");
    CHECK(reading.warnings.front().place.line == 2);
    CHECK(reading_of("-- migrate:up").findings.empty());
  }

  TEST_CASE("the checksum is over the up section as it is sent") {
    CHECK(revision_of("-- migrate:up\nSELECT 1;\n").checksum == checksum_of("SELECT 1;\n"));
    CHECK(revision_of("-- migrate:up\nSELECT 1;").checksum == checksum_of("SELECT 1;\n"));
    CHECK(revision_of("-- migrate:up").checksum == checksum_of(""));
  }

  TEST_CASE("options are part of the checksum, their default is not") {
    CHECK(revision_of("-- migrate:up transaction:false\nSELECT 1;\n").checksum ==
          checksum_of("transaction:false\nSELECT 1;\n"));
    CHECK(revision_of("-- migrate:up  transaction:true\nSELECT 1;\n").checksum ==
          checksum_of("SELECT 1;\n"));
  }

  TEST_CASE("what stands around the up section does not change its checksum") {
    const std::string plain = revision_of("-- migrate:up\nSELECT 1;\n").checksum;
    CHECK(revision_of("-- licence\n\n--migrate:up \nSELECT 1;\n").checksum == plain);
    CHECK(revision_of("-- migrate:up\nSELECT 1;\n\n\n-- migrate:down\nSELECT 2;\n").checksum ==
          plain);
    CHECK(revision_of("\xEF\xBB\xBF-- migrate:up\r\nSELECT 1;\r\n").checksum == plain);
    CHECK(revision_of("-- migrate:up\nSELECT 2;\n").checksum != plain);
  }

  TEST_CASE("a lone CR is kept: it ends a line comment at the server") {
    const auto revision = revision_of("-- migrate:up\n-- a\rSELECT 1;\n");
    CHECK(revision.up.sql == "-- a\rSELECT 1;\n");
    CHECK(revision.up.script.statements().size() == 1);
  }

  TEST_CASE("only one byte order mark is dropped") {
    CHECK(reading_of("\xEF\xBB\xBF\xEF\xBB\xBF-- migrate:up\nSELECT 1;\n").findings.size() == 1);
  }

  TEST_CASE("an outer transaction is dropped and remembered") {
    const auto revision = revision_of("-- migrate:up\nBEGIN;\nSELECT 1;\nCOMMIT;\n");
    CHECK(revision.up.dropped_transaction);
    CHECK(revision.up.script.statements().size() == 1);
    CHECK_FALSE(revision_of("-- migrate:up\nSELECT 1;\n").up.dropped_transaction);
  }

  TEST_CASE("a place in a section is a place in the file") {
    const auto revision =
        revision_of("-- migrate:up\nSELECT 1;\n-- migrate:down\n\nSELECT '\xC3\xA9', x;\n");
    const Place place = place_of(revision, *revision.down, revision.down->sql.find('x'));
    CHECK(place.file == file_name);
    CHECK(place.line == 5);
    CHECK(place.column == 13);
    CHECK(place.text == "SELECT '\xC3\xA9', x;");
  }

  TEST_CASE("a directive may stand anywhere") {
    using std::chrono::milliseconds;
    CHECK(revision_of("-- tenantctl: lock-timeout 2s\n-- migrate:up\nSELECT 1;\n").lock_timeout ==
          milliseconds(2000));
    CHECK(revision_of("-- migrate:up\n-- tenantctl: lock-timeout 1min\nSELECT 1;\n").lock_timeout ==
          milliseconds(60'000));
    CHECK_FALSE(revision_of("-- migrate:up\nSELECT 1;\n").lock_timeout);
  }

  TEST_CASE("a file needs exactly one up section, and it comes first") {
    CHECK(finding_of("SELECT 1;\n") == "0: has no line -- migrate:up");
    CHECK(finding_of("") == "0: has no line -- migrate:up");
    CHECK(finding_of("-- migrate:down\nSELECT 1;\n") == "0: has no line -- migrate:up");
    CHECK(finding_of("-- migrate:up\nSELECT 1;\n-- migrate:up\nSELECT 2;\n") ==
          "3: a second up section; the first is on line 1");
    CHECK(finding_of("-- migrate:down\nSELECT 1;\n-- migrate:up\nSELECT 2;\n") ==
          "1: the down section stands before the up section");
  }

  TEST_CASE("a file has at most one down section") {
    CHECK(finding_of("-- migrate:up\nSELECT 1;\n-- migrate:down\n-- migrate:down\n") ==
          "4: a second down section; the first is on line 3");
  }

  TEST_CASE("a mistyped marker would hang one section on the other: refused") {
    CHECK(finding_of("-- migrate:up\nSELECT 1;\n-- migrate:donw\nSELECT 2;\n") ==
          "3: this is not a marker, but looks like one");
  }

  TEST_CASE("text above the first marker is nobody's") {
    CHECK(finding_of("-- fine\n\n  -- fine\nSELECT 0;\n-- migrate:up\nSELECT 1;\n") ==
          "4: text before the first marker");
  }

  TEST_CASE("an unknown option is named with the nearest") {
    const auto findings = reading_of("-- migrate:up transactoin:false\nSELECT 1;\n").findings;
    REQUIRE(findings.size() == 1);
    CHECK(findings.front().message == "unknown option \"transactoin:false\"");
    CHECK(findings.front().hint == "Did you mean transaction:false?");
    CHECK(finding_of("-- migrate:up fast:yes\nSELECT 1;\n") == "1: unknown option \"fast:yes\"");
    CHECK(finding_of("-- migrate:up transaction:true transaction:false\nSELECT 1;\n") ==
          "1: option \"transaction\" is given twice");
  }

  TEST_CASE("a NUL byte is refused where it stands") {
    CHECK(finding_of(std::string("-- migrate:up\na;\0 b;\n", 21)) == "2: NUL byte");
  }

  TEST_CASE("what is not UTF-8 is refused with line and column") {
    const auto findings = reading_of("-- migrate:up\n\xC3\xA9 caf\xE9\n").findings;
    REQUIRE(findings.size() == 1);
    CHECK(findings.front().message == "invalid UTF-8");
    CHECK(findings.front().place.line == 2);
    CHECK(findings.front().place.column == 6);
    CHECK(findings.front().place.text == "\xC3\xA9 caf\\xe9");
    CHECK(finding_of(std::string("\xFF\xFE-\0-\0", 6)) == "1: invalid UTF-8");
  }

  TEST_CASE("a string that never ends is refused where it starts") {
    const auto findings = reading_of("-- migrate:up\nSELECT 1;\nSELECT '\xC3\xA9', 'a;\n").findings;
    REQUIRE(findings.size() == 1);
    CHECK(findings.front().message == "unterminated quoted string");
    CHECK(findings.front().place.line == 3);
    CHECK(findings.front().place.column == 13);
    CHECK(findings.front().place.text == "SELECT '\xC3\xA9', 'a;");
  }

  TEST_CASE("newer syntax is the server's business") {
    const auto reading = reading_of("-- migrate:up\nMERGE INTO a RETURNING b;\nSELECT 1_000;\n");
    CHECK(reading.findings.empty());
    CHECK(reading.warnings.empty());
    CHECK_FALSE(reading.revision.up.script.parsed());
    CHECK(reading.revision.up.script.statements().size() == 2);
  }

  TEST_CASE("a bad name is a finding, and the text is read all the same") {
    const auto bad = reading_of("SELECT 1;\n", "versions/x.sql").findings;
    REQUIRE(bad.size() == 2);
    CHECK(bad.front().message == "is not named like a revision");
    const auto zero = reading_of("-- migrate:up\nSELECT 1;\n", "0000_zero.sql").findings;
    REQUIRE(zero.size() == 1);
    CHECK(zero.front().message == "number 0 is not a revision's");
  }

  TEST_CASE("everything that is wrong is found at once") {
    CHECK(reading_of("SELECT 0;\n-- tenantctl: x\n-- migrate:up y:z\nSELECT 'a;\n-- migrate:up\n")
              .findings.size() == 5);
  }
}
