#pragma once

#include <string>
#include <string_view>

namespace tenantctl {

/// SHA-256 of `bytes` as 64 lower-case hexadecimal digits (FIPS 180-4, by OpenSSL's libcrypto).
/// Throws Error if libcrypto has no SHA-256, as under some provider configurations.
std::string sha256_hex(std::string_view bytes);

}  // namespace tenantctl
