#include "output/progress.h"

#include <fmt/format.h>

#include <ostream>
#include <string>

#include "base/text.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::string rest_text(const Progress& progress) {
  std::string text;
  if (progress.problems > 0) {
    text += fmt::format(", {} with problems", progress.problems);
  }
  if (progress.waiting > 0) {
    text += fmt::format(", {} waiting for a lock", progress.waiting);
  }
  return text;
}

class NoProgress : public Observer {
 public:
  void started(const Progress& /*progress*/) override {}
  void finished(const SchemaReport& /*schema*/, const Progress& /*progress*/) override {}
  void tick(const Progress& /*progress*/) override {}
  void ended(const Report& /*report*/) override {}
};

/// One line, written over at most ten times a second and taken away at the end.
class TerminalProgress : public Observer {
 public:
  explicit TerminalProgress(std::ostream& err) : err_(err) {}

  void started(const Progress& progress) override { draw(progress); }
  void finished(const SchemaReport& /*schema*/, const Progress& progress) override {
    if (Clock::now() - drawn_ >= 100ms) {
      draw(progress);
    }
  }
  void tick(const Progress& progress) override { draw(progress); }
  void ended(const Report& /*report*/) override { err_ << "\r\x1b[K" << std::flush; }

 private:
  void draw(const Progress& progress) {
    drawn_ = Clock::now();
    const double elapsed = std::chrono::duration<double>(drawn_ - begin_).count();
    std::string line =
        fmt::format("{}/{} schemas{}", progress.finished, progress.total, rest_text(progress));
    if (progress.finished > 0 && elapsed > 1.0) {
      const double rate = static_cast<double>(progress.finished) / elapsed;
      line += fmt::format(", {:.0f}/s, {:.0f} s to go", rate,
                          static_cast<double>(progress.total - progress.finished) / rate);
    }
    if (!progress.activities.empty()) {
      line += ", at " + escaped(progress.activities.front().schema);
    }
    // A longer line would wrap and leave its beginning behind.
    constexpr std::size_t width = 79;
    err_ << '\r' << first_characters(line, width) << "\x1b[K" << std::flush;
  }

  std::ostream& err_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point drawn_{};
};

/// A line every ten seconds, and none for a run that is over before.
class LogProgress : public Observer {
 public:
  explicit LogProgress(std::ostream& err) : err_(err) {}

  void started(const Progress& /*progress*/) override {}
  void finished(const SchemaReport& /*schema*/, const Progress& progress) override {
    write_when_due(progress);
  }
  void tick(const Progress& progress) override { write_when_due(progress); }
  void ended(const Report& /*report*/) override {}

 private:
  void write_when_due(const Progress& progress) {
    const Clock::time_point now = Clock::now();
    if (now - written_ < 10s) {
      return;
    }
    written_ = now;
    err_ << fmt::format("tenantctl: {} of {} schemas after {:.0f} s{}{}\n", progress.finished,
                        progress.total, std::chrono::duration<double>(now - begin_).count(),
                        rest_text(progress),
                        progress.activities.empty()
                            ? ""
                            : ", longest at " + escaped(progress.activities.front().schema))
         << std::flush;
  }

  std::ostream& err_;
  Clock::time_point begin_ = Clock::now();
  Clock::time_point written_ = Clock::now();
};

}  // namespace

std::unique_ptr<Observer> make_progress(std::ostream& err, ProgressStyle style) {
  switch (style) {
    case ProgressStyle::none:
      break;
    case ProgressStyle::terminal:
      return std::make_unique<TerminalProgress>(err);
    case ProgressStyle::log:
      return std::make_unique<LogProgress>(err);
  }
  return std::make_unique<NoProgress>();
}

}  // namespace tenantctl
