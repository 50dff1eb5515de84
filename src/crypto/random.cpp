#include "crypto/random.h"

#include <openssl/rand.h>

#include "base/check.h"
#include "base/encoding.h"

namespace domicile::crypto {

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(count)) == 1);
  return out;
}

Secret random_secret(std::size_t count) { return Secret(random_bytes(count)); }

std::string random_text(std::size_t count) { return to_base64url(random_bytes(count)); }

}  // namespace domicile::crypto
