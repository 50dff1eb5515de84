// What a request at the token endpoint carries along. For the .cpp files of this module.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "issuer/token_endpoint.h"

namespace domicile::issuer {

struct TokenEndpoint::Call {
  const http::Request& request;
  Form form;
  store::ClientAccount client;
  std::shared_ptr<const domain::RegistrySnapshot> snapshot;
  std::int64_t now_s = 0;
  std::int64_t lifetime_s = 0;  // of the access token
  std::string grant_type;
  std::vector<domain::Permission> scope;  // asked for; empty: everything
};

struct TokenEndpoint::Rights {
  domain::UserId subject;
  domain::OrganizationView organization;
  std::vector<domain::RoleName> roles;
  std::vector<domain::Permission> permissions;
  std::vector<domain::Grant> grants;
  std::string session{};  // the claim sid; "" where nobody signed in
};

// A refresh token, new, and what is stored of it.
std::string new_refresh_token();
std::string refresh_token_hash(std::string_view token);

std::string authorization_code_hash(std::string_view code);

http::Response unavailable();

}  // namespace domicile::issuer
