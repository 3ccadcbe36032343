#include "output/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "output/progress_text.h"
#include "output/result_writer.h"

namespace tenantctl {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::steady_clock::time_point;

class NoProgress : public Observer {
 public:
  void started(const Progress& /*progress*/) override {}
  void finished(const SchemaReport& /*schema*/, const Progress& /*progress*/) override {}
  void tick(const Progress& /*progress*/) override {}
  void ended(const Report& /*report*/) override {}
};

// What is said of single schemas while the run goes on: all with `verbose`, else the first failure
// of each cause. A run that is soon over tells its causes once, at its end.
class Notes {
 public:
  explicit Notes(bool verbose) : verbose_(verbose) {}

  void add(const SchemaReport& schema) {
    if (verbose_) {
      lines_.push_back("tenantctl: " + finished_line(schema));
      return;
    }
    const bool is_new = is_problem(schema.result) && causes_.size() < most_causes &&
                        causes_.insert(cause_key(schema)).second;
    if (is_new) {
      lines_.push_back("tenantctl: " + failure_line(schema));
    }
    if (is_new && causes_.size() == most_causes) {
      lines_.emplace_back("tenantctl: further causes are told at the end");
    }
  }

  void warn(const std::string& message) {
    lines_.push_back("tenantctl: warning: " + escaped(message));
    urgent_ = true;
  }

  std::vector<std::string> due(std::chrono::steady_clock::duration elapsed) {
    const bool is_due = verbose_ || urgent_ || elapsed >= 5s;
    return is_due ? std::exchange(lines_, {}) : std::vector<std::string>();
  }

 private:
  static constexpr std::size_t most_causes = 10;

  bool verbose_;
  bool urgent_ = false;
  std::set<std::string> causes_;
  std::vector<std::string> lines_;
};

std::string_view colour_of(Tone tone) {
  switch (tone) {
    case Tone::plain:
      break;
    case Tone::good:
      return "\x1b[32m";
    case Tone::bad:
      return "\x1b[31m";
    case Tone::warning:
      return "\x1b[33m";
  }
  return "";
}

std::string in_tone(const std::string& text, Tone tone, bool colour) {
  const std::string_view begin = colour ? colour_of(tone) : "";
  return begin.empty() ? text : fmt::format("{}{}\x1b[m", begin, text);
}

// The words one behind the other, in lines of at most `width` columns.
std::vector<BlockLine> wrapped(const std::vector<Words>& all, std::size_t width, bool colour) {
  std::vector<BlockLine> lines(1);
  for (const Words& words : all) {
    const std::string text = fitted(words.text, width);
    const std::size_t used = column_count(lines.back().text);
    if (used > 0 && used + 2 + column_count(text) > width) {
      lines.emplace_back();
    }
    BlockLine& line = lines.back();
    const std::string_view comma = line.text.empty() ? "" : ", ";
    line.text.append(comma).append(text);
    line.coloured.append(comma).append(in_tone(text, words.tone, colour));
  }
  return lines;
}

BlockLine block_line(const std::string& text, std::size_t width, Tone tone, bool colour) {
  const std::string cut = fitted(text, width);
  return {.text = cut, .coloured = in_tone(cut, tone, colour)};
}

/// A few lines at the end of a terminal. Nothing for a run that is over in a moment.
class TerminalProgress : public Observer {
 public:
  TerminalProgress(std::ostream& err, const ProgressOptions& options)
      : options_(options), block_(err), notes_(options.verbose), begin_(options_.now()) {}

  void started(const Progress& progress) override { pace_.add(begin_, progress); }
  void finished(const SchemaReport& schema, const Progress& progress) override {
    notes_.add(schema);
    draw_when_due(progress);
  }
  void warned(const std::string& message) override { notes_.warn(message); }
  void tick(const Progress& progress) override {
    activities_ = progress.activities;
    draw_when_due(progress);
  }
  void ended(const Report& /*report*/) override {
    const TerminalSize size = options_.size();
    write_notes(options_.now(), size);
    block_.erase(size);
  }

 private:
  void draw_when_due(const Progress& progress) {
    const Time now = options_.now();
    pace_.add(now, progress);
    if (now - begin_ < 300ms || now - drawn_ < 100ms) {
      return;
    }
    drawn_ = now;
    const TerminalSize size = options_.size();
    write_notes(now, size);
    block_.draw(lines(progress, size), size);
  }

  void write_notes(Time now, TerminalSize size) {
    for (const std::string& line : notes_.due(now - begin_)) {
      block_.write_above(line, size);
    }
  }

  // A line as wide as the terminal would make some terminals wrap, and the row above stays visible.
  std::vector<BlockLine> lines(const Progress& progress, TerminalSize size) const {
    const std::size_t width = std::max<std::size_t>(size.columns, 2) - 1;
    const std::size_t most = std::min(std::max<std::size_t>(size.rows, 2) - 1, most_lines);
    std::vector<BlockLine> lines = wrapped(summary_words(progress, pace_), width, options_.colour);
    std::size_t named = 0;
    for (const Activity& activity : activities_) {
      const std::string wait = short_wait_text(activity);
      // All but the last leave a line for the count of the others.
      const std::size_t rest = named + 1 < activities_.size() ? 1 : 0;
      if (lines.size() + (wait.empty() ? 1 : 2) + rest > most) {
        break;
      }
      add_activity(lines, activity, wait, width);
      ++named;
    }
    if (named < activities_.size() && lines.size() < most) {
      lines.push_back(block_line(fmt::format("  and {} more", activities_.size() - named), width,
                                 Tone::plain, false));
    }
    lines.resize(std::min(lines.size(), most));
    return lines;
  }

  void add_activity(std::vector<BlockLine>& lines, const Activity& activity,
                    const std::string& wait, std::size_t width) const {
    const std::string statement = single_line(activity.statement);
    lines.push_back(block_line(
        fmt::format("  {} {}{}{}", escaped_name(activity.schema), duration_text(activity.duration),
                    statement.empty() ? "" : ": ", statement),
        width, Tone::plain, false));
    if (!wait.empty()) {
      lines.push_back(block_line("    " + wait, width, Tone::warning, options_.colour));
    }
  }

  static constexpr std::size_t most_lines = 12;

  ProgressOptions options_;
  LiveBlock block_;
  Notes notes_;
  Pace pace_;
  std::vector<Activity> activities_;  // of the last tick
  Time begin_;
  Time drawn_{};
};

class LogProgress : public Observer {
 public:
  LogProgress(std::ostream& err, const ProgressOptions& options)
      : err_(err), options_(options), notes_(options.verbose) {}

  void started(const Progress& progress) override { pace_.add(begin_, progress); }
  void finished(const SchemaReport& schema, const Progress& progress) override {
    ended_ = options_.now();
    notes_.add(schema);
    write_when_due(progress);
  }
  void warned(const std::string& message) override { notes_.warn(message); }
  void tick(const Progress& progress) override { write_when_due(progress); }
  void ended(const Report& /*report*/) override { write_notes(options_.now()); }

 private:
  void write_when_due(const Progress& progress) {
    const Time now = options_.now();
    pace_.add(now, progress);
    write_notes(now);
    if (now - written_ < interval) {
      return;
    }
    written_ = now;
    std::string line = "tenantctl: after " + rough_duration_text(now - begin_) + ": ";
    for (const Words& words : summary_words(progress, pace_)) {
      line += words.text + ", ";
    }
    line.resize(line.size() - 2);
    if (now - ended_ >= interval) {
      line += fmt::format("; none ended for {}", rough_duration_text(now - ended_));
      line += progress.activities.empty() ? "" : longest(progress.activities.front());
    }
    err_ << line + "\n" << std::flush;
  }

  static std::string longest(const Activity& activity) {
    constexpr std::size_t most = 200;
    std::string text = fmt::format("; {} has run longest, {}", escaped_name(activity.schema),
                                   duration_text(activity.duration));
    if (!activity.statement.empty()) {
      text += ": " + fitted(single_line(activity.statement), most);
    }
    if (const std::string wait = wait_text(activity); !wait.empty()) {
      text += "; it " + wait;
    }
    return text;
  }

  void write_notes(Time now) {
    for (const std::string& line : notes_.due(now - begin_)) {
      err_ << line + "\n" << std::flush;
    }
  }

  static constexpr auto interval = 10s;

  std::ostream& err_;
  ProgressOptions options_;
  Notes notes_;
  Pace pace_;
  Time begin_ = options_.now();
  Time written_ = begin_;
  Time ended_ = begin_;
};

}  // namespace

std::unique_ptr<Observer> make_progress(std::ostream& err, const ProgressOptions& options) {
  switch (options.style) {
    case ProgressStyle::none:
      break;
    case ProgressStyle::terminal:
      return std::make_unique<TerminalProgress>(err, options);
    case ProgressStyle::log:
      return std::make_unique<LogProgress>(err, options);
  }
  return std::make_unique<NoProgress>();
}

}  // namespace tenantctl
