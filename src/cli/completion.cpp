#include <fmt/format.h>

#include <ostream>

#include "cli/commands.h"
#include "cli/options.h"

namespace tenantctl::cli {
namespace {

// What may stand behind a command: its subcommands and options, by the path of commands before.
struct Words {
  std::string path;  ///< `tenantctl tenant create`
  std::vector<std::string> words;
};

void collect(const CLI::App& command, const std::string& path, std::vector<Words>& all) {
  Words words{.path = path, .words = {}};
  for (const CLI::App* sub :
       command.get_subcommands([](const CLI::App* /*all*/) { return true; })) {
    words.words.push_back(sub->get_name());
  }
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames())
      words.words.push_back("--" + name);
  }
  all.push_back(std::move(words));
  for (const CLI::App* sub :
       command.get_subcommands([](const CLI::App* /*all*/) { return true; })) {
    collect(*sub, path + " " + sub->get_name(), all);
  }
}

std::string cases(const std::vector<Words>& all, std::string_view form) {
  std::string text;
  for (const Words& words : all) {
    text += fmt::format(fmt::runtime(form), fmt::arg("path", words.path),
                        fmt::arg("words", fmt::join(words.words, " ")));
  }
  return text;
}

std::string bash_script(const std::vector<Words>& all) {
  return "_tenantctl() {\n"
         "  local path=tenantctl word words=\"\" i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    word=${COMP_WORDS[i]}\n"
         "    case \"$path $word\" in\n" +
         cases(all, "      \"{path}\") path=\"{path}\" ;;\n") +
         "    esac\n"
         "  done\n"
         "  case \"$path\" in\n" +
         cases(all, "    \"{path}\") words=\"{words}\" ;;\n") +
         "  esac\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
         "}\n"
         "complete -o default -F _tenantctl tenantctl\n";
}

// zsh runs bash's functions for completion once told to.
std::string zsh_script(const std::vector<Words>& all) {
  return "#compdef tenantctl\n"
         "autoload -Uz bashcompinit && bashcompinit\n" +
         bash_script(all);
}

std::string fish_script(const std::vector<Words>& all) {
  std::string text =
      "function __tenantctl_path\n"
      "  set -l path tenantctl\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    switch \"$path $word\"\n" +
      cases(all, "      case \"{path}\"\n        set path \"{path}\"\n") +
      "    end\n"
      "  end\n"
      "  echo $path\n"
      "end\n";
  for (const Words& words : all) {
    text += fmt::format("complete -c tenantctl -n 'test (__tenantctl_path) = \"{}\"' -a \"{}\"\n",
                        words.path, fmt::join(words.words, " "));
  }
  return text;
}

}  // namespace

void add_completion(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("completion", "a completion script for a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  add_example(*command, "tenantctl completion bash > /etc/bash_completion.d/tenantctl");
  command->callback([&app, &context, shell] {
    context.run = [&app, &context, shell] {
      std::vector<Words> all;
      collect(app, "tenantctl", all);
      if (*shell == "bash")
        *context.out << bash_script(all);
      if (*shell == "zsh")
        *context.out << zsh_script(all);
      if (*shell == "fish")
        *context.out << fish_script(all);
      return ExitCode::ok;
    };
  });
}

}  // namespace tenantctl::cli
