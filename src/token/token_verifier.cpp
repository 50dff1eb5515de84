#include "token/token_verifier.h"

#include <algorithm>

#include <simdjson.h>

#include "token/claims.h"
#include "token/json_reader.h"
#include "token/jws.h"
#include "token/token_error.h"

namespace domicile::token {
namespace {

struct Issuer {
  TrustedIssuer trusted;
  JwsVerifier verifier;
};

std::unexpected<Error> refuse(std::string_view reason, std::string message) {
  return fail(Code::unauthenticated, std::move(message), std::string(reason));
}

}  // namespace

struct TokenVerifier::State {
  VerifierOptions options;
  std::vector<Issuer> issuers;
  JsonReader header_reader;
  JsonReader claims_reader;
  Jws jws;
  std::string issuer_to_refresh;

  Issuer* find(std::string_view name) {
    const auto at = std::ranges::find(
        issuers, name, [](const Issuer& i) -> std::string_view { return i.trusted.issuer; });
    return at == issuers.end() ? nullptr : &*at;
  }
};

TokenVerifier::TokenVerifier(VerifierOptions options, std::vector<TrustedIssuer> issuers)
    : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  for (auto& issuer : issuers) trust(std::move(issuer));
}

TokenVerifier::~TokenVerifier() = default;
TokenVerifier::TokenVerifier(TokenVerifier&&) noexcept = default;
TokenVerifier& TokenVerifier::operator=(TokenVerifier&&) noexcept = default;

void TokenVerifier::trust(TrustedIssuer issuer) {
  JwsVerifier verifier(issuer.keys);
  distrust(issuer.issuer);
  state_->issuers.push_back(Issuer{std::move(issuer), std::move(verifier)});
}

void TokenVerifier::distrust(std::string_view issuer) {
  std::erase_if(state_->issuers, [&](const Issuer& i) { return i.trusted.issuer == issuer; });
}

std::string_view TokenVerifier::issuer_to_refresh() const { return state_->issuer_to_refresh; }

Result<domain::Principal> TokenVerifier::verify(std::string_view jwt, std::int64_t now_s) {
  State& s = *state_;
  s.issuer_to_refresh.clear();
  if (jwt.size() > s.options.token_bytes_max)
    return refuse(reason::malformed, "the token is too long");
  TRY(parse_jws(jwt, s.header_reader, s.jws));
  if (s.jws.typ != "at+jwt") return refuse(reason::header, "the token's typ is not at+jwt");
  if (s.jws.kid.empty()) return refuse(reason::key, "the token's header has no kid");
  simdjson::dom::object claims;
  if (!s.claims_reader.read_base64url(s.jws.payload, claims)) {
    return refuse(reason::malformed,
                  "the token's claims are not an object in strict JSON and base64url");
  }
  std::string_view name;
  if (!get_text(claims, "iss", name))
    return refuse(reason::claims, "the claim iss is absent or wrong");
  Issuer* issuer = s.find(name);  // believed only as far as to pick the keys it must be signed with
  if (issuer == nullptr)
    return refuse(reason::issuer, "the token's issuer is not one of those trusted here");
  if (auto checked = issuer->verifier.check(s.jws); !checked) {
    if (checked.error().reason == reason::key) s.issuer_to_refresh = issuer->trusted.issuer;
    return std::unexpected(std::move(checked).error());
  }
  return read_claims(claims, ClaimRules{.audience = s.options.audience,
                                        .region = issuer->trusted.region,
                                        .skew_s = s.options.skew_s,
                                        .lifetime_max_s = s.options.lifetime_max_s,
                                        .now_s = now_s});
}

}  // namespace domicile::token
