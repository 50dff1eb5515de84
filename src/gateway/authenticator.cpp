#include "gateway/authenticator.h"

#include "token/token_error.h"
#include "wire/http1_chars.h"

namespace domicile::gateway {

Authenticator::Authenticator(token::TokenVerifier verifier, token::TokenCache::Options cache,
                             std::function<void(std::string_view)> on_unknown_key,
                             http::Metrics& metrics)
    : verifier_(std::move(verifier)),
      cache_(cache),
      revocations_(std::make_shared<const token::RevocationSet>()),
      on_unknown_key_(std::move(on_unknown_key)),
      hits_(metrics.counter("domicile_gateway_tokens_total", "Tokens, by what was done with them.",
                            "result=\"cached\"")),
      verified_(metrics.counter("domicile_gateway_tokens_total", "", "result=\"verified\"")),
      refused_(metrics.counter("domicile_gateway_tokens_total", "", "result=\"refused\"")) {}

std::expected<Authenticator::Verified, std::string> Authenticator::authenticate(
    std::string_view authorization, std::int64_t now_s) {
  constexpr std::string_view scheme = "bearer ";
  if (authorization.size() <= scheme.size() ||
      !wire::equals_lower(authorization.substr(0, scheme.size()), scheme)) {
    refused_.add();
    return std::unexpected("unsupported_credentials");
  }
  const std::string_view token = authorization.substr(scheme.size());
  if (const auto* known = cache_.find(token, now_s)) {
    hits_.add();
    return unless_revoked(*known);
  }
  auto principal = verifier_.verify(token, now_s);
  if (!principal) {
    refused_.add();
    if (on_unknown_key_ && !verifier_.issuer_to_refresh().empty()) {
      on_unknown_key_(verifier_.issuer_to_refresh());
    }
    return std::unexpected(principal.error().reason.empty() ? std::string(token::reason::malformed)
                                                            : principal.error().reason);
  }
  verified_.add();
  auto shared = std::make_shared<const domain::Principal>(std::move(*principal));
  cache_.put(token, shared, now_s);
  return unless_revoked(std::move(shared));
}

std::expected<Authenticator::Verified, std::string> Authenticator::unless_revoked(
    Verified principal) {
  if (!revocations_->covers(*principal)) return principal;
  refused_.add();
  return std::unexpected(std::string(token::reason::revoked));
}

void Authenticator::set_revocations(std::shared_ptr<const token::RevocationSet> revocations) {
  revocations_ = std::move(revocations);
}

void Authenticator::trust(token::TrustedIssuer issuer) {
  const std::string name = issuer.issuer;
  verifier_.trust(std::move(issuer));
  cache_.forget_issuer(name);
}

void Authenticator::distrust(const std::string& issuer) {
  verifier_.distrust(issuer);
  cache_.forget_issuer(issuer);
}

}  // namespace domicile::gateway
