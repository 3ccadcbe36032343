#include "support/fault_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "support/descriptor.h"
#include "support/project.h"

namespace tenantctl::testing {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr)
    throw std::runtime_error(std::string(name) + " is not set (run the test by scripts/test)");
  return value;
}

std::vector<std::string> command(const std::vector<std::string>& options, int port,
                                 const std::filesystem::path& log) {
  std::vector<std::string> words{(source_folder() / "tests/proxy/fault_proxy.py").string(),
                                 "--port", std::to_string(port), "--log", log.string()};
  words.insert(words.end(), options.begin(), options.end());
  words.push_back(variable("PGHOST"));
  words.push_back(variable("PGPORT"));
  return words;
}

}  // namespace

int free_port() {
  const Descriptor probe(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(probe.number(), generic, size) != 0 ||
      ::getsockname(probe.number(), generic, &size) != 0)
    throw std::runtime_error("no port for a test");
  return ntohs(address.sin_port);
}

FaultProxy::FaultProxy(const std::vector<std::string>& options)
    : port_(free_port()), process_(command(options, port_, folder_.path() / "strikes")) {
  if (!process_.shows(std::to_string(port_) + "\n"))
    throw std::runtime_error("the proxy did not start: " + process_.wait().err);
}

std::string FaultProxy::conninfo(const TestDatabase& database) const {
  return "postgresql://" + variable("PGUSER") + "@127.0.0.1:" + std::to_string(port_) + "/" +
         database.name() + "?sslmode=disable&gssencmode=disable";
}

std::vector<std::string> FaultProxy::strikes() const {
  std::ifstream file(folder_.path() / "strikes");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  return lines;
}

}  // namespace tenantctl::testing
