#include "digest/keyed_hash.h"

#include <bit>

namespace domicile::digest {
namespace {

struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  std::uint64_t squeeze() {
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

Result<KeyedHash> KeyedHash::create(const Secret& key) {
  const std::string_view bytes = key.reveal();
  if (bytes.size() != kKeyBytes)
    return fail(Code::invalid, "the key of a comparison has 16 bytes", "compare_key");
  const Hash128 words = Hash128::from(bytes);
  return KeyedHash(words.low, words.high);
}

Hash128 KeyedHash::operator()(std::string_view bytes) const {
  // The constants spell "somepseudorandomlygeneratedbytes"; 0xee asks for 128 bits.
  State s{k0_ ^ 0x736f6d6570736575, k1_ ^ 0x646f72616e646f6d ^ 0xee, k0_ ^ 0x6c7967656e657261,
          k1_ ^ 0x7465646279746573};
  const std::size_t whole = bytes.size() / 8 * 8;
  for (std::size_t at = 0; at < whole; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    s.absorb(word);
  }
  std::uint64_t last = 0;
  std::memcpy(&last, bytes.data() + whole, bytes.size() - whole);
  s.absorb(last | static_cast<std::uint64_t>(bytes.size()) << 56);
  s.v2 ^= 0xee;
  Hash128 out;
  out.low = s.squeeze();
  s.v1 ^= 0xdd;
  out.high = s.squeeze();
  return out;
}

}  // namespace domicile::digest
