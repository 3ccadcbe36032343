#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "tenant/child_process.h"

namespace tenantctl {

/// Bytes on their way from one open file to another, or to a function. Views what it connects.
struct Flow {
  FileDescriptor* from = nullptr;
  FileDescriptor* to = nullptr;  ///< closed behind the last byte
  std::function<void(std::string_view)> on_bytes = {};
  std::string before = {};  ///< goes first
  /// At the end of what comes; its answer goes last.
  std::function<std::string()> at_end = {};
};

/// Moves bytes along all flows until each is at its end, in one loop, never blocking but in it. A
/// reader that goes away ends its flow: what it has to say is its own business.
///
/// Throws InterruptedError when `interrupted` says so, Error if a file cannot be read.
void pump(std::vector<Flow> flows, const std::function<bool()>& interrupted);

}  // namespace tenantctl
