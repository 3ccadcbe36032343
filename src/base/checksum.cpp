#include "base/checksum.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"

namespace tenantctl {
namespace {

void check(int answer) {
  if (answer != 1) {
    throw Error("libcrypto cannot compute SHA-256",
                "Check OpenSSL's configuration; a provider with SHA-256 must be active.");
  }
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  // Looked for once: EVP_sha256() has libcrypto search its providers at each use.
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  check(context_ && algorithm != nullptr ? EVP_DigestInit_ex(context_.get(), algorithm, nullptr)
                                         : 0);
}

void Sha256::add(std::string_view bytes) {
  check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

std::string Sha256::hex() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  check(EVP_DigestFinal_ex(context_.get(), digest.data(), &length));
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  hex.reserve(std::size_t{2} * length);
  for (unsigned int i = 0; i < length; ++i) {
    hex += digits[digest.at(i) >> 4U];
    hex += digits[digest.at(i) & 0xFU];
  }
  return hex;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 sha;
  sha.add(bytes);
  return sha.hex();
}

}  // namespace tenantctl
