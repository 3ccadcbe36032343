#include "output/github.h"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "base/text.h"

namespace tenantctl {
namespace {

// GitHub's escapes; a property ends at a comma or colon too.
std::string command_text(std::string_view text, bool is_property) {
  std::string out;
  for (const char c : escaped(text)) {
    const bool special = c == '%' || c == '\n' || (is_property && (c == ':' || c == ','));
    out += special ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return out;
}

/// Where GitHub and the program count file names from.
struct Roots {
  std::filesystem::path workspace;
  std::filesystem::path folder;
};

std::string place_properties(const Place& place, const Roots& roots) {
  const auto file = (roots.folder / place.file).lexically_normal();
  const auto inside = file.lexically_relative(roots.workspace.lexically_normal());
  const bool is_inside = !inside.empty() && *inside.begin() != "..";
  std::string text = "file=" + command_text((is_inside ? inside : file).string(), true) + ",";
  if (place.line > 0) {
    text += fmt::format("line={},", place.line);
  }
  if (place.column > 0) {
    text += fmt::format("col={},", place.column);
  }
  return text;
}

std::string title(const Cause& cause) {
  const std::string who =
      cause.members.size() == 1 ? cause.example->schema : counted(cause.members.size(), "schema");
  return fmt::format("tenantctl: {} {}", who, to_text(cause.example->result));
}

void write_command(std::ostream& out, const std::string& place, const std::string& title,
                   const std::string& message) {
  out << fmt::format("::error {}title={}::{}\n", place, command_text(title, true),
                     command_text(message, false));
}

std::string message(const Cause& cause) {
  constexpr std::size_t most = 20;
  const SchemaReport& example = *cause.example;
  std::string text(to_text(example.result));
  if (example.failure != nullptr) {
    text = example.failure->message;
    if (!example.failure->sqlstate.empty()) {
      text += fmt::format(" (SQLSTATE {})", example.failure->sqlstate);
    }
    text += example.failure->hint.empty() ? "" : "\nHINT: " + example.failure->hint;
  }
  text += "\n";
  for (std::size_t i = 0; i < std::min(cause.members.size(), most); ++i) {
    text += (i == 0 ? "" : ", ") + cause.members[i]->schema;
  }
  return cause.members.size() > most
             ? fmt::format("{} and {} more", text, cause.members.size() - most)
             : text;
}

}  // namespace

void write_annotations(std::ostream& out, const RunResult& result,
                       const std::filesystem::path& workspace,
                       const std::filesystem::path& folder) {
  std::size_t left = 10;
  for (const ScopeResult& scope : scopes_of(result)) {
    for (const Cause& cause : causes_of(*scope.report)) {
      if (left == 0) {
        return;
      }
      --left;
      const Failure* failure = cause.example->failure.get();
      const bool has_place = failure != nullptr && failure->place;
      write_command(out, has_place ? place_properties(*failure->place, {workspace, folder}) : "",
                    title(cause), message(cause));
    }
  }
}

void write_annotation(std::ostream& out, const Error& error, const std::filesystem::path& workspace,
                      const std::filesystem::path& folder) {
  const std::string hint = error.hint().empty() ? "" : "\nHINT: " + error.hint();
  write_command(out, error.place() ? place_properties(*error.place(), {workspace, folder}) : "",
                "tenantctl", error.what() + hint);
}

}  // namespace tenantctl
