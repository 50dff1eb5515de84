// For the tests of this module: hand-made tokens, right ones and wrong ones.
#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/signing_key.h"
#include "token/token_signer.h"
#include "token/token_verifier.h"

namespace domicile::token::testing {

inline constexpr std::int64_t kNow = 1'767'225'600;  // 2026-01-01T00:00:00Z

inline const crypto::SigningKey& shared_key(crypto::Algorithm algorithm) {
  static const crypto::SigningKey es256 =
      crypto::SigningKey::generate(crypto::Algorithm::es256).value();
  static const crypto::SigningKey eddsa =
      crypto::SigningKey::generate(crypto::Algorithm::eddsa).value();
  static const crypto::SigningKey rs256 =
      crypto::SigningKey::generate(crypto::Algorithm::rs256).value();
  if (algorithm == crypto::Algorithm::es256) return es256;
  return algorithm == crypto::Algorithm::eddsa ? eddsa : rs256;
}

inline std::string payload(std::string_view replace = "", std::string_view with = "") {
  std::string text =
      R"({"iss":"https://ca.test","sub":"u1","aud":"domicile","exp":1767226500,"nbf":1767225600,"iat":1767225600,)"
      R"("jti":"j1","client_id":"web","org":"7","region":"ca-central-1","epoch":3,"roles":["instructor"],)"
      R"("scope":"courses:write courses:read"})";
  if (!replace.empty()) {
    const auto at = text.find(replace);
    EXPECT_NE(at, std::string::npos) << replace;
    text.replace(at, replace.size(), with);
  }
  return text;
}

inline std::string token_of(std::string_view header_json, std::string_view payload_json,
                            const crypto::SigningKey& key) {
  const std::string input = to_base64url(header_json) + '.' + to_base64url(payload_json);
  return input + '.' + to_base64url(key.sign(input).value());
}

inline constexpr std::string_view kHeader = R"({"alg":"ES256","kid":"es","typ":"at+jwt"})";

inline std::shared_ptr<const KeySet> key_set() {
  return KeySet::create({{"es", shared_key(crypto::Algorithm::es256).public_key()},
                         {"ed", shared_key(crypto::Algorithm::eddsa).public_key()},
                         {"rs", shared_key(crypto::Algorithm::rs256).public_key()}})
      .value();
}

inline TokenVerifier verifier(VerifierOptions options = {}) {
  return TokenVerifier(std::move(options),
                       {{"https://ca.test", domain::RegionId("ca-central-1"), key_set()}});
}

}  // namespace domicile::token::testing
