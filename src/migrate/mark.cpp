#include "migrate/mark.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace tenantctl {
namespace {

constexpr std::string_view prefix = "tenantctl 1";

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() && number >= 0;
}

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool read_word(std::string_view word, Mark& mark) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
  if (name == "scope") {
    const auto scope = scope_from_text(value);
    mark.scope = scope.value_or(Scope::tenant);
    return scope.has_value();
  }
  if (name == "head") {
    return read_number(value, mark.head);
  }
  if (name == "count") {
    return read_number(value, mark.count);
  }
  if (name == "running") {
    return read_number(value, mark.running);
  }
  if (name == "digest") {
    mark.digest = value == "base" ? "" : std::string(value);
    return value == "base" || is_digest(value);
  }
  if (name == "repeatables") {
    mark.repeatables = std::string(value);
    return is_digest(value);
  }
  mark.dropping = name == "dropping";
  return mark.dropping;
}

}  // namespace

std::optional<Mark> Mark::parse(std::string_view comment) {
  if (!comment.starts_with(prefix)) {
    return std::nullopt;
  }
  std::string_view rest = comment.substr(prefix.size());
  Mark mark;
  while (rest.starts_with(' ')) {
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find(' '), rest.size());
    if (!read_word(rest.substr(0, end), mark)) {
      return std::nullopt;
    }
    rest.remove_prefix(end);
  }
  const bool consistent = (mark.count == 0) == mark.digest.empty();
  // Missing, repeated or otherwise ordered words: somebody else wrote it.
  if (mark.text() != comment || !consistent) {
    return std::nullopt;
  }
  return mark;
}

Mark Mark::of(Scope scope, const History& history) {
  Mark mark;
  mark.scope = scope;
  mark.repeatables = repeatables_digest(history);
  for (const AppliedRevision& row : history) {
    if (row.is_repeatable()) {
      continue;
    }
    if (row.state != RowState::applied) {
      mark.running = row.number;
      continue;
    }
    mark.head = std::max(mark.head, row.number);
    mark.digest = row.digest;
    ++mark.count;
  }
  return mark;
}

std::string Mark::text() const {
  std::string text = fmt::format("{} scope={} head={} count={} digest={}", prefix, to_text(scope),
                                 head, count, digest.empty() ? "base" : digest);
  if (!repeatables.empty()) {
    text += " repeatables=" + repeatables;
  }
  if (running != 0) {
    text += fmt::format(" running={}", running);
  }
  if (dropping) {
    text += " dropping";
  }
  return text;
}

}  // namespace tenantctl
