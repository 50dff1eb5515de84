// Turns the bytes of an access token (JWS compact form: RFC 7515, RFC 7519, RFC 9068) into a
// Principal, or refuses them. Every issuer is bound to one region and brings its keys; whoever is
// not listed is unknown.
//
// The order is fixed: size and shape, header, issuer, key by `kid`, signature, and only then the
// claims are believed. The algorithm comes from the key; the header's `alg` must agree. `none` and
// HMAC do not exist here. Refused whole: duplicate member names at any level, invalid UTF-8,
// nesting beyond 8, non-canonical base64url, `crit`, `b64`, `zip`, embedded or referenced keys
// (jwk, jku, x5u, x5c), a missing or unknown `kid`, a `typ` that is not at+jwt, an issuer that does
// not belong to the region it claims, and iss, sub, aud, exp, nbf, iat, jti that are absent or of
// another type. exp and nbf are whole seconds (NumericDate) and checked with `skew_s`; a life
// longer than `lifetime_max_s` is refused.
//
// One thread: every loop has its own (contexts for signature checks live inside); Options and
// KeySets are shared between them. Errors are Code::unauthenticated with a reason of token_error.h;
// the message says which part was wrong and never quotes the token.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/principal.h"
#include "token/key_set.h"

namespace domicile::token {

struct TrustedIssuer {
  std::string issuer;  // `iss`, compared as a whole
  domain::RegionId region;
  std::shared_ptr<const KeySet> keys;
};

struct VerifierOptions {
  std::string audience = "domicile";
  std::int64_t skew_s = 30;
  std::int64_t lifetime_max_s = 24 * 3600;  // exp - iat
  std::size_t token_bytes_max = 8192;
};

class TokenVerifier {
 public:
  TokenVerifier(VerifierOptions options, std::vector<TrustedIssuer> issuers);
  ~TokenVerifier();
  TokenVerifier(TokenVerifier&&) noexcept;
  TokenVerifier& operator=(TokenVerifier&&) noexcept;

  Result<domain::Principal> verify(std::string_view jwt, std::int64_t now_s);

  // Adds the issuer, or replaces its keys and region. Empty its TokenCache entries in the same
  // breath.
  void trust(TrustedIssuer issuer);
  void distrust(std::string_view issuer);
  // Set when the last refusal was for an unknown `kid` of a known issuer: its keys may be worth a
  // refresh.
  std::string_view issuer_to_refresh() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace domicile::token
