#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace tenantctl {

namespace {

constexpr std::uint8_t byte_at(std::string_view text, std::size_t index) {
  return static_cast<std::uint8_t>(text[index]);
}

constexpr bool is_continuation(std::uint8_t byte) { return (byte & 0xC0U) == 0x80U; }

// What may follow a lead byte. The second byte's range is what keeps overlong forms (E0, F0),
// surrogates (ED) and everything above U+10FFFF (F4) out.
struct Sequence {
  std::size_t length = 0;  // 0: not a lead byte
  std::uint8_t second_low = 0x80;
  std::uint8_t second_high = 0xBF;
};

constexpr Sequence sequence_of(std::uint8_t lead) {
  if (lead < 0x80) {
    return {.length = 1};
  }
  if (lead < 0xC2) {
    return {};
  }
  if (lead < 0xE0) {
    return {.length = 2};
  }
  if (lead == 0xE0) {
    return {.length = 3, .second_low = 0xA0};
  }
  if (lead == 0xED) {
    return {.length = 3, .second_high = 0x9F};
  }
  if (lead < 0xF0) {
    return {.length = 3};
  }
  if (lead == 0xF0) {
    return {.length = 4, .second_low = 0x90};
  }
  if (lead < 0xF4) {
    return {.length = 4};
  }
  if (lead == 0xF4) {
    return {.length = 4, .second_high = 0x8F};
  }
  return {};
}

// Length of the well-formed character that starts at `index`, or 0.
std::size_t character_length(std::string_view text, std::size_t index) {
  const Sequence sequence = sequence_of(byte_at(text, index));
  if (sequence.length <= 1) {
    return sequence.length;
  }
  if (text.size() - index < sequence.length) {
    return 0;
  }
  const std::uint8_t second = byte_at(text, index + 1);
  if (second < sequence.second_low || second > sequence.second_high) {
    return 0;
  }
  for (std::size_t i = 2; i < sequence.length; ++i) {
    if (!is_continuation(byte_at(text, index + i))) {
      return 0;
    }
  }
  return sequence.length;
}

std::uint32_t code_point(std::string_view character) {
  if (character.size() == 1) {
    return byte_at(character, 0);
  }
  std::uint32_t value = byte_at(character, 0) & (0xFFU >> (character.size() + 1));
  for (std::size_t i = 1; i < character.size(); ++i) {
    value = (value << 6U) | (byte_at(character, i) & 0x3FU);
  }
  return value;
}

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// C1 controls, line and paragraph separators, and everything that turns the writing direction.
constexpr std::array unsafe_ranges{Range{0x80, 0x9F}, Range{0x61C, 0x61C}, Range{0x200E, 0x200F},
                                   Range{0x2028, 0x202E}, Range{0x2066, 0x2069}};

bool is_unsafe(std::uint32_t point) {
  return std::ranges::any_of(unsafe_ranges, [point](const Range& range) {
    return point >= range.first && point <= range.last;
  });
}

bool is_control(std::uint32_t point) {
  return (point < 0x20 && point != '\n' && point != '\t') || point == 0x7F;
}

std::string escaped_character(std::string_view character) {
  const std::uint32_t point = code_point(character);
  if (is_control(point)) {
    return fmt::format("\\x{:02x}", point);
  }
  if (is_unsafe(point)) {
    return fmt::format("\\u{:04x}", point);
  }
  return std::string(character);
}

std::string short_line(std::string line) {
  constexpr std::size_t most = 2'000;
  const std::size_t characters = character_count(line);
  if (characters <= most) {
    return line;
  }
  return fmt::format("{}... ({} characters)", first_characters(line, most), characters);
}

// Edit distance in which swapping two neighbours is one edit: the commonest typing mistake.
class EditTable {
 public:
  EditTable(std::string_view left, std::string_view right)
      : left_(left), right_(right), cells_((left.size() + 1) * (right.size() + 1)) {}

  std::size_t distance() {
    for (std::size_t i = 0; i <= left_.size(); ++i) {
      for (std::size_t j = 0; j <= right_.size(); ++j) {
        cell(i, j) = cheapest(i, j);
      }
    }
    return cell(left_.size(), right_.size());
  }

 private:
  std::size_t& cell(std::size_t i, std::size_t j) { return cells_[i * (right_.size() + 1) + j]; }

  std::size_t cheapest(std::size_t i, std::size_t j) {
    if (i == 0 || j == 0) {
      return i + j;
    }
    const bool same = left_[i - 1] == right_[j - 1];
    const std::size_t edit = std::min(cell(i - 1, j), cell(i, j - 1)) + 1;
    const std::size_t best = std::min(edit, cell(i - 1, j - 1) + (same ? 0 : 1));
    return swapped(i, j) ? std::min(best, cell(i - 2, j - 2) + 1) : best;
  }

  bool swapped(std::size_t i, std::size_t j) const {
    return i > 1 && j > 1 && left_[i - 1] == right_[j - 2] && left_[i - 2] == right_[j - 1];
  }

  std::string_view left_;
  std::string_view right_;
  std::vector<std::size_t> cells_;
};

std::string doubled(std::string_view text, std::string_view special) {
  std::string out;
  out.reserve(text.size() + 2);
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) {
      out += c;
    }
    out += c;
  }
  return out;
}

}  // namespace

std::optional<std::size_t> invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = character_length(text, i);
    if (length == 0) {
      return i;
    }
    i += length;
  }
  return std::nullopt;
}

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = character_length(text, i);
    out += length == 0 ? fmt::format("\\x{:02x}", byte_at(text, i))
                       : escaped_character(text.substr(i, length));
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string escaped_name(std::string_view text) {
  std::string out;
  for (const char c : escaped(text)) {
    if (c == '\n' || c == '\t') {
      out += c == '\n' ? "\\n" : "\\t";
    } else {
      out += c;
    }
  }
  return out;
}

std::string with_short_lines(std::string_view text) {
  std::string out;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out += short_line(escaped(text.substr(begin, end - begin)));
    out += end < text.size() ? "\n" : "";
    begin = end + 1;
  }
  return out;
}

std::string told(std::string_view text) {
  constexpr std::size_t most = 20;
  const auto breaks = static_cast<std::size_t>(std::ranges::count(text, '\n'));
  std::size_t end = text.size();
  if (breaks >= most) {
    end = 0;
    for (std::size_t lines = 0; lines < most; ++lines) {
      end = text.find('\n', end) + 1;
    }
    --end;
  }
  std::string out;
  for (const char c : with_short_lines(text.substr(0, end))) {
    out += c;
    out += c == '\n' ? "    " : "";
  }
  if (end < text.size()) {
    out += fmt::format("\n    ... ({})", counted(breaks + 1 - most, "more line"));
  }
  return out;
}

std::string single_line(std::string_view text) {
  std::string out;
  for (const char c : escaped(text)) {
    const bool is_blank = c == ' ' || c == '\n' || c == '\t';
    if (!is_blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') {
    out.pop_back();
  }
  return out;
}

std::string without_credentials(std::string_view text) {
  const std::size_t scheme = text.find("://");
  const std::size_t at = text.rfind('@');
  if (scheme == std::string_view::npos || at == std::string_view::npos || at < scheme) {
    return std::string(text);
  }
  // To the last @, because a password that is not encoded may hold one.
  return std::string(text.substr(0, scheme + 3)).append("...").append(text.substr(at));
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  // As many edits as letters would make anything out of anything: `xy` does not mean `up`.
  const std::size_t limit = std::max<std::size_t>(2, word.size() / 3);
  std::size_t best = std::min(limit + 1, word.size());
  std::optional<std::string> found;
  const std::string lower = lowered(word);
  for (const std::string& candidate : candidates) {
    const std::size_t longer = std::max(lower.size(), candidate.size());
    if (longer - std::min(lower.size(), candidate.size()) >= best) {
      continue;
    }
    const std::size_t distance = EditTable(lower, lowered(candidate)).distance();
    if (distance >= best) {
      continue;
    }
    best = distance;
    found = candidate;
  }
  return found;
}

bool matches_glob(std::string_view name, std::string_view pattern) {
  std::size_t n = 0;
  std::size_t p = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      // Only the last star needs another try: what stands before it has matched already.
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

std::string counted(std::size_t count, std::string_view singular, std::string_view plural) {
  if (count == 1) {
    return fmt::format("1 {}", singular);
  }
  return plural.empty() ? fmt::format("{} {}s", count, singular)
                        : fmt::format("{} {}", count, plural);
}

std::string quote_literal(std::string_view text) {
  if (text.find('\\') == std::string_view::npos) {
    return "'" + doubled(text, "'") + "'";
  }
  return "E'" + doubled(text, "'\\") + "'";
}

std::string quote_identifier(std::string_view name) { return '"' + doubled(name, "\"") + '"'; }

std::string dollar_quoted(std::string_view body) {
  std::string tag = "$tenantctl$";
  while (body.find(tag) != std::string_view::npos) {
    tag.insert(tag.size() - 1, "_");
  }
  return fmt::format("{0}{1}{0}", tag, body);
}

std::string backslashed(std::string_view text, std::string_view special) {
  std::string out;
  for (const char c : text) {
    if (special.find(c) != std::string_view::npos) {
      out += '\\';
    }
    out += c;
  }
  return out;
}

std::string array_of(const std::vector<std::string>& texts) {
  std::string array = "{";
  for (const std::string& text : texts) {
    array += (array.size() > 1 ? ",\"" : "\"") + backslashed(text, "\"\\") + '"';
  }
  return array + "}";
}

std::size_t character_count(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return !is_continuation(static_cast<std::uint8_t>(c)); }));
}

std::string_view first_characters(std::string_view text, std::size_t most) {
  std::size_t end = 0;
  for (std::size_t count = 0; end < text.size(); ++end) {
    if (!is_continuation(byte_at(text, end)) && ++count > most) {
      break;
    }
  }
  return text.substr(0, end);
}

std::size_t column_count(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = std::max<std::size_t>(character_length(text, i), 1);
    // The first wide script; what is narrow behind it is rare, and a line that wraps is worse.
    constexpr std::uint32_t first_wide = 0x1100;
    columns += length > 2 && code_point(text.substr(i, length)) >= first_wide ? 2 : 1;
    i += length;
  }
  return columns;
}

std::string fitted(std::string_view text, std::size_t most) {
  if (column_count(text) <= most) {
    return std::string(text);
  }
  const std::string_view end = most > 10 ? "..." : "";
  std::size_t characters = most - end.size();
  while (column_count(first_characters(text, characters)) > most - end.size()) {
    --characters;
  }
  return std::string(first_characters(text, characters)).append(end);
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

}  // namespace tenantctl
