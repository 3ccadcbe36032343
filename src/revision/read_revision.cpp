#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/text.h"
#include "revision/directives.h"
#include "revision/file_name.h"
#include "revision/markers.h"
#include "revision/revision_folder.h"
#include "sql/location.h"

namespace tenantctl {

namespace {

enum class Form { numbered, repeatable, seed };

std::string_view word_of(Form form) { return form == Form::seed ? "seed" : "repeatable"; }

// A checksum must not depend on the machine that checked the file out. A lone CR stays: the server
// ends a line comment there, so dropping it would change what runs.
std::string normalised(std::string bytes) {
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  std::string text;
  text.reserve(bytes.size());
  const std::size_t start = bytes.starts_with(byte_order_mark) ? byte_order_mark.size() : 0;
  for (std::size_t i = start; i < bytes.size(); ++i) {
    const bool line_end = bytes[i] == '\r' && i + 1 < bytes.size() && bytes[i + 1] == '\n';
    if (!line_end) {
      text += bytes[i];
    }
  }
  return text;
}

// A section ends with exactly one line feed, however many blank lines follow it: a down section
// that is added later must not change the checksum of the up section.
std::string_view without_blank_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of('\n') + 1);
}

bool is_blank_or_comment(std::string_view line) {
  const std::vector<std::string_view> words = words_of(line);
  return words.empty() || words.front().starts_with("--");
}

class RevisionReader {
 public:
  RevisionReader(Form form, std::string bytes, std::vector<Finding>& findings,
                 std::vector<Finding>& warnings)
      : form_(form),
        text_(normalised(std::move(bytes))),
        findings_(findings),
        warnings_(warnings) {}

  Revision read(const std::string& file, Scope scope) {
    revision_.file = file;
    revision_.scope = scope;
    read_name();
    if (!is_readable_text()) {
      return std::move(revision_);
    }
    lines_ = lines_of(text_);
    markers_ = markers_of(lines_);
    if (is_named() && markers_.empty()) {
      markers_.push_back({.up = true, .line = {}, .options = {}});
    }
    check_mistaken_markers();
    check_markers();
    check_preamble();
    read_sections();
    take_directives();
    if (is_named()) {
      check_named();
    }
    return std::move(revision_);
  }

 private:
  // A repeatable or a seed.
  bool is_named() const { return form_ != Form::numbered; }

  // One without a marker is all section, as if one stood above its first line.
  static bool is_implied(const Marker& marker) { return marker.line.number == 0; }

  void read_name() {
    const auto file_name = std::string_view(revision_.file).substr(revision_.file.rfind('/') + 1);
    if (is_named()) {
      read_whole_name(file_name);
      return;
    }
    const auto name = FileName::parse(file_name);
    if (!name) {
      report({}, "is not named like a revision",
             "A name is up to 18 digits, an underscore, a slug and .sql: 0012_backfill_total.sql.");
      return;
    }
    revision_.number = name->number;
    revision_.digits = name->digits;
    revision_.slug = name->slug;
    if (name->number == 0) {
      report({}, "number 0 is not a revision's", "Numbers start at 1; before it is the base.");
    }
  }

  void read_whole_name(std::string_view file_name) {
    revision_.is_seed = form_ == Form::seed;
    const auto name = repeatable_name(file_name);
    if (!name) {
      report(
          {}, fmt::format("is not named like a {}", word_of(form_)),
          "A name is a slug of ASCII letters, digits, _, - and ., and .sql: invoice_totals.sql.");
      return;
    }
    revision_.slug = *name;
    revision_.number = repeatable_number(*name);
  }

  void take_directives() {
    Directives directives = read_directives(revision_.file, lines_, findings_);
    revision_.lock_timeout = directives.lock_timeout;
    revision_.serial = directives.serial;
    revision_.requires_shared = std::move(directives.requires_shared);
    revision_.parameters = std::move(directives.parameters);
    check_directives();
    if (revision_.scope == Scope::tenant || revision_.is_seed) {
      return;
    }
    for (const Requirement& requirement : revision_.requires_shared) {
      report(place_of_line(lines_[static_cast<std::size_t>(requirement.line) - 1]),
             "a revision of the shared scope requires the shared scope",
             "Its own revisions are applied in order: remove the line.");
    }
  }

  void check_directives() {
    const auto line = [this](int number) {
      return place_of_line(lines_[static_cast<std::size_t>(number) - 1]);
    };
    if (form_ != Form::seed) {
      for (const Parameter& parameter : revision_.parameters) {
        report(line(parameter.line), "only a seed has parameters",
               "A revision is the same for all tenants: put the rows into seeds/NAME.sql.");
      }
      return;
    }
    for (const Requirement& requirement : revision_.requires_shared) {
      report(line(requirement.line), "a seed requires nothing",
             "It runs where all revisions stand: let a revision require it.");
    }
    if (revision_.serial) {
      report({}, "a seed is never serial", "Seeds run one after the other: remove the line.");
    }
  }

  // It is applied whole or not at all, and never taken back.
  void check_named() {
    for (const Marker& marker : markers_) {
      if (!marker.up) {
        report(place_of_line(marker.line), fmt::format("a {} has no down section", word_of(form_)),
               "Take back what it made in a revision's down section.");
      } else if (!revision_.up.transaction) {
        report(place_of_line(marker.line),
               fmt::format("a {} runs in a transaction", word_of(form_)),
               form_ == Form::seed
                   ? "It stands together with its record, or not at all."
                   : "Write statements that can be repeated, as CREATE OR REPLACE; what cannot run "
                     "in a transaction belongs into a revision.");
      }
    }
  }

  // libpq ends a text at its first NUL, without a word about the rest.
  bool is_readable_text() {
    const std::size_t nul = text_.find('\0');
    const std::size_t invalid = invalid_utf8(text_).value_or(std::string::npos);
    if (nul == std::string::npos && invalid == std::string::npos) {
      return true;
    }
    const std::string message = nul < invalid ? "NUL byte" : "invalid UTF-8";
    report(place_at(std::min(nul, invalid)), message, "Save the file as UTF-8 text.");
    return false;
  }

  Place place_at(std::size_t byte) const {
    const auto location = sql::Location::at_byte(text_, byte);
    return {.file = revision_.file,
            .line = location.line(),
            .column = location.column(),
            .text = escaped(location.line_text())};
  }

  void check_mistaken_markers() {
    for (const Line& line : mistaken_markers(lines_)) {
      report(place_of_line(line), "this is not a marker, but looks like one",
             "A marker is a line of its own: -- migrate:up or -- migrate:down.");
    }
  }

  void check_markers() {
    const Marker* up = nullptr;
    const Marker* down = nullptr;
    for (const Marker& marker : markers_) {
      const Marker*& first = marker.up ? up : down;
      if (first != nullptr) {
        report_second(marker, *first);
      }
      if (first == nullptr) {
        first = &marker;
      }
    }
    if (up == nullptr) {
      report({}, "has no line -- migrate:up", "The SQL to upgrade goes below such a line.");
    } else if (down != nullptr && down->line.number < up->line.number) {
      report(place_of_line(down->line), "the down section stands before the up section",
             "Put -- migrate:up first.");
    }
  }

  void report_second(const Marker& marker, const Marker& first) {
    report(place_of_line(marker.line),
           fmt::format("a second {} section; the first is on line {}", marker.up ? "up" : "down",
                       first.line.number),
           "A file is one revision; write the other one into a file of its own.");
  }

  // Text there would be nobody's: never hashed, never run.
  void check_preamble() {
    if (markers_.empty()) {
      return;
    }
    const auto stray = std::ranges::find_if(
        lines_, [](const Line& line) { return !is_blank_or_comment(line.text); });
    if (stray == lines_.end() || stray->number > markers_.front().line.number) {
      return;
    }
    report(place_of_line(*stray), "text before the first marker",
           "Only blank lines and -- comments may stand above -- migrate:up.");
  }

  void read_sections() {
    bool up_is_read = false;
    for (std::size_t i = 0; i < markers_.size(); ++i) {
      const std::size_t end = i + 1 < markers_.size() ? markers_[i + 1].line.begin : text_.size();
      const Marker& marker = markers_[i];
      if (!marker.up) {
        if (!revision_.down) {
          revision_.down = read_section(marker, end);
        }
      } else if (!up_is_read) {
        revision_.up = read_section(marker, end);
        revision_.checksum = checksum_of(revision_.up);
        check_up(marker);
        up_is_read = true;
      }
    }
  }

  Section read_section(const Marker& marker, std::size_t end) {
    const std::size_t begin =
        is_implied(marker) ? 0 : std::min(marker.line.begin + marker.line.text.size() + 1, end);
    Section section;
    section.sql = without_blank_end(std::string_view(text_).substr(begin, end - begin));
    if (!section.sql.empty()) {
      section.sql += '\n';
    }
    section.first_line = marker.line.number + 1;
    section.transaction = read_options(marker);
    try {
      section.script = sql::Script::read(section.sql);
      section.dropped_transaction = section.script.drop_outer_transaction();
    } catch (const sql::SyntaxError& error) {
      report(place_of(revision_, section, error.byte()), error.what(),
             "Every server would refuse this. Rows for COPY ... FROM STDIN cannot stand in a "
             "revision.");
    }
    return section;
  }

  // Whether the section runs in a transaction.
  bool read_options(const Marker& marker) {
    std::optional<bool> transaction;
    for (const std::string_view option : marker.options) {
      if (option != "transaction:true" && option != "transaction:false") {
        report_option(marker, option);
      } else if (transaction) {
        report(place_of_line(marker.line), "option \"transaction\" is given twice",
               "Remove one of them.");
      } else {
        transaction = option == "transaction:true";
      }
    }
    return transaction.value_or(true);
  }

  void report_option(const Marker& marker, std::string_view option) {
    const auto meant = nearest(option, {"transaction:true", "transaction:false"});
    report(place_of_line(marker.line), fmt::format("unknown option \"{}\"", escaped(option)),
           meant ? fmt::format("Did you mean {}?", *meant)
                 : std::string("The option is transaction:false (or transaction:true)."));
  }

  static std::string checksum_of(const Section& up) {
    const std::string_view options = up.transaction ? "" : "transaction:false\n";
    return "sha256:" + sha256_hex(std::string(options) + up.sql);
  }

  void check_up(const Marker& marker) {
    if (!revision_.up.script.statements().empty() || !findings_.empty()) {
      return;
    }
    warnings_.push_back({.message = "the up section holds no statement",
                         .place = place_of_line(marker.line),
                         .hint = "It will be recorded as applied and change nothing."});
  }

  Place place_of_line(const Line& line) const {
    return {
        .file = revision_.file, .line = line.number, .column = 1, .text = std::string(line.text)};
  }

  void report(Place place, std::string message, std::string hint) {
    if (place.file.empty()) {
      place.file = revision_.file;
    }
    findings_.push_back(
        {.message = std::move(message), .place = std::move(place), .hint = std::move(hint)});
  }

  Form form_;
  Revision revision_;
  std::string text_;  // BOM and CRLF normalised; lines_ and markers_ view it
  std::vector<Line> lines_;
  std::vector<Marker> markers_;
  std::vector<Finding>& findings_;
  std::vector<Finding>& warnings_;
};

}  // namespace

Revision read_revision(const std::string& file, Scope scope, std::string bytes,
                       std::vector<Finding>& findings, std::vector<Finding>& warnings) {
  return RevisionReader(Form::numbered, std::move(bytes), findings, warnings).read(file, scope);
}

Revision read_repeatable(const std::string& file, Scope scope, std::string bytes,
                         std::vector<Finding>& findings, std::vector<Finding>& warnings) {
  return RevisionReader(Form::repeatable, std::move(bytes), findings, warnings).read(file, scope);
}

Revision read_seed(const std::string& file, Scope scope, std::string bytes,
                   std::vector<Finding>& findings, std::vector<Finding>& warnings) {
  return RevisionReader(Form::seed, std::move(bytes), findings, warnings).read(file, scope);
}

}  // namespace tenantctl
