#include "output/progress_text.h"

#include <fmt/format.h>

#include "base/text.h"
#include "output/result_writer.h"

namespace tenantctl {
namespace {

Tone tone_of(Result result) {
  if (result == Result::applied) {
    return Tone::good;
  }
  return is_problem(result) ? Tone::bad : Tone::plain;
}

}  // namespace

std::vector<Words> summary_words(const Progress& progress, const Pace& pace) {
  std::vector<Words> words;
  words.push_back({fmt::format("{} of {}", progress.finished, counted(progress.total, "schema"))});
  for (std::size_t i = 0; i < progress.counts.size(); ++i) {
    const auto result = static_cast<Result>(i);
    if (progress.counts.at(i) > 0) {
      words.push_back(
          {fmt::format("{} {}", progress.counts.at(i), to_text(result)), tone_of(result)});
    }
  }
  if (progress.running > 0) {
    words.push_back({fmt::format("{} running", progress.running)});
  }
  if (progress.waiting > 0) {
    words.push_back({fmt::format("{} waiting to try again", progress.waiting), Tone::warning});
  }
  if (progress.retried > 0) {
    words.push_back({fmt::format("{} retried", progress.retried)});
  }
  if (progress.waves > 1) {
    words.push_back({fmt::format("wave {} of {}", progress.wave, progress.waves)});
  }
  if (const auto rate = pace.rate()) {
    words.push_back({fmt::format("{:.{}f}/s", *rate, *rate < 10 ? 1 : 0)});
  }
  if (const auto left = pace.left(progress)) {
    words.push_back({fmt::format("about {} left", rough_duration_text(*left))});
  }
  return words;
}

std::string failure_line(const SchemaReport& schema) {
  std::string line = escaped_name(schema.schema);
  if (schema.failure == nullptr) {
    return line.append(": ").append(to_text(schema.result));
  }
  if (schema.result != Result::failed) {
    line.append(": ").append(to_text(schema.result));
  }
  line += ": " + fitted(single_line(schema.failure->message), 1'000);
  if (!schema.failure->sqlstate.empty()) {
    line += fmt::format(" (SQLSTATE {})", escaped(schema.failure->sqlstate));
  }
  return line;
}

std::string finished_line(const SchemaReport& schema) {
  if (is_problem(schema.result)) {
    return failure_line(schema);
  }
  const std::string line =
      fmt::format("{}: {}", escaped_name(schema.schema), to_text(schema.result));
  if (schema.steps == 0) {
    return line;
  }
  return fmt::format("{} ({}, {})", line, counted(schema.steps, "revision"),
                     duration_text(schema.duration));
}

std::string wait_text(const Activity& activity) {
  std::string text = activity.wait.empty() ? "" : "waits for " + single_line(activity.wait);
  if (activity.blocker) {
    text += (text.empty() ? "is blocked by " : ", blocked by ") + blocker_text(*activity.blocker);
  }
  return text;
}

std::string short_wait_text(const Activity& activity) {
  return activity.blocker ? "blocked by " + blocker_text(*activity.blocker) : wait_text(activity);
}

}  // namespace tenantctl
