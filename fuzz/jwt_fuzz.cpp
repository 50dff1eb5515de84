// Any bytes as an access token: refused, never a crash. A token that was not signed is never believed.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "base/encoding.h"
#include "token/claims.h"
#include "token/json_reader.h"
#include "token/token_signer.h"
#include "token/token_verifier.h"

using namespace domicile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key = crypto::SigningKey::generate(crypto::Algorithm::eddsa).value();
  static token::TokenVerifier verifier(
      {}, {{"https://ca.test", domain::RegionId("ca-central-1"),
            token::KeySet::create({{"k", key.public_key()}}).value()}});
  static const token::TokenSigner signer("k", key);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::int64_t kNow = 1767225600;

  // As it stands, and as header or payload of a token with the other parts in place.
  if (verifier.verify(text, kNow)) std::abort();
  const std::string payload = to_base64url(text);
  const std::string header = to_base64url(R"({"alg":"EdDSA","kid":"k","typ":"at+jwt"})");
  if (verifier.verify(header + '.' + payload + '.' + std::string(86, 'A'), kNow)) std::abort();
  if (verifier.verify(payload + '.' + header + '.' + std::string(86, 'A'), kNow)) std::abort();

  // The claims behind a good signature: what passes must be a Principal that may stand in a header line.
  const auto signed_token = signer.sign_json("at+jwt", text);
  const auto principal = verifier.verify(*signed_token, kNow);
  if (principal) {
    for (const char c :
         principal->subject.text() + principal->organization.text() + principal->session) {
      if (c <= ' ' || c > '~') std::abort();
    }
    if (principal->expires_at <= kNow - 30) std::abort();
  }

  // The strict base64url decoder agrees with the plain one.
  std::string decoded;
  const auto plain = from_base64url(text);
  if (token::append_base64url(text, decoded) != plain.has_value()) std::abort();
  if (plain && decoded != *plain) std::abort();
  return 0;
}
