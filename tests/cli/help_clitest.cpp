#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "support/project.h"

using namespace tenantctl::testing;

namespace {

// What may stand behind each command, from the completion script: `tenantctl tenant` -> its words.
std::map<std::string, std::vector<std::string>> completion_words(const Tool& tool) {
  std::map<std::string, std::vector<std::string>> words;
  for (const auto& line : lines_of(tool.run({"completion", "bash"}).out)) {
    const auto open = line.find('"');
    const auto close = line.find("\") words=\"");
    if (open == std::string::npos || close == std::string::npos)
      continue;
    const auto path = line.substr(open + 1, close - open - 1);
    const auto begin = close + std::string_view("\") words=\"").size();
    std::istringstream stream(line.substr(begin, line.rfind('"') - begin));
    for (std::string word; stream >> word;)
      words[path].push_back(word);
  }
  return words;
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;)
    words.push_back(word);
  return words;
}

std::set<std::string> long_options(const Tool& tool) {
  std::set<std::string> options;
  for (const auto& [path, words] : completion_words(tool)) {
    for (const auto& word : words) {
      if (word.starts_with("--"))
        options.insert(word);
    }
  }
  for (const auto* const own : {"--help", "--help-all", "--version"})
    options.erase(own);
  return options;
}

std::string variable_of(const std::string& option) {
  std::string name = "TENANTCTL_";
  for (const char c : option.substr(2))
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string complete(const Tool& tool, const std::vector<std::string>& words) {
  std::string text = "source completion; COMP_WORDS=(";
  for (const auto& word : words)
    text += "'" + word + "' ";
  text += "); COMP_CWORD=" + std::to_string(words.size() - 1) +
          "; _tenantctl; echo \"${COMPREPLY[@]}\"";
  return run_process({"bash", "-c", text}, {.folder = tool.folder().path()}).out;
}

}  // namespace

TEST_SUITE("cli/help") {
  TEST_CASE("every command's help ends in an example") {
    const Tool tool;
    const auto commands = completion_words(tool);
    CHECK(commands.size() >= 20);
    for (const auto& [path, words] : commands) {
      auto line = split(path.substr(std::string("tenantctl").size()));
      const bool is_command = !line.empty();
      line.emplace_back("--help");
      CAPTURE(path);
      const auto help = tool.run(line);
      CHECK(help.exit_code == 0);
      CHECK(help.err == "");
      CHECK((!is_command || contains(help.out, "Example:\n  tenantctl ")));
    }
  }

  TEST_CASE("every long option has a variable, and the help names it") {
    const Tool tool;
    for (const auto& [path, words] : completion_words(tool)) {
      auto line = split(path.substr(std::string("tenantctl").size()));
      line.emplace_back("--help");
      const auto help = tool.run(line);
      for (const auto& option : words) {
        const bool is_own = option == "--help" || option == "--help-all" || option == "--version";
        if (is_own || !option.starts_with("--"))
          continue;
        CAPTURE(path);
        CAPTURE(option);
        // What `tenant create` gives a tenant has another variable where tenants are selected.
        const auto selecting = "TENANTCTL_ONLY_" + variable_of(option).substr(10);
        CHECK((contains(help.out, variable_of(option)) || contains(help.out, selecting)));
      }
    }
  }

  TEST_CASE("the version is told") {
    CHECK(fault(Tool().run({"--version"}), 0, {"tenantctl 0."}) == "");
  }

  TEST_CASE("no command at all is a mistake of the command line") {
    CHECK(fault(Tool().run({}), 2, {"subcommand is required", "HINT: tenantctl --help"}) == "");
    CHECK(fault(Tool().run({"tenant"}), 2, {"HINT: tenantctl tenant --help"}) == "");
  }

  TEST_CASE("an unknown command names the nearest") {
    const Tool tool;
    CHECK(fault(tool.run({"upgrad"}), 2,
                {"unknown command upgrad\n", "HINT: Did you mean upgrade?"}) == "");
    CHECK(fault(tool.run({"tenant", "craete", "x"}), 2,
                {"unknown command craete", "HINT: Did you mean create?"}) == "");
    CHECK(fault(tool.run({"frobnicate"}), 2, {"HINT: tenantctl --help"}) == "");
  }

  TEST_CASE("an unknown option names the nearest of its command") {
    const Tool tool;
    CHECK(fault(tool.run({"upgrade", "--schem", "x"}), 2,
                {"unknown option --schem\n", "HINT: Did you mean --schema?"}) == "");
    CHECK(fault(tool.run({"upgrade-all", "--dry-rn"}), 2, {"Did you mean --dry-run?"}) == "");
    CHECK(fault(tool.run({"revision", "--scpe=tenant"}), 2, {"Did you mean --scope?"}) == "");
    CHECK(fault(tool.run({"init", "--zzzzzzzz"}), 2, {"HINT: tenantctl init --help"}) == "");
    CHECK(fault(tool.run({"upgrade", "head", "more"}), 2, {"unknown argument more"}) == "");
  }

  TEST_CASE("a value that an option cannot have is named") {
    const Tool tool;
    CHECK(fault(tool.run({"upgrade-all", "--jobs", "0"}), 2, {"--jobs"}) == "");
    CHECK(fault(tool.run({"upgrade-all", "--jobs", "many"}), 2, {"--jobs"}) == "");
    CHECK(fault(tool.run({"upgrade-all", "--output", "xml"}), 2, {"--output"}) == "");
    CHECK(fault(tool.run({"upgrade", "--scope", "both"}), 2, {"--scope"}) == "");
    CHECK(fault(tool.run({"upgrade", "--schema"}), 2, {"--schema"}) == "");
  }
}

TEST_SUITE("cli/completion") {
  TEST_CASE("bash completes commands, subcommands and options") {
    const Tool tool;
    const auto script = tool.run({"completion", "bash"});
    REQUIRE(script.exit_code == 0);
    const auto path = tool.folder().write("completion", script.out);
    CHECK(fault(run_process({"bash", "-n", path.string()}), 0) == "");

    CHECK(complete(tool, {"tenantctl", "upg"}) == "upgrade upgrade-all\n");
    CHECK(complete(tool, {"tenantctl", "tenant", ""}) ==
          "create list show rename drop undrop purge move adopt pool seed suspend resume archive "
          "export import clone --help --help-all\n");
    CHECK(complete(tool, {"tenantctl", "tenant", "adopt", "--li"}) == "--like\n");
    CHECK(complete(tool, {"tenantctl", "upgrade-all", "--jobs", "4", "--dry"}) == "--dry-run\n");
    CHECK(complete(tool, {"tenantctl", "upgrade-all", "--cre"}) == "\n");
  }

  TEST_CASE("zsh and fish accept their scripts") {
    const Tool tool;
    for (const auto* const shell : {"zsh", "fish"}) {
      const auto script = tool.run({"completion", shell});
      CHECK(fault(script, 0, {"upgrade-all"}) == "");
      if (run_process({"sh", "-c", std::string("command -v ") + shell}).exit_code != 0) {
        MESSAGE(std::string(shell) << " is not installed: its script was not tried");
        continue;
      }
      const auto path = tool.folder().write(std::string("completion.") + shell, script.out);
      CHECK(fault(run_process({shell, "-n", path.string()}), 0) == "");
    }
  }

  TEST_CASE("another shell is refused") {
    CHECK(fault(Tool().run({"completion", "tcsh"}), 2, {"tcsh"}) == "");
  }
}

TEST_SUITE("README.md") {
  // The cells of all lines that are rows of tables.
  std::vector<std::vector<std::string>> table_rows(const std::string& text) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& line : lines_of(text)) {
      if (!line.starts_with("|"))
        continue;
      auto& cells = rows.emplace_back();
      std::istringstream stream(line.substr(1));
      for (std::string cell; std::getline(stream, cell, '|');) {
        cell.erase(0, cell.find_first_not_of(" `"));
        cell.erase(cell.find_last_not_of(" `") + 1);
        cells.push_back(cell);
      }
    }
    return rows;
  }

  std::string text_of(const std::filesystem::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TEST_CASE("the table of exit codes is the enum") {
    if (!std::filesystem::exists(source_folder() / "README.md")) {
      MESSAGE("there is no README.md yet");
      return;
    }
    std::map<std::string, std::string> in_code;
    for (const auto& line : lines_of(text_of(source_folder() / "src/cli/exit_code.h"))) {
      const auto equals = line.find(" = ");
      if (line.starts_with("  ") && equals != std::string::npos) {
        const auto end = line.find_first_not_of("0123456789", equals + 3);
        in_code[line.substr(equals + 3, end - equals - 3)] = line.substr(2, equals - 2);
      }
    }
    REQUIRE(in_code.size() == 7);
    std::map<std::string, std::string> in_readme;
    for (const auto& row : table_rows(text_of(source_folder() / "README.md"))) {
      const bool is_code = row.size() >= 2 && !row[0].empty() &&
                           row[0].find_first_not_of("0123456789") == std::string::npos;
      if (is_code)
        in_readme[row[0]] = row[1];
    }
    CHECK(in_readme == in_code);
  }

  TEST_CASE("the table of options has every option with its variable, and no other") {
    if (!std::filesystem::exists(source_folder() / "README.md")) {
      MESSAGE("there is no README.md yet");
      return;
    }
    const auto options = long_options(Tool());
    std::set<std::string> found;
    for (const auto& row : table_rows(text_of(source_folder() / "README.md"))) {
      std::string line;
      for (const auto& cell : row)
        line += cell + " | ";
      if (!contains(line, "TENANTCTL_"))
        continue;
      // The first long option of the row is what it is about.
      const auto begin = line.find("--");
      if (begin == std::string::npos)
        continue;
      const auto option =
          line.substr(begin, line.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", begin) - begin);
      CAPTURE(line);
      CHECK(options.contains(option));
      CHECK(contains(line + " ", variable_of(option)));
      found.insert(option);
    }
    CHECK(found == options);
  }
}
