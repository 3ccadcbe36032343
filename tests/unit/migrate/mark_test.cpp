#include "migrate/mark.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

const std::string some_digest(64, 'a');

std::string valid_mark_text() {
  return "tenantctl 1 scope=tenant head=12 count=3 digest=" + some_digest;
}

Mark mark_of(Scope scope, RevisionNumber head, std::size_t count, RevisionNumber running = 0) {
  Mark mark;
  mark.scope = scope;
  mark.head = head;
  mark.count = count;
  mark.digest = count == 0 ? "" : some_digest;
  mark.running = running;
  return mark;
}

Mark random_mark(std::mt19937& random) {
  const auto upto = [&random](std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(0, most)(random);
  };
  Mark mark;
  mark.scope = upto(1) == 0 ? Scope::shared : Scope::tenant;
  mark.count = static_cast<std::size_t>(upto(3) == 0 ? 0 : upto(1'000'000));
  if (mark.count > 0) {
    mark.head = 1 + upto(999'999'999'999'999'998);
    mark.digest = sha256_hex(std::to_string(upto(1'000'000)));
  }
  if (upto(1) == 0)
    mark.repeatables = sha256_hex(std::to_string(upto(1'000'000)));
  mark.running = upto(3) == 0 ? upto(999'999'999'999'999'999) : 0;
  mark.dropping = upto(3) == 0;
  return mark;
}

}  // namespace

TEST_SUITE("migrate/mark") {
  TEST_CASE("a mark is one readable line") {
    CHECK(mark_of(Scope::tenant, 12, 3).text() == valid_mark_text());
    Mark base = mark_of(Scope::shared, 0, 0, 1);
    base.dropping = true;
    CHECK(base.text() == "tenantctl 1 scope=shared head=0 count=0 digest=base running=1 dropping");
  }

  TEST_CASE("what is written is read again") {
    std::mt19937 random(7);
    for (int i = 0; i < 500; ++i) {
      const Mark mark = random_mark(random);
      CAPTURE(mark.text());
      CHECK(Mark::parse(mark.text()) == mark);
    }
  }

  TEST_CASE("repeatables have a word of their own, behind the digest") {
    Mark mark = mark_of(Scope::tenant, 12, 3, 4);
    mark.repeatables = std::string(64, 'b');
    CHECK(mark.text() == valid_mark_text() + " repeatables=" + mark.repeatables + " running=4");
    CHECK(Mark::parse(valid_mark_text())->repeatables.empty());
    History rows{repeatable_row(repeatable_of("v"))};
    rechain(rows);
    const Mark alone = Mark::of(Scope::tenant, rows);
    CHECK(alone.text() == "tenantctl 1 scope=tenant head=0 count=0 digest=base repeatables=" +
                              repeatables_digest(rows));
    CHECK(Mark::parse(alone.text()) == alone);
  }

  TEST_CASE("any other comment is no mark") {
    REQUIRE(Mark::parse(valid_mark_text()));
    const std::vector<std::string> others{
        "",
        "tenantctl",
        "tenantctl 1",
        "tenantctl 1 ",
        "tenantctl 11" + valid_mark_text().substr(11),
        "tenantctl 2" + valid_mark_text().substr(11),
        "Version table of acme",
        " " + valid_mark_text(),
        valid_mark_text() + " ",
        valid_mark_text() + "\n",
        valid_mark_text() + "  dropping",
        valid_mark_text() + " colour=blue",
        valid_mark_text() + " dropped",
        valid_mark_text() + " repeatables=",
        valid_mark_text() + " repeatables=base",
        valid_mark_text() + " repeatables=" + some_digest.substr(1),
        valid_mark_text() + " running=1 repeatables=" + some_digest,
        valid_mark_text() + " repeatables=" + some_digest + " repeatables=" + some_digest,
        valid_mark_text() + " running=",
        valid_mark_text() + " running=x",
        valid_mark_text() + " running=-1",
        valid_mark_text() + " running=1x",
        "tenantctl 1 scope=tenant head=12 count=3",
        "tenantctl 1 scope=other head=12 count=3 digest=" + some_digest,
        "tenantctl 1 scope head=12 count=3 digest=" + some_digest,
        "tenantctl 1 scope=tenant head=-1 count=3 digest=" + some_digest,
        "tenantctl 1 scope=tenant head=99999999999999999999 count=3 digest=" + some_digest,
        "tenantctl 1 scope=tenant head=12 count=-3 digest=" + some_digest,
        "tenantctl 1 scope=tenant head=12 count=3 digest=base",
        "tenantctl 1 scope=tenant head=12 count=0 digest=" + some_digest,
        "tenantctl 1 scope=tenant head=12 count=3 digest=" + some_digest.substr(1),
        "tenantctl 1 scope=tenant head=12 count=3 digest=A" + some_digest.substr(1),
        "tenantctl 1 scope=tenant head=12 count=3 digest=" + some_digest + "a"};
    for (const std::string& comment : others) {
      CAPTURE(comment);
      CHECK_FALSE(Mark::parse(comment));
    }
  }

  TEST_CASE("no beginning of a mark is a mark") {
    for (std::size_t i = 0; i < valid_mark_text().size(); ++i) {
      CAPTURE(i);
      CHECK_FALSE(Mark::parse(valid_mark_text().substr(0, i)));
    }
  }

  TEST_CASE("a mark that lacks a word is none, however often it has another") {
    CHECK_FALSE(Mark::parse("tenantctl 1 count=0 count=0 count=0 count=0"));
    CHECK_FALSE(Mark::parse("tenantctl 1 scope=shared head=0 digest=base dropping"));
  }

  TEST_CASE("a changed byte gives no mark or another one, never a crash") {
    const std::string text = mark_of(Scope::tenant, 12, 3, 4).text();
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (const char c : {'\0', ' ', '=', '-', 'z', '9', '\xFF'}) {
        std::string changed = text;
        changed[i] = c;
        const auto mark = Mark::parse(changed);
        CHECK((!mark || changed == text || mark->text() == changed));
      }
    }
  }

  TEST_CASE("a mark sums up the rows") {
    const RevisionFolder folder = folder_of({1, 2, 3});
    const History history = applied(folder, {1, 3, 2});
    const Mark mark = Mark::of(Scope::tenant, history);
    CHECK(mark.head == 3);
    CHECK(mark.count == 3);
    CHECK(mark.digest == history.back().digest);
    CHECK(mark.running == 0);
    CHECK(Mark::of(Scope::shared, {}) == mark_of(Scope::shared, 0, 0));
  }

  TEST_CASE("a revision that stopped half-way does not count as applied") {
    History history = applied(folder_of({1, 2}), {1, 2});
    history.back().state = RowState::running;
    const Mark mark = Mark::of(Scope::tenant, history);
    CHECK(mark.head == 1);
    CHECK(mark.count == 1);
    CHECK(mark.digest == history.front().digest);
    CHECK(mark.running == 2);
    history.erase(history.begin());
    CHECK(Mark::parse(Mark::of(Scope::tenant, history).text()));
  }
}
