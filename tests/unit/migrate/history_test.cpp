#include "migrate/history.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "base/checksum.h"
#include "support/values.h"

using namespace tenantctl;
using namespace tenantctl::testing;

namespace {

History three() { return applied(folder_of({1, 2, 3}), {1, 2, 3}); }

constexpr const char* at_second = "the version table does not add up at revision 0002_r2";

}  // namespace

TEST_SUITE("migrate/history") {
  TEST_CASE("a digest is chained over number and checksum") {
    const std::string first = next_digest("", 1, "sha256:ab");
    CHECK(first == sha256_hex("\n1 sha256:ab\n"));
    CHECK(next_digest(first, 2, "sha256:cd") == sha256_hex(first + "\n2 sha256:cd\n"));
  }

  TEST_CASE("equal digests are equal histories: number, checksum and order all count") {
    const std::string digest = next_digest(next_digest("", 1, "a"), 2, "b");
    CHECK(digest == next_digest(next_digest("", 1, "a"), 2, "b"));
    CHECK(digest != next_digest(next_digest("", 2, "b"), 1, "a"));
    CHECK(digest != next_digest(next_digest("", 1, "a"), 2, "c"));
    CHECK(digest != next_digest(next_digest("", 1, "a"), 3, "b"));
    CHECK(digest != next_digest("", 2, "b"));
  }

  TEST_CASE("rechain counts positions from 1 and renews every digest") {
    History history = three();
    const History before = history;
    history.erase(history.begin());
    rechain(history);
    CHECK(history[0].position == 1);
    CHECK(history[1].position == 2);
    CHECK(history[0].digest == next_digest("", 2, before[1].checksum));
    CHECK(history[1].digest != before[2].digest);
  }

  TEST_CASE("a history made by this program adds up") {
    CHECK_NOTHROW(check_chain({}));
    CHECK_NOTHROW(check_chain(three()));
  }

  TEST_CASE("rows changed by hand are found at the first that is wrong") {
    const auto broken = [](auto change) {
      History history = three();
      change(history);
      CHECK_THROWS_WITH_AS(check_chain(history), at_second, HistoryError);
    };
    broken([](History& history) { history[1].checksum = "sha256:0"; });
    broken([](History& history) { history[1].digest[0] = 'x'; });
    broken([](History& history) { history[1].number = 9; });
    broken([](History& history) { history[1].position = 4; });
  }

  TEST_CASE("a row that is gone leaves a gap") {
    History history = three();
    history.erase(history.begin() + 1);
    CHECK_THROWS_WITH_AS(check_chain(history),
                         "the version table does not add up at revision 0003_r3", HistoryError);
  }

  TEST_CASE("rows in another order do not add up") {
    History history = three();
    std::swap(history[0], history[1]);
    CHECK_THROWS_WITH_AS(check_chain(history), at_second, HistoryError);
  }

  TEST_CASE("a prefix of the folder is the history it leaves behind") {
    const RevisionFolder folder = folder_of({3, 1, 2});
    CHECK(history_of(folder, 0).empty());
    const History history = history_of(folder, 2);
    CHECK(numbers_of(history) == std::vector<RevisionNumber>{1, 2});
    CHECK(history.back().name == "0002_r2");
    CHECK(history.back().state == RowState::applied);
    CHECK(history.back().digest == three()[1].digest);
    CHECK_NOTHROW(check_chain(history));
  }

  TEST_CASE("repeatables stand behind the revisions and are no part of the chain") {
    History history = three();
    const std::string newest = history.back().digest;
    history.push_back(repeatable_row(repeatable_of("v")));
    rechain(history);
    CHECK(history.back().is_repeatable());
    CHECK(history.back().position == first_repeatable - history.back().number);
    CHECK_NOTHROW(check_chain(history));
    CHECK(newest_digest(history) == newest);
    CHECK(revisions_of(history).size() == 3);
    CHECK(repeatables_of(history).size() == 1);
    CHECK(newest_digest(repeatables_of(history)).empty());
    history.back().name = "w";
    CHECK_THROWS_WITH_AS(check_chain(history), "the version table does not add up at repeatable w",
                         HistoryError);
  }

  TEST_CASE("repeatables have a chain of their own, whose last digest sums them up") {
    History rows{repeatable_row(repeatable_of("a", "SELECT 1;\n")),
                 repeatable_row(repeatable_of("b", "SELECT 2;\n"))};
    std::sort(rows.begin(), rows.end(),
              [](const auto& one, const auto& other) { return one.position < other.position; });
    rechain(rows);
    const std::string first = next_digest("", rows[0].number, rows[0].checksum);
    CHECK(rows[0].digest == first);
    CHECK(repeatables_digest(rows) == next_digest(first, rows[1].number, rows[1].checksum));
    CHECK(repeatables_digest({}).empty());
    CHECK(repeatables_digest(three()).empty());
    History behind = three();
    behind.insert(behind.end(), rows.begin(), rows.end());
    rechain(behind);
    CHECK(repeatables_digest(behind) == repeatables_digest(rows));
    CHECK(newest_digest(behind) == newest_digest(three()));
    behind[3].checksum = "sha256:other";
    CHECK_THROWS_AS(check_chain(behind), HistoryError);
  }

  TEST_CASE("the digest of statements counts the text and where it is cut") {
    const Revision revision =
        revision_of(1, "-- migrate:up\nSELECT 1; -- one\n\nSELECT 2;\nSELECT 3;\n");
    CHECK(statements_digest(revision.up, 0) == sha256_hex(""));
    CHECK(statements_digest(revision.up, 1) == sha256_hex("SELECT 1;\n"));
    CHECK(statements_digest(revision.up, 3) == statements_digest(revision.up, 99));
    const Revision behind =
        revision_of(1, "-- migrate:up\nSELECT 1; -- one\n\nSELECT 2;\nSELECT 4;\n");
    CHECK(statements_digest(revision.up, 2) == statements_digest(behind.up, 2));
    CHECK(statements_digest(revision.up, 3) != statements_digest(behind.up, 3));
  }

  TEST_CASE("states have the names that the version table knows") {
    CHECK(to_text(RowState::applied) == "applied");
    CHECK(to_text(RowState::running) == "running");
    CHECK(to_text(RowState::needs_decision) == "needs-decision");
  }
}
