#include "crypto/sealed.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "crypto/openssl_ptr.h"
#include "crypto/random.h"

namespace domicile::crypto {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

const EVP_CIPHER* fetched_cipher() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK(cipher != nullptr);
  return cipher;
}

}  // namespace

Result<SealingKey> SealingKey::create(Secret key) {
  if (key.reveal().size() != kKeyBytes) {
    return fail(Code::invalid, fmt::format("a sealing key has {} bytes, this one {}", kKeyBytes,
                                           key.reveal().size()));
  }
  return SealingKey(std::move(key));
}

std::string SealingKey::seal(const Secret& plain, std::string_view context) const {
  OpensslPtr<EVP_CIPHER_CTX> cipher(EVP_CIPHER_CTX_new());
  CHECK(cipher != nullptr);
  const std::string nonce = random_bytes(kNonceBytes);
  const std::string_view text = plain.reveal();
  std::string out(text.size(), '\0');
  std::string tag(kTagBytes, '\0');
  int length = 0;
  CHECK(EVP_EncryptInit_ex2(cipher.get(), fetched_cipher(), bytes_of(key_.reveal()),
                            bytes_of(std::string_view(nonce)), nullptr) == 1);
  CHECK(EVP_EncryptUpdate(cipher.get(), nullptr, &length, bytes_of(context),
                          static_cast<int>(context.size())) == 1);
  CHECK(EVP_EncryptUpdate(cipher.get(), bytes_of(out), &length, bytes_of(text),
                          static_cast<int>(text.size())) == 1);
  CHECK(EVP_EncryptFinal_ex(cipher.get(), bytes_of(tag), &length) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag.data()) == 1);
  return nonce + out + tag;
}

Result<Secret> SealingKey::open(std::string_view sealed, std::string_view context) const {
  const auto refused = [] {
    ERR_clear_error();
    return fail(Code::denied,
                "the sealed value does not open: another key, another place, or changed bytes");
  };
  if (sealed.size() < kNonceBytes + kTagBytes) return refused();
  const auto nonce = sealed.substr(0, kNonceBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  const auto text = sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  OpensslPtr<EVP_CIPHER_CTX> cipher(EVP_CIPHER_CTX_new());
  std::string out(text.size(), '\0');
  unsigned char last[16];
  int length = 0;
  const bool good =
      cipher != nullptr &&
      EVP_DecryptInit_ex2(cipher.get(), fetched_cipher(), bytes_of(key_.reveal()), bytes_of(nonce),
                          nullptr) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &length, bytes_of(context),
                        static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), bytes_of(out), &length, bytes_of(text),
                        static_cast<int>(text.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), last, &length) == 1;
  Secret plain(std::move(out));  // wiped also when it is thrown away
  if (!good) return refused();
  return plain;
}

}  // namespace domicile::crypto
