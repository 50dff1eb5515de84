// Tokens of identity providers that are not Domicile's (Cognito, Keycloak, Entra ID, ...): an ID
// token or a JWT access token, verified under the provider's own keys and read by a mapping that
// the region's operator wrote. A provider is trusted for the organizations that it was bound to and
// for no others, whatever its tokens say.
//
// The checks of TokenVerifier hold here too (order, algorithms, strict JSON, kid needed, exp and
// iat whole seconds), with these differences: typ may be JWT, at+jwt or absent; nbf may be absent;
// an access token without `aud` counts when its client_id is one of the audiences (Amazon Cognito).
//
// A claim is named by its top-level name, or by a JSON Pointer (RFC 6901) when it begins with '/':
// "cognito:groups", "/realm_access/roles". One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/names.h"
#include "token/jws.h"

namespace domicile::token {

struct ExternalIssuer {
  std::string issuer;  // `iss`, compared as a whole
  std::string jwks_url;
  std::vector<std::string> audiences;  // at least one must be named by the token
  std::string subject_claim = "sub";
  std::string organization_claim;
  std::string roles_claim;  // "": nobody has roles by it
  bool any_organization = false;
  std::vector<domain::OrgKey> organizations;                   // unless any_organization; sorted
  std::map<std::string, domain::RoleName, std::less<>> roles;  // provider's group -> our role
};

struct ExternalIdentity {
  std::string issuer;
  std::string subject;  // the provider's; may be personal: only its hash goes on
  domain::OrgKey organization;
  std::vector<domain::RoleName> roles;  // those that the mapping knows; sorted
  std::int64_t expires_at = 0;
};

class ExternalVerifier {
 public:
  explicit ExternalVerifier(std::vector<ExternalIssuer> issuers);

  // Null: none, or given up.
  void set_keys(std::string_view issuer, std::shared_ptr<const KeySet> keys);
  // Code::unauthenticated with a reason of token_error.h; Code::denied with the reason
  // "organization_not_bound" for an organization that the provider does not speak for.
  Result<ExternalIdentity> verify(std::string_view jwt, std::int64_t now_s);
  // Set when the last refusal was for an unknown key: the issuer's keys may be worth a refresh.
  std::string_view issuer_to_refresh() const { return issuer_to_refresh_; }

 private:
  struct Trusted {
    ExternalIssuer rules;
    std::unique_ptr<JwsVerifier> keys;
  };
  Trusted* find(std::string_view issuer);

  std::vector<Trusted> issuers_;
  JsonReader header_reader_;
  JsonReader claims_reader_;
  Jws jws_;
  std::string issuer_to_refresh_;
};

}  // namespace domicile::token
