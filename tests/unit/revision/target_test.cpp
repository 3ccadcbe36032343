#include "revision/target.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace tenantctl;

namespace {

Revision revision(RevisionNumber number, std::string digits, std::string slug) {
  Revision revision;
  revision.number = number;
  revision.digits = std::move(digits);
  revision.slug = std::move(slug);
  return revision;
}

RevisionFolder sequence() {
  return {Scope::tenant,
          {revision(1, "0001", "users"), revision(11, "0011", "invoice_total"),
           revision(12, "0012", "backfill_total"), revision(112, "0112", "tags")}};
}

RevisionFolder timestamps() {
  return {Scope::shared,
          {revision(20261120101500, "20261120101500", "a"),
           revision(20261120101600, "20261120101600", "b"),
           revision(20270101000000, "20270101000000", "c")}};
}

std::string found(const std::string& text, const RevisionFolder& folder) {
  return Target::parse(text).find_in(folder).title();
}

// The message and the hint.
std::string refusal(const std::string& text, const RevisionFolder& folder) {
  try {
    Target::parse(text).find_in(folder);
  } catch (const UsageError& error) {
    return std::string(error.what()) + " / " + error.hint();
  }
  return "found";
}

}  // namespace

TEST_SUITE("revision/target") {
  TEST_CASE("every form is known") {
    CHECK(Target::parse("head").kind() == Target::Kind::head);
    CHECK(Target::parse("base").kind() == Target::Kind::base);
    CHECK(Target::parse("0012").kind() == Target::Kind::revision);
    CHECK(Target::parse("0012_backfill_total").kind() == Target::Kind::revision);
    CHECK(Target::parse("+3").kind() == Target::Kind::forward);
    CHECK(Target::parse("-12").kind() == Target::Kind::back);
    CHECK(Target::parse("-12").steps() == 12);
    CHECK(Target::parse("-12").text() == "-12");
    CHECK(Target::head().text() == "head");
    CHECK(Target::parse("base").text() == "base");
  }

  TEST_CASE("anything else is refused with the forms or the nearest word") {
    for (const std::string text : {"", "x", "+", "-", "+0", "-0", "+1x", "--1", "12x", "_a", " 12",
                                   "+1000000000", "12-a", "HEAD"}) {
      CAPTURE(text);
      CHECK_THROWS_WITH_AS(Target::parse(text), ("\"" + text + "\" is not a target").c_str(),
                           UsageError);
    }
    CHECK(refusal("haed", {}) == "\"haed\" is not a target / Did you mean head?");
    CHECK(refusal("tomorrow", {}).find("+N or -N") != std::string::npos);
  }

  TEST_CASE("a revision is found by number, however it is written") {
    CHECK(found("0012", sequence()) == "0012_backfill_total");
    CHECK(found("12", sequence()) == "0012_backfill_total");
    CHECK(found("000012", sequence()) == "0012_backfill_total");
  }

  TEST_CASE("a revision is found by its whole name") {
    CHECK(found("0012_backfill_total", sequence()) == "0012_backfill_total");
    CHECK(found("12_backfill_total", sequence()) == "0012_backfill_total");
  }

  TEST_CASE("a revision is found by the start of its digits") {
    CHECK(found("2027", timestamps()) == "20270101000000_c");
    CHECK(found("202611201016", timestamps()) == "20261120101600_b");
    CHECK(found("01", sequence()) == "0001_users");
  }

  TEST_CASE("an exact number wins over a prefix") {
    const RevisionFolder folder(Scope::tenant, {revision(1, "1", "a"), revision(12, "12", "b")});
    CHECK(found("1", folder) == "1_a");
  }

  TEST_CASE("a start that several share is refused with their names") {
    CHECK(refusal("2026", timestamps()) ==
          "\"2026\" could be 2 revisions / "
          "Write more of the number: 20261120101500_a, 20261120101600_b.");
  }

  TEST_CASE("many candidates are not all listed") {
    std::vector<Revision> revisions;
    for (int i = 1; i <= 8; ++i) {
      revisions.push_back(revision(100 + i, "10" + std::to_string(i), "a"));
    }
    CHECK(refusal("10", RevisionFolder(Scope::tenant, revisions)).ends_with("105_a and 3 more."));
  }

  TEST_CASE("a revision that is not there is refused with the nearest") {
    CHECK(refusal("0013", sequence()) ==
          "no tenant revision is called \"0013\" / Did you mean 0011?");
    CHECK(refusal("0012_bakfill_total", sequence()) ==
          "no tenant revision is called \"0012_bakfill_total\" / Did you mean "
          "0012_backfill_total?");
    CHECK(refusal("99999999", sequence()) ==
          "no tenant revision is called \"99999999\" / The head is 0112_tags.");
    CHECK(refusal("99999999999999999999999", sequence()).starts_with("no tenant revision"));
    CHECK(refusal("1", RevisionFolder()) ==
          "no tenant revision is called \"1\" / The folder holds no revision.");
  }
}
