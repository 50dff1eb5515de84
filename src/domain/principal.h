// Who is asking, as a verified token or session says. Only the token and issuer modules make one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "domain/names.h"

namespace domicile::domain {

// Explicit, scoped, expiring permission to act in another organization of the same region.
struct Grant {
  std::string id;
  OrgKey organization;  // the one that may be acted in
  std::vector<Permission> permissions;
  std::int64_t expires_at = 0;  // Unix seconds
};

struct Principal {
  UserId subject;       // a user, or a client for client_credentials
  OrgKey organization;  // the principal's own organization
  RegionId region;      // region whose issuer vouches for the token
  std::string issuer;
  std::vector<RoleName> roles;
  std::vector<Permission> permissions;  // sorted: what roles and scopes come to
  std::vector<Grant> grants;
  std::string client_id;        // the application that the token was given to
  std::string token_id;         // jti
  std::string session;          // sid: the sign-in that it came from; "" for services
  std::int64_t issued_at = 0;   // Unix seconds
  std::int64_t expires_at = 0;  // Unix seconds
  Epoch epoch = 0;  // placement epoch under which the token was issued; 0: external issuer
};

}  // namespace domicile::domain
