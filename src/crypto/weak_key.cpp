#include "crypto/weak_key.h"

#include <array>

#include <fmt/format.h>

namespace domicile::crypto {
namespace {

constexpr int kBitsMin = 2048;
constexpr int kBitsMax = 8192;
constexpr unsigned kGenerator = 65537;

// The first primes after 2, as in the generator's primorial for keys of 512 bits and more. A random
// modulus passes all of them with a probability below 2^-27.
constexpr std::array<unsigned, 38> kPrimes = {
    3,  5,  7,  11, 13, 17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
    73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};

bool in_subgroup(unsigned residue, unsigned prime) {
  unsigned power = 1;
  do {
    if (power == residue) return true;
    power = power * (kGenerator % prime) % prime;
  } while (power != 1);
  return false;
}

bool has_roca_fingerprint(const BIGNUM* n) {
  for (unsigned prime : kPrimes) {
    if (!in_subgroup(static_cast<unsigned>(BN_mod_word(n, prime)), prime)) return false;
  }
  return true;
}

}  // namespace

Result<void> check_rsa(const BIGNUM* n, const BIGNUM* e) {
  const int bits = BN_num_bits(n);
  if (bits < kBitsMin || bits > kBitsMax) {
    return fail(Code::invalid,
                fmt::format("an RSA key of {} bits: use {} to {}", bits, kBitsMin, kBitsMax));
  }
  if (!BN_is_odd(n)) return fail(Code::invalid, "an RSA modulus that is even");
  if (!BN_is_odd(e) || BN_num_bits(e) > 64 || BN_num_bits(e) < 17) {
    return fail(Code::invalid, "an RSA exponent that is even, below 65537 or longer than 64 bits");
  }
  if (has_roca_fingerprint(n)) {
    return fail(Code::invalid,
                "an RSA key with the ROCA weakness (CVE-2017-15361): make a new one");
  }
  return {};
}

}  // namespace domicile::crypto
