#include "output/progress.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <sstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "support/screen.h"

using namespace tenantctl;
using namespace tenantctl::testing;
using namespace std::chrono_literals;

namespace {

/// A run of 4000 schemas at the speed that a test wants, and what it writes.
struct Run {
  explicit Run(ProgressStyle style, ProgressOptions options = {}) {
    options.style = style;
    options.now = [this] { return now; };
    options.size = [this] { return size; };
    observer = make_progress(err, options);
    progress.total = 4'000;
    observer->started(progress);
  }

  void tick(std::chrono::milliseconds after) {
    now += after;
    observer->tick(progress);
  }

  void finish(const std::string& name, Result result, const std::string& cause = {}) {
    SchemaReport schema;
    schema.schema = name;
    schema.result = result;
    if (!cause.empty()) {
      schema.failure = std::make_unique<Failure>();
      schema.failure->message = "upgrade failed: " + cause;
      schema.failure->sqlstate = "42P01";
      schema.failure->revision = cause;
    }
    ++progress.finished;
    ++progress.counts.at(static_cast<std::size_t>(result));
    observer->finished(schema, progress);
  }

  // What the terminal shows at present.
  std::vector<std::string> shown() {
    Screen screen(size.columns, size.rows);
    screen.write(err.str());
    CHECK_FALSE(screen.has_wrapped());
    return screen.lines();
  }

  std::vector<std::string> log() {
    std::istringstream lines(err.str());
    std::vector<std::string> all;
    for (std::string line; std::getline(lines, line);)
      all.push_back(line);
    return all;
  }

  std::chrono::steady_clock::time_point now{1h};
  TerminalSize size;
  std::ostringstream err;
  Progress progress;
  std::unique_ptr<Observer> observer;
};

Activity activity(const std::string& schema, std::chrono::milliseconds duration = 1'200ms) {
  Activity activity;
  activity.schema = schema;
  activity.duration = duration;
  return activity;
}

Activity blocked(const std::string& schema) {
  Activity waits = activity(schema, 34s);
  waits.statement = "ALTER TABLE invoices\n  ADD COLUMN paid_at timestamptz";
  waits.wait = "Lock relation";
  waits.blocker = Blocker{.pid = 4711,
                          .user = "app",
                          .application = "psql",
                          .state = "idle in transaction",
                          .age = 200s,
                          .query = "UPDATE invoices SET total = 1"};
  return waits;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_SUITE("output/progress") {
  TEST_CASE("nothing is written when nobody looks") {
    Run run(ProgressStyle::none);
    run.tick(1h);
    run.finish("acme", Result::failed, "x");
    run.observer->ended(Report());
    CHECK(run.err.str().empty());
  }

  TEST_CASE("a terminal shows counts, speed and what each worker is at, and at the end nothing") {
    Run run(ProgressStyle::terminal);
    run.progress.running = 2;
    run.progress.waiting = 1;
    run.progress.retried = 3;
    run.progress.wave = 2;
    run.progress.waves = 3;
    run.progress.activities = {blocked("t07"), activity("t09")};
    run.tick(0ms);
    for (int i = 0; i < 20; ++i) {
      run.now += 50ms;
      run.finish(fmt::format("t{}", i), i == 7 ? Result::failed : Result::applied);
    }
    run.tick(100ms);
    CHECK(run.shown() ==
          Lines{"20 of 4000 schemas, 19 applied, 1 failed, 2 running, 1 waiting to try again",
                "3 retried, wave 2 of 3, 18/s, about 3 min left",
                "  t07 34.0 s: ALTER TABLE invoices ADD COLUMN paid_at timestamptz",
                "    blocked by pid 4711 (user app, psql, idle in transaction for 3 min): UPD...",
                "  t09 1.2 s"});
    run.observer->ended(Report());
    CHECK(run.shown().empty());
  }

  TEST_CASE("a wait whose cause is not known is named by the server's words") {
    Run run(ProgressStyle::terminal);
    run.progress.activities = {blocked("t07")};
    run.progress.activities.front().blocker.reset();
    run.tick(1s);
    CHECK(run.shown().back() == "    waits for Lock relation");
  }

  TEST_CASE("a run that is over in a moment draws nothing") {
    Run run(ProgressStyle::terminal);
    run.finish("a", Result::failed, "x");
    run.tick(250ms);
    run.observer->ended(Report());
    CHECK(run.err.str().empty());
  }

  TEST_CASE("it is not drawn more than ten times a second") {
    Run run(ProgressStyle::terminal);
    run.now += 1s;
    const auto drawings = [&] {
      std::size_t count = 0;
      const std::string text = run.err.str();
      for (auto at = text.find("\x1b[J"); at != std::string::npos; at = text.find("\x1b[J", at + 1))
        ++count;
      return count;
    };
    for (int i = 0; i < 1'000; ++i) {
      run.now += 1ms;
      run.finish("a", Result::applied);
    }
    CHECK(drawings() >= 9);
    CHECK(drawings() <= 10);
  }

  TEST_CASE("no line is ever wider than the terminal, nor the block higher") {
    for (const TerminalSize size :
         {TerminalSize{80, 24}, {40, 10}, {20, 3}, {7, 2}, {2, 1}, {1, 1}}) {
      CAPTURE(size.columns);
      Run run(ProgressStyle::terminal);
      run.size = size;
      for (int i = 0; i < 64; ++i)
        run.progress.activities.push_back(blocked(std::string(60, 'x')));
      run.progress.running = 64;
      run.finish("a", Result::applied);
      run.tick(1s);
      run.tick(1s);
      if (size.columns > 1)
        CHECK(run.shown().size() <= std::max<std::size_t>(1, size.rows - 1));
      run.observer->ended(Report());
      if (size.columns > 1)
        CHECK(run.shown().empty());
    }
  }

  TEST_CASE("more workers than lines are counted") {
    Run run(ProgressStyle::terminal);
    for (int i = 0; i < 64; ++i)
      run.progress.activities.push_back(activity(fmt::format("t{:02}", i)));
    run.tick(1s);
    const Lines lines = run.shown();
    REQUIRE(lines.size() == 12);
    CHECK(lines[10] == "  t09 1.2 s");
    CHECK(lines[11] == "  and 54 more");
  }

  TEST_CASE("a terminal that became narrower keeps no rest of the block") {
    Run run(ProgressStyle::terminal);
    run.progress.activities = {
        activity("tenant_with_a_name_of_some_length_" + std::string(20, 'x'))};
    run.tick(1s);
    // As a terminal shows the old lines once it is narrow: wrapped.
    Screen screen(30, 24);
    screen.write("before\n" + run.err.str());
    CHECK(screen.has_wrapped());
    const auto length = run.err.str().size();
    run.size.columns = 30;
    run.observer->ended(Report());
    screen.write(run.err.str().substr(length));
    CHECK(screen.lines() == Lines{"before"});
  }

  TEST_CASE("an exception takes the block away too") {
    Run run(ProgressStyle::terminal);
    run.tick(1s);
    CHECK_FALSE(run.shown().empty());
    run.observer.reset();
    CHECK(run.shown().empty());
  }

  TEST_CASE("colours stand only where they are wanted, and take no room") {
    ProgressOptions options;
    options.colour = true;
    Run plain(ProgressStyle::terminal);
    Run coloured(ProgressStyle::terminal, options);
    for (Run* run : {&plain, &coloured}) {
      run->finish("a", Result::applied);
      run->finish("b", Result::failed);
      run->tick(1s);
    }
    CHECK(coloured.err.str().find("\x1b[31m1 failed\x1b[m") != std::string::npos);
    CHECK(coloured.err.str().find("\x1b[32m1 applied\x1b[m") != std::string::npos);
    CHECK(plain.err.str().find("m1 failed") == std::string::npos);
    CHECK(coloured.shown() == plain.shown());
  }

  TEST_CASE("a name or a statement cannot move the cursor") {
    Run run(ProgressStyle::terminal);
    run.progress.activities = {activity("a\x1B[2J")};
    run.progress.activities.front().statement = "SELECT '\x1B]0;x\x07'\r\n";
    run.tick(1s);
    CHECK(run.shown().back() == "  a\\x1b[2J 1.2 s: SELECT '\\x1b]0;x\\x07'\\x0d");
  }

  TEST_CASE("the first failure of each cause is told above the block once the run takes its time") {
    for (const ProgressStyle style : {ProgressStyle::terminal, ProgressStyle::log}) {
      Run run(style);
      for (int i = 0; i < 3; ++i) {
        run.finish(fmt::format("a{}", i), Result::failed, "0001_a");
        run.finish(fmt::format("b{}", i), Result::busy, "0002_b");
      }
      run.tick(1s);
      CHECK(run.err.str().find("upgrade failed") == std::string::npos);
      run.tick(4s);
      const Lines lines = style == ProgressStyle::log ? run.log() : run.shown();
      REQUIRE(lines.size() >= 2);
      CHECK(lines[0] == "tenantctl: a0: upgrade failed: 0001_a (SQLSTATE 42P01)");
      CHECK(lines[1] == "tenantctl: b0: busy: upgrade failed: 0002_b (SQLSTATE 42P01)");
      CHECK(run.err.str().find("a1") == std::string::npos);
    }
  }

  TEST_CASE("5,000 causes do not flood a log") {
    Run run(ProgressStyle::log);
    for (int i = 0; i < 5'000; ++i)
      run.finish(fmt::format("t{}", i), Result::failed, fmt::format("{}_x", i));
    run.tick(5s);
    REQUIRE(run.log().size() == 11);
    CHECK(run.log().back() == "tenantctl: further causes are told at the end");
  }

  TEST_CASE("in a log a short run leaves no line, a long one a line every ten seconds") {
    Run run(ProgressStyle::log);
    for (int i = 0; i < 99; ++i) {
      run.now += 100ms;
      run.finish("t", Result::applied);
    }
    CHECK(run.log().empty());
    for (int i = 0; i < 101; ++i) {
      run.now += 100ms;
      run.finish("t", Result::applied);
    }
    CHECK(run.log() ==
          Lines{"tenantctl: after 10 s: 100 of 4000 schemas, 100 applied, 10/s, about 6 min left",
                "tenantctl: after 20 s: 200 of 4000 schemas, 200 applied, 10/s, about 6 min left"});
  }

  TEST_CASE("when nothing ends a log says what runs longest and who is in its way") {
    Run run(ProgressStyle::log);
    run.progress.running = 1;
    run.progress.activities = {blocked("t07"), activity("t09")};
    for (int i = 0; i < 21; ++i)
      run.tick(500ms);
    CHECK(
        run.log() ==
        Lines{"tenantctl: after 10 s: 0 of 4000 schemas, 1 running; none ended for 10 s; t07 has "
              "run longest, 34.0 s: ALTER TABLE invoices ADD COLUMN paid_at timestamptz; it waits "
              "for Lock relation, blocked by pid 4711 (user app, psql, idle in transaction for 3 "
              "min): UPDATE invoices SET total = 1"});
    run.progress.activities.clear();
    run.tick(10s);
    CHECK(run.log().back() ==
          "tenantctl: after 20 s: 0 of 4000 schemas, 1 running; none ended for 20 s");
  }

  TEST_CASE("with --verbose each schema has its line at once") {
    ProgressOptions options;
    options.verbose = true;
    Run run(ProgressStyle::log, options);
    run.finish("a", Result::unchanged);
    run.finish("b\x1B", Result::failed, "0001_a");
    run.finish("c", Result::failed, "0001_a");
    run.finish("d", Result::missing);
    CHECK(run.log() == Lines{"tenantctl: a: unchanged",
                             "tenantctl: b\\x1b: upgrade failed: 0001_a (SQLSTATE 42P01)",
                             "tenantctl: c: upgrade failed: 0001_a (SQLSTATE 42P01)",
                             "tenantctl: d: missing"});
  }

  TEST_CASE("schemas that had nothing to do promise no speed") {
    Run run(ProgressStyle::log);
    for (int i = 0; i < 3'000; ++i)
      run.finish("t", Result::unchanged);
    for (int i = 0; i < 11; ++i) {
      run.now += 1s;
      run.finish("t", Result::applied);
    }
    REQUIRE(run.log().size() == 1);
    CHECK(run.log().front().ends_with(", 1.0/s, about 16 min left"));
  }
}
