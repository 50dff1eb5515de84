// The kinds of signature that stand on a note (c2sp.org/signed-note, "Signature types"), and what
// each of them signs. This is the one switch over algorithms: a new one, such as the ML-DSA-44
// cosignature (0x06), gets its case here and nowhere else. The type is part of the key and of its
// id, so a signature cannot choose it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace domicile::tlog {

enum class SignatureType : unsigned char {
  ed25519 = 0x01,         // over the note's text: what logs sign checkpoints with
  cosignature_v1 = 0x04,  // Ed25519 with a time (c2sp.org/tlog-cosignature): what witnesses sign
};

std::optional<SignatureType> parse_signature_type(unsigned char byte);

// The 32 bits by which a signature line names its key:
// SHA-256(name || 0x0A || type || public key)[:4], big-endian.
std::uint32_t key_id(std::string_view name, SignatureType type, std::string_view public_key);

// A signature as it stands on a line (behind the key id), taken apart.
struct SignatureForm {
  std::string message;         // what the key signed
  std::string_view signature;  // Ed25519's 64 bytes
  std::uint64_t time_s = 0;    // Unix seconds a witness stated; 0: the type has none
};
// nullopt: not of the type's form.
std::optional<SignatureForm> signature_form(SignatureType type, std::string_view text,
                                            std::string_view bytes);

// The message of a cosignature/v1 over a checkpoint's text, and the eight bytes that go before it.
std::string cosignature_message(std::uint64_t time_s, std::string_view text);
std::string cosignature_time(std::uint64_t time_s);

}  // namespace domicile::tlog
