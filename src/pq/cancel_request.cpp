#include "pq/cancel_request.h"

#include <libpq-fe.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>

namespace tenantctl::pq {
namespace {

// The parent's sockets and pipes must not stay open because of a child that waits.
void close_all() {
  rlimit limit{};
  const bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
  const auto end = static_cast<int>(std::min<rlim_t>(known ? limit.rlim_cur : 1024, 65'536));
  for (int descriptor = 0; descriptor < end; ++descriptor) {
    ::close(descriptor);
  }
}

[[noreturn]] void ask(PGcancel* request, std::chrono::seconds limit) {
  for (const int number : {SIGALRM, SIGINT, SIGTERM}) {
    std::signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  ::alarm(static_cast<unsigned>(limit.count()));
  close_all();
  std::array<char, 256> error{};
  PQcancel(request, error.data(), static_cast<int>(error.size()));
  ::_exit(0);
}

}  // namespace

CancelRequest::~CancelRequest() {
  if (is_under_way()) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
}

void CancelRequest::send(const Connection& connection, std::chrono::seconds limit) noexcept {
  if (is_under_way()) {
    return;
  }
  PGcancel* request = PQgetCancel(connection.handle());
  if (request == nullptr) {
    return;
  }
  child_ = ::fork();
  if (child_ == 0) {
    ask(request, limit);
  }
  child_ = std::max(child_, 0);
  PQfreeCancel(request);
}

bool CancelRequest::is_under_way() noexcept {
  if (child_ != 0 && ::waitpid(child_, nullptr, WNOHANG) != 0) {
    child_ = 0;
  }
  return child_ != 0;
}

}  // namespace tenantctl::pq
