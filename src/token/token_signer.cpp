#include "token/token_signer.h"

#include <nlohmann/json.hpp>

#include "base/encoding.h"

namespace domicile::token {
namespace {

nlohmann::json grant_json(const domain::Grant& grant) {
  auto permissions = nlohmann::json::array();
  for (const auto& permission : grant.permissions) permissions.push_back(permission.text());
  return {{"id", grant.id},
          {"org", grant.organization.text()},
          {"permissions", std::move(permissions)},
          {"exp", grant.expires_at}};
}

}  // namespace

TokenSigner::TokenSigner(std::string kid, crypto::SigningKey key)
    : kid_(std::move(kid)), key_(std::move(key)) {}

Result<std::string> TokenSigner::sign(const AccessClaims& claims) const {
  nlohmann::json payload = {{"iss", claims.issuer},
                            {"sub", claims.subject.text()},
                            {"aud", claims.audience},
                            {"exp", claims.expires_at},
                            {"nbf", claims.issued_at},
                            {"iat", claims.issued_at},
                            {"jti", claims.token_id},
                            {"client_id", claims.client_id},
                            {"org", claims.organization.text()},
                            {"region", claims.region.text()},
                            {"epoch", claims.epoch}};
  if (!claims.session.empty()) payload["sid"] = claims.session;
  auto roles = nlohmann::json::array();
  for (const auto& role : claims.roles) roles.push_back(role.text());
  payload["roles"] = std::move(roles);
  std::string scope;
  for (const auto& permission : claims.permissions) {
    if (!scope.empty()) scope.push_back(' ');
    scope += permission.text();
  }
  payload["scope"] = std::move(scope);
  if (!claims.grants.empty()) {
    auto grants = nlohmann::json::array();
    for (const auto& grant : claims.grants) grants.push_back(grant_json(grant));
    payload["grants"] = std::move(grants);
  }
  return sign_json("at+jwt", payload.dump());
}

Result<std::string> TokenSigner::sign_json(std::string_view typ,
                                           std::string_view payload_json) const {
  const nlohmann::json header = {
      {"alg", crypto::to_string(algorithm())}, {"kid", kid_}, {"typ", typ}};
  std::string token = to_base64url(header.dump()) + '.' + to_base64url(payload_json);
  const std::string signature = TRY(key_.sign(token));
  return token + '.' + to_base64url(signature);
}

}  // namespace domicile::token
