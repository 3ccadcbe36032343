#include "cli/invocation.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/text.h"

namespace tenantctl::cli {
namespace {

// A column takes text only.
std::string shown_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : escaped(value);
}

std::string os_user() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the program has one thread
  const passwd* entry = ::getpwuid(::geteuid());
  return entry == nullptr ? fmt::to_string(::geteuid()) : escaped(entry->pw_name);
}

std::string host() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? escaped(name.data()) : "";
}

std::string job() {
  const std::string github = shown_variable("GITHUB_RUN_ID");
  if (!github.empty()) {
    return fmt::format("{}/{}/actions/runs/{}", shown_variable("GITHUB_SERVER_URL"),
                       shown_variable("GITHUB_REPOSITORY"), github);
  }
  for (const char* name : {"CI_JOB_URL", "BUILD_URL", "BUILDKITE_BUILD_URL", "CIRCLE_BUILD_URL"}) {
    const std::string url = shown_variable(name);
    if (!url.empty())
      return url;
  }
  return "";
}

}  // namespace

RunStart invocation() {
  RunStart start;
  start.os_user = os_user();
  start.host = host();
  start.job = job();
  start.tool_version = TENANTCTL_VERSION;
  return start;
}

}  // namespace tenantctl::cli
