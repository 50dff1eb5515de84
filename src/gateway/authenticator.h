// From an Authorization field to a Principal: the bearer token's bytes are looked up among the
// tokens verified before, else verified. One per loop, one thread. Time and what was called back
// decide on every request: an entry of the cache dies with its token.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "domain/principal.h"
#include "http/metrics.h"
#include "token/revocation_set.h"
#include "token/token_cache.h"
#include "token/token_verifier.h"

namespace domicile::gateway {

class Authenticator {
 public:
  Authenticator(token::TokenVerifier verifier, token::TokenCache::Options cache,
                std::function<void(std::string_view)> on_unknown_key, http::Metrics& metrics);

  using Verified = std::shared_ptr<const domain::Principal>;
  // `authorization` is the field's whole value (RFC 6750 section 2.1). The error is a stable
  // reason.
  std::expected<Verified, std::string> authenticate(std::string_view authorization,
                                                    std::int64_t now_s);

  void trust(token::TrustedIssuer issuer);
  void distrust(const std::string& issuer);
  bool revoked(const domain::Principal& principal) const { return revocations_->covers(principal); }
  void set_revocations(std::shared_ptr<const token::RevocationSet> revocations);

 private:
  std::expected<Verified, std::string> unless_revoked(Verified principal);

  token::TokenVerifier verifier_;
  token::TokenCache cache_;
  std::shared_ptr<const token::RevocationSet> revocations_;
  std::function<void(std::string_view)> on_unknown_key_;
  http::Counter& hits_;
  http::Counter& verified_;
  http::Counter& refused_;
};

}  // namespace domicile::gateway
