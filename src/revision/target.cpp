#include "revision/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "base/text.h"

namespace tenantctl {

namespace {

constexpr std::string_view digit_set = "0123456789";
constexpr std::string_view forms =
    "A target is head, base, a revision (its number, the start of it or 0012_its_slug), +N or -N.";

[[noreturn]] void refuse(std::string_view text) {
  const auto meant = nearest(text, {"head", "base"});
  throw UsageError(fmt::format("\"{}\" is not a target", escaped(without_credentials(text))),
                   meant ? fmt::format("Did you mean {}?", *meant) : std::string(forms));
}

// The number of steps in `+N` or `-N`. No folder has more than a billion revisions.
std::optional<std::size_t> steps_of(std::string_view text) {
  constexpr std::size_t longest = 9;
  const std::string_view digits = text.substr(1);
  const bool number = !digits.empty() && digits.size() <= longest &&
                      digits.find_first_not_of(digit_set) == std::string_view::npos;
  if (!number) {
    return std::nullopt;
  }
  std::size_t steps = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), steps);
  return steps == 0 ? std::nullopt : std::optional(steps);
}

std::string_view leading_digits(std::string_view text) {
  return text.substr(0, std::min(text.find_first_not_of(digit_set), text.size()));
}

std::optional<RevisionNumber> whole_number(std::string_view digits) {
  RevisionNumber number = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = code == std::errc() && end == digits.data() + digits.size();
  return whole ? std::optional(number) : std::nullopt;
}

std::string nearest_hint(const std::string& text, const RevisionFolder& folder) {
  if (folder.empty()) {
    return "The folder holds no revision.";
  }
  const bool named = text.find('_') != std::string::npos;
  std::vector<std::string> names;
  for (const Revision& revision : folder.revisions()) {
    names.push_back(named ? revision.title() : revision.digits);
  }
  const auto meant = nearest(text, names);
  if (!meant) {
    return fmt::format("The head is {}.", folder.revisions().back().title());
  }
  return fmt::format("Did you mean {}?", *meant);
}

std::string listed(const std::vector<const Revision*>& revisions) {
  constexpr std::size_t most = 5;
  std::string list;
  for (std::size_t i = 0; i < std::min(most, revisions.size()); ++i) {
    list += (i == 0 ? "" : ", ") + revisions[i]->title();
  }
  if (revisions.size() > most) {
    list += fmt::format(" and {} more", revisions.size() - most);
  }
  return list;
}

const Revision& only_one(const std::vector<const Revision*>& candidates, const std::string& text,
                         const RevisionFolder& folder) {
  if (candidates.empty()) {
    throw UsageError(
        fmt::format("no {} revision is called \"{}\"", to_text(folder.scope()), escaped(text)),
        nearest_hint(text, folder));
  }
  if (candidates.size() > 1) {
    throw UsageError(
        fmt::format("\"{}\" could be {}", text, counted(candidates.size(), "revision")),
        fmt::format("Write more of the number: {}.", listed(candidates)));
  }
  return *candidates.front();
}

}  // namespace

Target Target::parse(std::string_view text) {
  if (text == "head") {
    return Target(Kind::head);
  }
  if (text == "base") {
    return Target(Kind::base);
  }
  if (text.starts_with('+') || text.starts_with('-')) {
    const auto steps = steps_of(text);
    if (!steps) {
      refuse(text);
    }
    return {text.front() == '+' ? Kind::forward : Kind::back, *steps, std::string(text)};
  }
  const std::string_view digits = leading_digits(text);
  const bool revision =
      !digits.empty() && (digits.size() == text.size() || text[digits.size()] == '_');
  if (!revision) {
    refuse(text);
  }
  return {Kind::revision, 0, std::string(text)};
}

const Revision& Target::find_in(const RevisionFolder& folder) const {
  const std::string_view digits = leading_digits(text_);
  const auto number = whole_number(digits);
  const Revision* exact = number ? folder.find(*number) : nullptr;
  const bool whole = digits.size() < text_.size();
  std::vector<const Revision*> candidates;
  if (exact != nullptr) {
    const std::string_view slug =
        std::string_view(text_).substr(std::min(digits.size() + 1, text_.size()));
    if (!whole || exact->slug == slug) {
      return *exact;
    }
  } else if (!whole) {
    for (const Revision& revision : folder.revisions()) {
      if (revision.digits.starts_with(digits)) {
        candidates.push_back(&revision);
      }
    }
  }
  return only_one(candidates, text_, folder);
}

}  // namespace tenantctl
