#include "tlog/signature_type.h"

#include <fmt/format.h>

#include "crypto/sha256.h"

namespace domicile::tlog {
namespace {

constexpr std::size_t kEd25519Bytes = 64;
constexpr std::size_t kTimeBytes = 8;

std::uint64_t big_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (unsigned char c : bytes) value = value << 8 | c;
  return value;
}

}  // namespace

std::optional<SignatureType> parse_signature_type(unsigned char byte) {
  switch (static_cast<SignatureType>(byte)) {
    case SignatureType::ed25519: return SignatureType::ed25519;
    case SignatureType::cosignature_v1: return SignatureType::cosignature_v1;
  }
  return std::nullopt;
}

std::uint32_t key_id(std::string_view name, SignatureType type, std::string_view public_key) {
  const auto digest =
      crypto::sha256(fmt::format("{}\n{}{}", name, static_cast<char>(type), public_key));
  return static_cast<std::uint32_t>(big_endian(crypto::view(digest).substr(0, 4)));
}

std::optional<SignatureForm> signature_form(SignatureType type, std::string_view text,
                                            std::string_view bytes) {
  switch (type) {
    case SignatureType::ed25519:
      if (bytes.size() != kEd25519Bytes) return std::nullopt;
      return SignatureForm{std::string(text), bytes};
    case SignatureType::cosignature_v1: {
      if (bytes.size() != kTimeBytes + kEd25519Bytes) return std::nullopt;
      const std::uint64_t time_s = big_endian(bytes.substr(0, kTimeBytes));
      if (time_s > INT64_MAX) return std::nullopt;
      return SignatureForm{cosignature_message(time_s, text), bytes.substr(kTimeBytes), time_s};
    }
  }
  return std::nullopt;
}

std::string cosignature_message(std::uint64_t time_s, std::string_view text) {
  return fmt::format("cosignature/v1\ntime {}\n{}", time_s, text);
}

std::string cosignature_time(std::uint64_t time_s) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(time_s >> shift & 0xff);
  return bytes;
}

}  // namespace domicile::tlog
