// POST /oauth2/token (RFC 6749 section 3.2): client_credentials, authorization_code with PKCE,
// password for first-party applications, and refresh_token with rotation (a token presented twice
// ends its whole family, RFC 9700 section 4.14), and token exchange (RFC 8693) for external
// identity providers. Also what becomes of a token: revocation and introspection.
//
// A person signs in at the home region of the organization only. Whatever is wrong about
// organization, person or password is one answer after the same work: no argon2id is skipped.
// Thread-safe; may block.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "http/message.h"
#include "issuer/client_authentication.h"
#include "issuer/evidence.h"
#include "issuer/external_identities.h"
#include "issuer/oauth_answer.h"
#include "issuer/options.h"
#include "issuer/password_check.h"
#include "issuer/revocation_list.h"
#include "issuer/roles.h"

namespace domicile::issuer {

class TokenEndpoint {
 public:
  TokenEndpoint(const IssuerOptions& options, const IssuerPorts& ports, const RoleBook& roles,
                const Locator& locator, KeyRing& keys, PasswordCheck& passwords,
                RevocationList& revocations, ExternalIdentities& external, Throttle& addresses);

  http::Response token(const http::Request& request);
  // POST /oauth2/revoke (RFC 7009): refresh and access tokens, by the client they were given to.
  http::Response revoke(const http::Request& request);
  // POST /oauth2/introspect (RFC 7662), for clients with a secret: an application about its own
  // tokens, a service about those of its organization. Everything else is inactive to them.
  http::Response introspect(const http::Request& request);

 private:
  struct Call;    // one request on its way
  struct Rights;  // what a subject may do, and in what it may do it
  using Answer = std::expected<http::Response, http::Response>;

  http::Response answer_token(const http::Request& request);
  http::Response answer_revoke(const http::Request& request);
  http::Response answer_introspect(const http::Request& request);
  // The body of `answer`, and what it costs the caller's address.
  http::Response throttled(const http::Request& request,
                           http::Response (TokenEndpoint::*answer)(const http::Request&));
  std::expected<Call, http::Response> open(const http::Request& request);
  Answer client_credentials(Call& call);
  Answer password(Call& call);
  Answer refresh(Call& call);
  Answer code(Call& call);
  Answer exchange(Call& call);

  // The access tokens of a sign-in whose refresh tokens have ended.
  Result<void> call_back(const store::RefreshFamily& family, std::int64_t now_s);
  // An access token of this issuer that is valid and not called back.
  Result<domain::Principal> read_access_token(const Call& call, std::string_view token) const;
  std::expected<std::string, http::Response> id_token(const Call& call,
                                                      const store::AuthorizationCode& code) const;
  store::RefreshFamily new_family(const Call& call, const domain::UserId& user,
                                  const domain::OrgKey& organization,
                                  std::vector<domain::Permission> scope, std::string session) const;
  std::expected<domain::OrganizationView, http::Response> home(Call& call,
                                                               std::string_view organization);
  std::expected<store::UserAccount, http::Response> check_password(
      Call& call, const std::optional<domain::OrganizationView>& at);
  std::expected<Rights, http::Response> rights_of(const store::UserAccount& user,
                                                  const store::ClientAccount& client,
                                                  const domain::OrganizationView& at);
  // To the most that the client may do for anybody.
  static void limit(Rights& rights, const store::ClientAccount& client);
  std::expected<void, http::Response> narrow(Rights& rights,
                                             const std::vector<domain::Permission>& wanted);
  std::expected<std::string, http::Response> access_token(const Call& call, const Rights& rights,
                                                          std::string& id);
  http::Response answer(const Call& call, const Rights& rights, std::string token,
                        std::string_view refresh_token, std::string_view id_token = {}) const;

  domain::Event issued_event(const Call& call, const Rights& rights,
                             std::string_view token_id) const;
  http::Response refused(domain::Event event, http::Response answer);
  domain::Event denied_event(const Call& call, std::string_view organization,
                             std::string_view cause) const;

  const IssuerOptions& options_;
  IssuerPorts ports_;
  const RoleBook& roles_;
  const Locator& locator_;
  KeyRing& keys_;
  PasswordCheck& passwords_;
  RevocationList& revocations_;
  ExternalIdentities& external_;
  Evidence evidence_;
  Throttle& addresses_;
};

}  // namespace domicile::issuer
