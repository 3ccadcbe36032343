#pragma once

namespace tenantctl {

/// How a result is written to stdout.
enum class Format { text, json };

}  // namespace tenantctl
