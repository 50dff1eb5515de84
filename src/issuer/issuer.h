// A region's issuer: signs people and services of the organizations homed here in, and tells
// everybody the keys that its tokens are checked with. One Handler for these paths:
//
//   GET  /.well-known/openid-configuration   OpenID Connect Discovery 1.0, RFC 8414
//   GET  /.well-known/jwks.json              RFC 7517
//   GET, POST /oauth2/authorize, /oauth2/logout   sign-in and sign-out with a browser
//   POST /oauth2/token, /oauth2/revoke       RFC 6749, RFC 7009
//   POST /oauth2/introspect                  RFC 7662
//   POST /v1/discovery                       where does this organization sign in?
//
// handle() is thread-safe and blocks: mount it on worker threads. start() keeps the keys fresh on a
// thread of its own; while the directory was never reached there are no keys, tokens are refused
// with 503, and ready() is false. What the ports name must outlive the issuer.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "crypto/sealed.h"
#include "http/message.h"
#include "issuer/evidence.h"
#include "issuer/external_identities.h"
#include "issuer/options.h"
#include "issuer/password_check.h"
#include "issuer/revocation_list.h"
#include "issuer/roles.h"

namespace domicile::issuer {

class AuthorizationEndpoint;
class TokenEndpoint;

class Issuer {
 public:
  // Code::invalid when an option cannot be right.
  static Result<std::unique_ptr<Issuer>> create(IssuerOptions options, IssuerPorts ports,
                                                RoleBook roles,
                                                std::vector<token::ExternalIssuer> external,
                                                crypto::SealingKey sealing_key);
  ~Issuer();  // stops

  http::Response handle(const http::Request& request);

  // `changed` is called with the public keys whenever they change, first by start(): hand them to
  // the doors' verifiers.
  void on_keys(KeyRing::Changed changed);
  // `changed` is called with the access tokens that no longer count, whenever these change.
  void on_revocations(RevocationList::Changed changed);
  // Loads the keys (an error is logged and tried again) and goes on in the background.
  void start();
  void stop();
  // Takes administrators' changes from the directory's outbox into the event log; start() does so
  // every few seconds.
  Result<void> drain_outbox();
  bool ready() const { return keys_.keys() != nullptr; }
  // How many passwords were hashed to compare them, right and wrong and of nobody.
  std::uint64_t password_checks() const { return hasher_.checks(); }
  const Locator& locator() const { return locator_; }
  KeyRing& keys() { return keys_; }
  RevocationList& revocations() { return revocations_; }
  // The identity providers whose tokens are exchanged: fetch their keys and bring them here.
  ExternalIdentities& external() { return external_; }
  const IssuerOptions& options() const { return options_; }

 private:
  Issuer(IssuerOptions options, IssuerPorts ports, RoleBook roles,
         std::vector<token::ExternalIssuer> external, crypto::SealingKey sealing_key);
  http::Response metadata(const http::Request& request) const;
  http::Response jwks(const http::Request& request) const;
  http::Response discovery(const http::Request& request);
  void refresh_until_stopped(std::stop_token stopped);

  IssuerOptions options_;
  IssuerPorts ports_;
  RoleBook roles_;
  Locator locator_;
  KeyRing keys_;
  PasswordHasher hasher_;
  PasswordCheck passwords_;
  RevocationList revocations_;
  ExternalIdentities external_;
  Throttle discoveries_;
  Throttle addresses_;  // failures of one address, by whatever way it tries to sign in
  Evidence evidence_;
  std::unique_ptr<TokenEndpoint> tokens_;
  std::unique_ptr<AuthorizationEndpoint> authorization_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread refresher_;
};

}  // namespace domicile::issuer
