#include "output/progress.h"

#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "base/text.h"

using namespace tenantctl;

namespace {

// What is written when a run of these numbers starts, ticks and ends.
std::string shown(ProgressStyle style, const Progress& progress) {
  std::ostringstream err;
  const auto observer = make_progress(err, style);
  observer->started(progress);
  observer->tick(progress);
  observer->finished(SchemaReport(), progress);
  observer->ended(Report());
  return err.str();
}

Progress progress(std::string_view longest = {}) {
  Progress progress;
  progress.total = 4'000;
  progress.finished = 12;
  if (!longest.empty()) {
    Activity activity;
    activity.schema = longest;
    progress.activities.push_back(activity);
  }
  return progress;
}

}  // namespace

TEST_SUITE("output/progress") {
  TEST_CASE("nothing is written when nobody looks") {
    CHECK(shown(ProgressStyle::none, progress("acme")).empty());
  }

  TEST_CASE("on a terminal one line is written over and taken away at the end") {
    const std::string text = shown(ProgressStyle::terminal, progress());
    CHECK(text.starts_with("\r12/4000 schemas\x1b[K\r12/4000 schemas\x1b[K"));
    CHECK(text.ends_with("\r\x1b[K"));
    CHECK(text.find('\n') == std::string::npos);
  }

  TEST_CASE("it is not written over more than ten times a second") {
    std::ostringstream err;
    const auto observer = make_progress(err, ProgressStyle::terminal);
    for (int i = 0; i < 1'000; ++i)
      observer->finished(SchemaReport(), progress());
    CHECK(err.str().size() < 500);
    CHECK_FALSE(err.str().empty());
  }

  TEST_CASE("it names what stands out") {
    Progress now = progress("acme");
    now.problems = 3;
    now.waiting = 2;
    const std::string text = shown(ProgressStyle::terminal, now);
    CHECK(text.starts_with(
        "\r12/4000 schemas, 3 with problems, 2 waiting for a lock, at acme\x1b[K"));
  }

  TEST_CASE("a long line is cut before it wraps") {
    const std::string text = shown(ProgressStyle::terminal, progress(std::string(200, 'x')));
    CHECK(text.find("\x1b[K") == 80);
  }

  TEST_CASE("a character is not cut in two, and a name cannot move the cursor") {
    for (const std::string start : {"", "x"}) {
      std::string name = start;
      for (int i = 0; i < 100; ++i)
        name += "\xC3\xA9";
      CHECK_FALSE(invalid_utf8(shown(ProgressStyle::terminal, progress(name))));
    }
    CHECK(shown(ProgressStyle::terminal, progress("a\x1B[2J")).find("at a\\x1b[2J") !=
          std::string::npos);
  }

  TEST_CASE("in a log a short run leaves no line") {
    CHECK(shown(ProgressStyle::log, progress("acme")).empty());
  }
}
