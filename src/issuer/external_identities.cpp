#include "issuer/external_identities.h"

namespace domicile::issuer {
namespace {

std::vector<KeySource> sources_of(const std::vector<token::ExternalIssuer>& issuers) {
  std::vector<KeySource> out;
  for (const auto& each : issuers) out.push_back({each.issuer, each.jwks_url});
  return out;
}

}  // namespace

ExternalIdentities::ExternalIdentities(std::vector<token::ExternalIssuer> issuers)
    : sources_(sources_of(issuers)), verifier_(std::move(issuers)) {}

void ExternalIdentities::set_keys(std::string_view issuer,
                                  std::shared_ptr<const token::KeySet> keys) {
  const std::lock_guard lock(mutex_);
  verifier_.set_keys(issuer, std::move(keys));
}

Result<token::ExternalIdentity> ExternalIdentities::verify(std::string_view jwt,
                                                           std::int64_t now_s) {
  const std::lock_guard lock(mutex_);
  auto identity = verifier_.verify(jwt, now_s);
  if (!identity && ask_ && !verifier_.issuer_to_refresh().empty())
    ask_(verifier_.issuer_to_refresh());
  return identity;
}

}  // namespace domicile::issuer
