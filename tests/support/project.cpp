#include "support/project.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "support/agreement.h"
#include "support/journal.h"
#include "support/json_schema.h"

namespace tenantctl::testing {
namespace {

std::string path_of(const std::string& file) {
  const auto slash = file.find('/');
  if (file.find('/', slash + 1) != std::string::npos)
    return "migrations/" + file;
  return "migrations/" + file.substr(0, slash) + "/versions" + file.substr(slash);
}

}  // namespace

Project::Project() : tool(database.conninfo()) {
  tool.set_variable("TENANTCTL_QUIET", "true");
  std::filesystem::create_directories(tool.folder().path() / "migrations/shared/versions");
  std::filesystem::create_directories(tool.folder().path() / "migrations/tenant/versions");
}

void Project::write(const std::string& file, const std::string& up, const std::string& down) {
  write_raw(file, "-- migrate:up\n" + up + "\n" +
                      (down.empty() ? "" : "\n-- migrate:down\n" + down + "\n"));
}

void Project::write_raw(const std::string& file, const std::string& text) {
  tool.folder().write(path_of(file), text);
}

void Project::remove(const std::string& file) {
  std::filesystem::remove(tool.folder().path() / path_of(file));
}

void Project::write_abc() {
  write("tenant/0001_a.sql", "CREATE TABLE a (id int);", "DROP TABLE a;");
  write("tenant/0002_b.sql", "CREATE TABLE b (id int);", "DROP TABLE b;");
  write("tenant/0003_c.sql", "CREATE TABLE c (id int);", "DROP TABLE c;");
}

Finished Project::run(const std::vector<std::string>& args, const std::string& input) const {
  const Agreement agreement(tool.folder().path());
  Finished finished = tool.run(agreement.reporting(args), input);
  const std::string disagreement = agreement.disagreement(finished, database);
  if (!disagreement.empty())
    throw std::runtime_error(disagreement + fault(finished, -1));
  return finished;
}

std::string Project::must(const std::vector<std::string>& args) const {
  const auto finished = run(args);
  if (finished.exit_code != 0)
    throw std::runtime_error(fault(finished, 0));
  return finished.out;
}

std::vector<std::string> Project::create_tenants(int count) const {
  std::vector<std::string> names;
  for (int i = 1; i <= count; ++i) {
    const auto digits = std::to_string(i);
    names.push_back("t" + std::string(3 - digits.size(), '0') + digits);
  }
  std::vector<std::string> args{"tenant", "create"};
  args.insert(args.end(), names.begin(), names.end());
  must(args);
  return names;
}

std::string Project::revision_of(const std::string& schema) {
  const auto rows = database.rows("SELECT name FROM \"" + schema +
                                  "\".tenantctl_version WHERE revision > 0 "
                                  "ORDER BY position DESC LIMIT 1");
  return rows.empty() ? "base" : rows.front().front();
}

bool Project::has_table(const std::string& schema, const std::string& table) {
  return database.value("SELECT count(*) FROM pg_tables WHERE schemaname = '" + schema +
                        "' AND tablename = '" + table + "'") == "1";
}

bool Project::has_schema(const std::string& schema) {
  return database.value("SELECT count(*) FROM pg_namespace WHERE nspname = '" + schema + "'") ==
         "1";
}

void Project::end_sessions_of_the_tool() const {
  const std::string sessions =
      "FROM pg_stat_activity WHERE application_name LIKE 'tenantctl/%' AND starts_with(datname, '" +
      database.name() + "')";
  database.execute("SELECT pg_terminate_backend(pid) " + sessions);
  if (!becomes_true(database, "SELECT count(*) = 0 " + sessions))
    throw std::runtime_error("sessions of a killed program do not end");
}

bool has_fitting_pg_dump(Project& project) {
  const std::string told = run_process({"pg_dump", "--version"}).out;
  const std::size_t at = told.find_first_of("0123456789");
  return at != std::string::npos &&
         std::stoi(told.substr(at)) >=
             std::stoi(project.database.value("SHOW server_version_num")) / 10000;
}

std::string fault(const Finished& finished, int exit_code,
                  std::initializer_list<std::string_view> parts) {
  std::string text;
  if (finished.exit_code != exit_code) {
    text += "exit code " + std::to_string(finished.exit_code) + " (signal " +
            std::to_string(finished.signal) + "), not " + std::to_string(exit_code) + "\n";
  }
  for (const auto part : parts) {
    if (!contains(finished.out, part) && !contains(finished.err, part))
      text += "not written: " + std::string(part) + "\n";
  }
  return text.empty() ? "" : text + "out: " + finished.out + "\nerr: " + finished.err;
}

void write_journal(Project& project, int count, const std::string& more) {
  create_journal(project.database);
  for (int i = 1; i <= count; ++i) {
    project.write(fmt::format("tenant/000{}_step{}.sql", i, i),
                  fmt::format("CREATE TABLE t{} (id int);\n{}"
                              "INSERT INTO public.journal VALUES (:'schema', {});",
                              i, more, i));
  }
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

std::string judged(const Finished& finished, const std::string& name) {
  return schema_errors(finished.out, source_folder() / "tests/schemas" / (name + ".schema.json"));
}

std::filesystem::path source_folder() {
  const char* const folder = std::getenv("TENANTCTL_SOURCE_DIR");
  if (folder == nullptr || *folder == '\0')
    throw std::runtime_error("TENANTCTL_SOURCE_DIR does not name the checkout");
  return folder;
}

}  // namespace tenantctl::testing
