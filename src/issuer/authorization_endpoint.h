// GET and POST /oauth2/authorize: a person signs in with a browser (RFC 6749 section 4.1 with PKCE,
// RFC 9207, OpenID Connect Core 1.0), and /oauth2/logout (RP-Initiated Logout 1.0).
//
// The organization comes first: `organization` in the query (a short name or a domain), else a page
// that asks for it. Any region may be asked: the browser is sent to the organization's home with
// the same query before anybody has typed a name or a password, so that nothing personal reaches
// another region, and an application needs one address to send people to. A name that nobody has
// leads to some region too, always the same one, and fails there like a wrong password.
//
// The application learns a code, which counts once and for a minute; the person stays signed in at
// this region in this browser until the session ends. Thread-safe; may block.
#pragma once

#include <chrono>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "issuer/authorize_request.h"
#include "issuer/browser.h"
#include "issuer/evidence.h"
#include "issuer/options.h"
#include "issuer/password_check.h"
#include "issuer/revocation_list.h"

namespace domicile::issuer {

class AuthorizationEndpoint {
 public:
  // `questions` bounds how often an address may ask where an organization is, `addresses` how often
  // it may fail.
  AuthorizationEndpoint(const IssuerOptions& options, const IssuerPorts& ports,
                        const Locator& locator, PasswordCheck& passwords,
                        RevocationList& revocations, Throttle& questions, Throttle& addresses);

  http::Response authorize(const http::Request& request);
  http::Response sign_out(const http::Request& request);

 private:
  struct Visit;
  template <typename T>
  using Or = std::expected<T, http::Response>;

  Or<Visit> open(const http::Request& request);
  Or<void> locate(Visit& visit);
  Or<AuthorizeRequest> identify(const Visit& visit);
  Or<domain::OrganizationView> home(const Visit& visit, const domain::OrgKey& key);
  // With its access tokens, on this node at once.
  Result<void> end_session(const store::BrowserSession& session, std::int64_t now_s);
  http::Response show(Visit& visit);
  http::Response sign_in(Visit& visit);
  http::Response finish(const Visit& visit, const AuthorizeRequest& wanted,
                        const store::BrowserSession& session, std::string_view method);
  http::Response ask_organization(const Visit& visit, std::string_view error, int status);
  http::Response ask_password(const Visit& visit, const AuthorizeRequest& wanted,
                              std::string_view error, std::string_view login, int status);
  http::Response locked(const Visit& visit, const AuthorizeRequest& wanted, std::string_view login,
                        std::chrono::seconds wait);
  http::Response refuse(const AuthorizeRequest& wanted, const AuthorizeError& error) const;
  http::Response with_browser(const Visit& visit, http::Response response) const;
  http::Response signed_out(const Form& parameters);

  const IssuerOptions& options_;
  IssuerPorts ports_;
  const Locator& locator_;
  PasswordCheck& passwords_;
  RevocationList& revocations_;
  Throttle& questions_;
  Throttle& addresses_;
  Evidence evidence_;
  BrowserCookies cookies_;
  FormGuard forms_;
};

}  // namespace domicile::issuer
