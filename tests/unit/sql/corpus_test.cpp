#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sql/scan.h"
#include "sql/split.h"

using namespace tenantctl::sql;
namespace fs = std::filesystem;

namespace {

// Real migrations, which live beside the checkout: TENANTCTL_SHARED, or ../shared of the sources.
fs::path shared_folder() {
  const char* folder = std::getenv("TENANTCTL_SHARED");
  if (folder != nullptr) {
    return folder;
  }
  const fs::path root = fs::path(__FILE__).parent_path() / ".." / ".." / "..";
  return root / ".." / "shared";
}

std::vector<fs::path> sql_files() {
  std::vector<fs::path> files;
  for (const char* part : {"corpora", "workload"}) {
    std::error_code missing;
    for (const auto& entry : fs::recursive_directory_iterator(shared_folder() / part, missing)) {
      if (entry.path().extension() == ".sql" && entry.is_regular_file()) {
        files.push_back(entry.path());
      }
    }
  }
  return files;
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_SUITE("sql/corpus") {
  TEST_CASE("where the parser can split real migrations, the tokens split them alike") {
    const auto files = sql_files();
    if (files.empty()) {
      MESSAGE("skipped: no corpora beside the checkout (TENANTCTL_SHARED)");
      return;
    }
    std::size_t parsed = 0;
    for (const fs::path& file : files) {
      CAPTURE(file);
      const std::string text = text_of(file);
      const auto tokens = scan(text);
      const auto pieces = split_by_parser(parseable(text, tokens, placeholders_of(text, tokens)));
      if (pieces) {
        CHECK(split_by_tokens(text, tokens) == *pieces);
        ++parsed;
      }
    }
    CHECK(parsed * 10 > files.size() * 9);
  }
}
