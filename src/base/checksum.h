#pragma once

#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace tenantctl {

/// SHA-256 of `bytes` as 64 lower-case hexadecimal digits (FIPS 180-4, by OpenSSL's libcrypto).
/// Throws Error if libcrypto has no SHA-256, as under some provider configurations.
std::string sha256_hex(std::string_view bytes);

/// The same for bytes that pass by in pieces. Throws as sha256_hex().
class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  /// Of all that was added; to be called once.
  std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

}  // namespace tenantctl
