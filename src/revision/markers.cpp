#include "revision/markers.h"

#include <algorithm>
#include <optional>

#include "base/text.h"

namespace tenantctl {

namespace {

constexpr std::string_view white_space = " \t\r\f\v";
constexpr std::string_view marker_keyword = "migrate:";

std::string_view without_leading_space(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(white_space), text.size()));
}

// What a `--` comment says, or nothing if the line is none.
std::optional<std::string_view> comment_of(std::string_view line) {
  if (!line.starts_with("--")) {
    return std::nullopt;
  }
  return without_leading_space(line.substr(2));
}

std::optional<Marker> marker_at(const Line& line) {
  const auto comment = comment_of(line.text);
  if (!comment || !comment->starts_with(marker_keyword)) {
    return std::nullopt;
  }
  std::vector<std::string_view> words = words_of(*comment);
  const std::string_view direction = words.front().substr(marker_keyword.size());
  if (direction != "up" && direction != "down") {
    return std::nullopt;
  }
  words.erase(words.begin());
  return Marker{.up = direction == "up", .line = line, .options = std::move(words)};
}

// Prose such as `-- migrate: moves the totals` is a comment; only a lone word or one followed by
// what looks like options can be a marker.
bool is_mistaken(const Line& line) {
  const auto comment = comment_of(without_leading_space(line.text));
  if (!comment || marker_at(line)) {
    return false;
  }
  if (lowered(comment->substr(0, marker_keyword.size())) != marker_keyword) {
    return false;
  }
  const std::vector<std::string_view> words = words_of(comment->substr(marker_keyword.size()));
  if (words.empty()) {
    return true;
  }
  const bool options = std::all_of(words.begin() + 1, words.end(), [](std::string_view word) {
    return word.find(':') != std::string_view::npos;
  });
  return options && nearest(words.front(), {"up", "down"}).has_value();
}

}  // namespace

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back({.number = static_cast<int>(lines.size()) + 1,
                     .begin = begin,
                     .text = text.substr(begin, end - begin)});
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  text = without_leading_space(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(white_space), text.size());
    words.push_back(text.substr(0, end));
    text = without_leading_space(text.substr(end));
  }
  return words;
}

std::vector<Marker> markers_of(const std::vector<Line>& lines) {
  std::vector<Marker> markers;
  for (const Line& line : lines) {
    if (auto marker = marker_at(line)) {
      markers.push_back(std::move(*marker));
    }
  }
  return markers;
}

std::vector<Line> mistaken_markers(const std::vector<Line>& lines) {
  std::vector<Line> mistaken;
  std::ranges::copy_if(lines, std::back_inserter(mistaken), is_mistaken);
  return mistaken;
}

}  // namespace tenantctl
