#include "crypto/hmac.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/check.h"

namespace domicile::crypto {
namespace {

EVP_MAC* fetched_hmac() {
  static EVP_MAC* const mac =
      EVP_MAC_fetch(nullptr, "HMAC", nullptr);  // lives as long as the process
  CHECK(mac != nullptr);
  return mac;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

HmacSha256::HmacSha256(const Secret& key) : context_(EVP_MAC_CTX_new(fetched_hmac())) {
  CHECK(context_ != nullptr);
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  const auto bytes = key.reveal();
  CHECK(EVP_MAC_init(context_.get(), bytes_of(bytes), bytes.size(), parameters) == 1);
}

HmacSha256::HmacSha256(OpensslPtr<EVP_MAC_CTX> context) : context_(std::move(context)) {}

HmacSha256 HmacSha256::clone() const {
  OpensslPtr<EVP_MAC_CTX> copy(EVP_MAC_CTX_dup(context_.get()));
  CHECK(copy != nullptr);
  return HmacSha256(std::move(copy));
}

Digest256 HmacSha256::mac(std::string_view message) {
  Digest256 out;
  std::size_t length = 0;
  CHECK(EVP_MAC_init(context_.get(), nullptr, 0, nullptr) == 1);  // again, under the same key
  CHECK(EVP_MAC_update(context_.get(), bytes_of(message), message.size()) == 1);
  CHECK(EVP_MAC_final(context_.get(), out.data(), &length, out.size()) == 1);
  return out;
}

bool HmacSha256::verify(std::string_view message, std::string_view expected_mac) {
  return equal_constant_time(view(mac(message)), expected_mac);
}

}  // namespace domicile::crypto
