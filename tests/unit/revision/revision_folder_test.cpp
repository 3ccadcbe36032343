#include "revision/revision_folder.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "support/temporary_folder.h"

using namespace tenantctl;
using tenantctl::testing::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

constexpr const char* good_body = "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n";

RevisionFolder folder_of(const TemporaryFolder& folder) {
  return RevisionFolder::read(folder.path(), Scope::tenant);
}

// What is wrong, with the folder's own path left out.
std::string complaint(const TemporaryFolder& folder, const fs::path& sub = {},
                      const RevisionFolder::Limits& limits = {}) {
  const fs::path path = sub.empty() ? folder.path() : folder.path() / sub;
  try {
    RevisionFolder::read(path, Scope::tenant, limits);
  } catch (const FolderError& error) {
    std::string text = error.what();
    const std::string prefix = folder.path().string() + "/";
    for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix)) {
      text.erase(at, prefix.size());
    }
    return text;
  }
  return "nothing";
}

Revision revision(RevisionNumber number, const std::string& digits) {
  Revision revision;
  revision.number = number;
  revision.digits = digits;
  revision.slug = "a";
  return revision;
}

}  // namespace

TEST_SUITE("revision/revision_folder") {
  TEST_CASE("a folder is its revisions in the order of their numbers") {
    const TemporaryFolder folder;
    folder.write("0010_ten.sql", good_body);
    folder.write("9_nine.sql", good_body);
    folder.write("0002_two.sql", good_body);
    const auto revisions = folder_of(folder).revisions();
    REQUIRE(revisions.size() == 3);
    CHECK(revisions[0].slug == "two");
    CHECK(revisions[1].slug == "nine");
    CHECK(revisions[2].slug == "ten");
    CHECK(revisions[2].file == (folder.path() / "0010_ten.sql").string());
    CHECK(revisions[2].scope == Scope::tenant);
  }

  TEST_CASE("a folder that does not exist is empty") {
    const TemporaryFolder folder;
    const auto revisions = RevisionFolder::read(folder.path() / "no" / "such", Scope::shared);
    CHECK(revisions.empty());
    CHECK(revisions.scope() == Scope::shared);
    CHECK(RevisionFolder().empty());
  }

  TEST_CASE("what is read stays, whatever happens on disk") {
    const TemporaryFolder folder;
    folder.write("0001_a.sql", good_body);
    const auto revisions = folder_of(folder);
    folder.write("0001_a.sql", "other");
    CHECK(revisions.revisions().front().up.sql == "SELECT 1;\n");
  }

  TEST_CASE("a revision is found by its number") {
    const RevisionFolder folder(Scope::tenant, {revision(12, "0012"), revision(3, "0003")});
    CHECK(folder.find(3)->digits == "0003");
    CHECK(folder.find(12)->digits == "0012");
    CHECK(folder.find(4) == nullptr);
    CHECK(folder.find(13) == nullptr);
  }

  TEST_CASE("a number that is not there is written as the folder would write it") {
    const RevisionFolder folder(Scope::tenant, {revision(3, "003"), revision(12, "0012")});
    CHECK(folder.digits_of(3) == "003");
    CHECK(folder.digits_of(13) == "0013");
    CHECK(RevisionFolder().digits_of(13) == "13");
  }

  TEST_CASE("hidden files, other files and sub-folders do not matter") {
    const TemporaryFolder folder;
    folder.write("0001_a.sql", good_body);
    folder.write(".0002_b.sql", "x");
    folder.write("README.md", "x");
    folder.write("old/0001_a.sql", "x");
    folder.write("2025/0001_a.sql", "x");
    CHECK(folder_of(folder).revisions().size() == 1);
  }

  TEST_CASE("a name that somebody may have meant as a revision is a finding") {
    const TemporaryFolder folder;
    folder.write("0003-x.sql", good_body);
    folder.write("0001_a.SQL", good_body);
    folder.write("0002_b.sql.bak", good_body);
    folder.write("x.sql", good_body);
    CHECK(complaint(folder) ==
          "0001_a.SQL: is not named like a revision\n"
          "0002_b.sql.bak: is not named like a revision\n"
          "0003-x.sql: is not named like a revision\n"
          "x.sql: is not named like a revision");
  }

  TEST_CASE("a name cannot move the terminal's cursor") {
    const TemporaryFolder folder;
    folder.write("1\x1B[2J.sql", good_body);
    CHECK(complaint(folder) == "1\\x1b[2J.sql: is not named like a revision");
  }

  TEST_CASE("two files of one number are named both") {
    const TemporaryFolder folder;
    folder.write("7_b.sql", good_body);
    folder.write("007_a.sql", good_body);
    CHECK(complaint(folder) == "7_b.sql: has the same number as 007_a.sql");
  }

  TEST_CASE("number 0 is the base, not a revision") {
    const TemporaryFolder folder;
    folder.write("0000_a.sql", good_body);
    folder.write("0_b.sql", good_body);
    CHECK(complaint(folder) ==
          "0000_a.sql: number 0 is not a revision's\n0_b.sql: number 0 is not a revision's");
  }

  TEST_CASE("all findings of all files come at once, by file and line") {
    const TemporaryFolder folder;
    folder.write("0002_b.sql", "-- migrate:up\nSELECT 1;\n-- migrate:up\n");
    folder.write("0001_a.sql", "-- migrate:up x:y\n-- tenantctl: serial 1\nSELECT 'a\n");
    CHECK(complaint(folder) ==
          "0001_a.sql:1: unknown option \"x:y\"\n"
          "0001_a.sql:2: directive \"serial\" takes no argument\n"
          "0001_a.sql:3: unterminated quoted string\n"
          "0002_b.sql:3: a second up section; the first is on line 1");
  }

  TEST_CASE("a single finding brings its hint") {
    Finding finding{.message = "m", .place = {}, .hint = "H."};
    finding.place.file = "f";
    finding.place.line = 2;
    const FolderError one({finding});
    CHECK(std::string(one.what()) == "f:2: m");
    CHECK(one.hint() == "H.");
    CHECK(one.findings().size() == 1);
    const FolderError two({finding, finding});
    CHECK(two.hint().empty());
  }

  TEST_CASE("warnings do not stop the reading") {
    const TemporaryFolder folder;
    folder.write("0002_b.sql", "-- migrate:up\n");
    folder.write("0001_a.sql", "-- migrate:up\n");
    const auto warnings = folder_of(folder).warnings();
    REQUIRE(warnings.size() == 2);
    CHECK(warnings.front().place.file == (folder.path() / "0001_a.sql").string());
  }

  TEST_CASE("what is no regular file is refused without waiting for it") {
    const TemporaryFolder folder;
    folder.write("target", good_body);
    fs::create_symlink("target", folder.path() / "0001_link.sql");
    fs::create_symlink("nowhere", folder.path() / "0002_dangling.sql");
    fs::create_directory(folder.path() / "0003_folder.sql");
    REQUIRE(::mkfifo((folder.path() / "0004_fifo.sql").c_str(), 0600) == 0);
    CHECK(complaint(folder) ==
          "0001_link.sql: is a symbolic link\n"
          "0002_dangling.sql: is a symbolic link\n"
          "0003_folder.sql: is a folder\n"
          "0004_fifo.sql: is a FIFO");
  }

  TEST_CASE("a socket is refused") {
    const TemporaryFolder folder;
    const std::string path = (folder.path() / "0001_s.sql").string();
    sockaddr_un address{};
    REQUIRE(path.size() < sizeof(address.sun_path));
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    CHECK(complaint(folder) == "0001_s.sql: is a socket");
    ::close(socket);
  }

  TEST_CASE("a file over the limit is refused, one at the limit is read") {
    const TemporaryFolder folder;
    folder.write("0001_a.sql", good_body);
    const std::size_t size = std::string(good_body).size();
    CHECK(complaint(folder, {}, {.file_size = size}) == "nothing");
    CHECK(complaint(folder, {}, {.file_size = size - 1}) ==
          "0001_a.sql: is larger than " + std::to_string(size - 1) + " bytes");
  }

  TEST_CASE("a file in the folder's place is refused") {
    const TemporaryFolder folder;
    folder.write("versions", "x");
    CHECK(complaint(folder, "versions") == "versions: is not a folder");
    CHECK(complaint(folder, "versions/below") == "versions/below: is not a folder");
  }

  TEST_CASE("a folder that may not be read is refused, not empty") {
    const TemporaryFolder folder;
    fs::create_directory(folder.path() / "versions");
    fs::permissions(folder.path() / "versions", fs::perms::none);
    if (::geteuid() == 0) {
      MESSAGE("skipped: root may read everything");
    } else {
      CHECK(complaint(folder, "versions") == "versions: cannot be opened: Permission denied");
    }
    fs::permissions(folder.path() / "versions", fs::perms::owner_all);
  }

  TEST_CASE("a folder whose name has too many letters is refused, not empty") {
    const TemporaryFolder folder;
    CHECK(
        complaint(folder, std::string(300, 'a')).ends_with("cannot be opened: File name too long"));
  }

  TEST_CASE("a file that may not be read is a finding") {
    const TemporaryFolder folder;
    fs::permissions(folder.write("0001_a.sql", good_body), fs::perms::none);
    if (::geteuid() == 0) {
      MESSAGE("skipped: root may read everything");
    } else {
      CHECK(complaint(folder) == "0001_a.sql: cannot be opened: Permission denied");
    }
  }
}
