#include "revision/directives.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace tenantctl {

namespace {

constexpr std::string_view keyword = "tenantctl:";

// The words of `-- tenantctl: NAME ARGUMENTS` from NAME on, or nothing if the line is no directive.
std::optional<std::vector<std::string_view>> words_of_directive(std::string_view line) {
  const std::size_t dashes = line.find("--");
  if (dashes == std::string_view::npos || !words_of(line.substr(0, dashes)).empty()) {
    return std::nullopt;
  }
  std::vector<std::string_view> words = words_of(line.substr(dashes + 2));
  if (words.empty() || !words.front().starts_with(keyword)) {
    return std::nullopt;
  }
  words.front().remove_prefix(keyword.size());
  if (words.front().empty()) {
    words.erase(words.begin());
  }
  return words;
}

std::optional<std::int64_t> milliseconds_per(std::string_view unit) {
  if (unit.empty() || unit == "ms") {
    return 1;
  }
  if (unit == "s") {
    return 1000;
  }
  if (unit == "min") {
    return 60'000;
  }
  return std::nullopt;
}

// `2s`, `2 s`, `500`: PostgreSQL's way to write it. Its limit is an int of milliseconds; its 0, to
// wait for ever, is what a run over many tenants must never do.
std::optional<std::chrono::milliseconds> duration_of(std::string_view text) {
  constexpr std::int64_t longest = 2'147'483'647;
  std::int64_t count = 0;
  const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc() || count < 1 || count > longest) {
    return std::nullopt;
  }
  std::string_view unit = text.substr(static_cast<std::size_t>(rest - text.data()));
  if (unit.starts_with(' ')) {
    unit.remove_prefix(1);
  }
  const auto factor = milliseconds_per(unit);
  if (!factor || count * *factor > longest) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(count * *factor);
}

// 0 if the text is no revision's number.
RevisionNumber number_of(std::string_view text) {
  constexpr std::size_t most_digits = 18;
  RevisionNumber number = 0;
  const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = code == std::errc() && rest == text.data() + text.size();
  return whole && number > 0 && text.size() <= most_digits ? number : 0;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r";
  const std::size_t first = text.find_first_not_of(blank);
  return first == std::string_view::npos
             ? std::string_view()
             : text.substr(first, text.find_last_not_of(blank) + 1 - first);
}

class DirectiveReader {
 public:
  DirectiveReader(const std::string& file, std::vector<Finding>& findings)
      : file_(file), findings_(findings) {}

  void read(const Line& line, const std::vector<std::string_view>& words) {
    line_ = &line;
    const std::string_view name = words.empty() ? std::string_view() : words.front();
    if (name == "lock-timeout") {
      read_lock_timeout(words);
    } else if (name == "ignore") {
      if (words.size() < 3) {
        report("directive \"ignore\" needs a rule and a reason",
               "Write -- tenantctl: ignore RULE REASON.");
      }
    } else if (name == "requires") {
      read_requirement(words);
    } else if (name == "serial") {
      read_serial(words);
    } else if (name == "param") {
      read_parameter(line.text, words);
    } else {
      report_unknown(name);
    }
  }

  const Directives& directives() const { return directives_; }

 private:
  void read_lock_timeout(const std::vector<std::string_view>& words) {
    if (directives_.lock_timeout) {
      report("directive \"lock-timeout\" is given twice", "Remove one of the lines.");
      return;
    }
    std::string text;
    for (std::size_t i = 1; i < words.size(); ++i) {
      text += (i > 1 ? " " : "") + std::string(words[i]);
    }
    directives_.lock_timeout = duration_of(text);
    if (directives_.lock_timeout) {
      return;
    }
    report(fmt::format("\"{}\" is not a lock-timeout", escaped(text)),
           "Write a number above 0 and ms, s or min, as in -- tenantctl: lock-timeout 2s.");
  }

  void read_requirement(const std::vector<std::string_view>& words) {
    const auto number = words.size() == 3 && words[1] == "shared" ? number_of(words[2]) : 0;
    if (number == 0) {
      report("directive \"requires\" needs a revision of the shared scope",
             "Write its number, as in -- tenantctl: requires shared 20261120101500.");
      return;
    }
    directives_.requires_shared.push_back({.number = number, .line = line_->number});
  }

  void read_serial(const std::vector<std::string_view>& words) {
    if (words.size() > 1) {
      report("directive \"serial\" takes no argument", "Write -- tenantctl: serial.");
    }
    directives_.serial = true;
  }

  // A value goes on to the end of its line, blanks within it included.
  void read_parameter(std::string_view line, const std::vector<std::string_view>& words) {
    const std::string_view text =
        words.size() < 2 ? std::string_view()
                         : line.substr(static_cast<std::size_t>(words[1].data() - line.data()));
    const std::size_t equals = text.find('=');
    Parameter parameter{.name = std::string(trimmed(text.substr(0, equals))),
                        .line = line_->number};
    if (equals != std::string_view::npos) {
      parameter.preset = std::string(trimmed(text.substr(equals + 1)));
    }
    if (!is_parameter_name(parameter.name)) {
      report(fmt::format("\"{}\" is no name of a parameter", escaped(parameter.name)),
             "A name is a-z, then a-z, 0-9 and _, as in -- tenantctl: param plan = free.");
    } else if (parameter.name.starts_with(reserved_parameters)) {
      report(fmt::format("parameter {} has a name of tenantctl's own", parameter.name),
             "What begins with tenant_ comes out of the registry and need not be declared.");
    } else if (std::ranges::count(directives_.parameters, parameter.name, &Parameter::name) > 0) {
      report(fmt::format("parameter {} is declared twice", parameter.name),
             "Remove one of the lines.");
    } else {
      directives_.parameters.push_back(std::move(parameter));
    }
  }

  void report_unknown(std::string_view name) {
    const auto meant = nearest(name, {"lock-timeout", "ignore", "requires", "serial", "param"});
    report(
        fmt::format("unknown directive \"{}\"", escaped(name)),
        meant ? fmt::format("Did you mean {}?", *meant)
              : std::string("The directives are lock-timeout, requires shared, serial, ignore and, "
                            "in a seed, param."));
  }

  void report(std::string message, std::string hint) {
    findings_.push_back({.message = std::move(message),
                         .place = {.file = file_,
                                   .line = line_->number,
                                   .column = 1,
                                   .text = std::string(line_->text)},
                         .hint = std::move(hint)});
  }

  const std::string& file_;
  std::vector<Finding>& findings_;
  const Line* line_ = nullptr;  // being read
  Directives directives_;
};

}  // namespace

bool is_parameter_name(std::string_view text) {
  constexpr std::size_t most = 40;
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz";
  return !text.empty() && text.size() <= most &&
         letters.find(text.front()) != std::string_view::npos &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

Directives read_directives(const std::string& file, const std::vector<Line>& lines,
                           std::vector<Finding>& findings) {
  DirectiveReader reader(file, findings);
  for (const Line& line : lines) {
    if (const auto words = words_of_directive(line.text)) {
      reader.read(line, *words);
    }
  }
  return reader.directives();
}

}  // namespace tenantctl
