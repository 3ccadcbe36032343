#include "tenant/plumbing.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace tenantctl {
namespace {

void set_nonblocking(const FileDescriptor* file) {
  if (file != nullptr && file->is_open())
    ::fcntl(file->number(), F_SETFL, ::fcntl(file->number(), F_GETFL) | O_NONBLOCK);
}

/// A Flow and how far it is.
class Current {
 public:
  explicit Current(Flow flow) : flow_(std::move(flow)), waiting_(std::move(flow_.before)) {
    set_nonblocking(flow_.from);
    set_nonblocking(flow_.to);
  }

  bool is_over() const { return over_; }

  pollfd wish() const {
    const bool writes = !waiting_.empty();
    return {.fd = writes ? flow_.to->number() : flow_.from->number(),
            .events = static_cast<short>(writes ? POLLOUT : POLLIN),
            .revents = 0};
  }

  void advance() {
    if (waiting_.empty())
      read();
    else
      write();
    if (at_end_ && waiting_.empty())
      finish();
  }

 private:
  void read() {
    std::array<char, 65536> block{};
    const ssize_t count = ::read(flow_.from->number(), block.data(), block.size());
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (count < 0)
      throw Error(fmt::format("cannot read what is to be copied: {}", std::strerror(errno)));
    const std::string_view bytes(block.data(), static_cast<std::size_t>(count));
    if (flow_.on_bytes)
      flow_.on_bytes(bytes);
    if (flow_.to != nullptr)
      waiting_ = bytes;
    if (count > 0)
      return;
    at_end_ = true;
    if (flow_.at_end)
      waiting_ = flow_.at_end();
  }

  void write() {
    const ssize_t count = ::write(flow_.to->number(), waiting_.data(), waiting_.size());
    if (count >= 0) {
      waiting_.erase(0, static_cast<std::size_t>(count));
    } else if (errno != EAGAIN && errno != EINTR) {
      finish();
    }
  }

  void finish() {
    over_ = true;
    flow_.from->close();
    if (flow_.to != nullptr)
      flow_.to->close();
  }

  Flow flow_;
  std::string waiting_;
  bool at_end_ = false;
  bool over_ = false;
};

}  // namespace

void pump(std::vector<Flow> flows, const std::function<bool()>& interrupted) {
  std::vector<Current> currents;
  for (Flow& flow : flows)
    currents.emplace_back(std::move(flow));
  constexpr int patience = 200;
  while (true) {
    std::erase_if(currents, [](const Current& current) { return current.is_over(); });
    if (currents.empty())
      return;
    if (interrupted())
      throw InterruptedError("interrupted: nothing was kept");
    std::vector<pollfd> wishes;
    for (const Current& current : currents)
      wishes.push_back(current.wish());
    if (::poll(wishes.data(), wishes.size(), patience) <= 0)
      continue;
    for (std::size_t i = 0; i < currents.size(); ++i) {
      if (wishes[i].revents != 0)
        currents[i].advance();
    }
  }
}

}  // namespace tenantctl
