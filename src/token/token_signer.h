// Makes the access tokens of a regional issuer (RFC 9068: header typ "at+jwt"). Immutable,
// thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/signing_key.h"
#include "domain/principal.h"

namespace domicile::token {

struct AccessClaims {
  std::string issuer;
  std::string audience = "domicile";
  std::string client_id;
  domain::UserId subject;
  domain::OrgKey organization{};
  domain::RegionId region{};
  domain::Epoch epoch = 0;
  std::vector<domain::RoleName> roles{};
  std::vector<domain::Permission> permissions{};  // become `scope`
  std::vector<domain::Grant> grants{};
  std::string token_id{};      // jti
  std::string session{};       // sid; "": none
  std::int64_t issued_at = 0;  // Unix seconds; also nbf
  std::int64_t expires_at = 0;
};

class TokenSigner {
 public:
  // `kid` is how the issuer's JWKS names the key.
  TokenSigner(std::string kid, crypto::SigningKey key);

  const std::string& kid() const { return kid_; }
  crypto::Algorithm algorithm() const { return key_.algorithm(); }

  Result<std::string> sign(const AccessClaims& claims) const;
  // Any JWS in compact form; `typ` goes into the header. For other kinds of tokens, and for tests.
  Result<std::string> sign_json(std::string_view typ, std::string_view payload_json) const;

 private:
  std::string kid_;
  crypto::SigningKey key_;
};

}  // namespace domicile::token
