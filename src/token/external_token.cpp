#include "token/external_token.h"

#include <algorithm>

#include <simdjson.h>

#include "token/claims.h"
#include "token/token_error.h"

namespace domicile::token {
namespace {

constexpr std::size_t kTokenBytesMax = 8192;
constexpr std::size_t kTextBytesMax = 255;
constexpr std::int64_t kSkewS = 30;
constexpr std::int64_t kLifetimeMaxS = 24 * 3600;
constexpr std::int64_t kTimeMax = std::int64_t{1} << 40;

using simdjson::dom::element;
using simdjson::dom::object;

std::unexpected<Error> refuse(std::string_view reason, std::string message) {
  return fail(Code::unauthenticated, std::move(message), std::string(reason));
}

std::unexpected<Error> wrong(std::string_view claim) {
  return refuse(reason::claims, "the claim " + std::string(claim) + " is absent or wrong");
}

bool find_claim(const object& claims, std::string_view name, element& out) {
  return name.starts_with('/') ? claims.at_pointer(name).get(out) == simdjson::SUCCESS
                               : claims[name].get(out) == simdjson::SUCCESS;
}

bool plain(std::string_view text) {
  return !text.empty() && text.size() <= kTextBytesMax &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c != 127; });
}

// Text, or a whole number in decimal: organization keys may be numbers.
std::string text_claim(const object& claims, std::string_view name) {
  element found;
  if (!find_claim(claims, name, found)) return {};
  std::string_view text;
  if (found.get(text) == simdjson::SUCCESS) return plain(text) ? std::string(text) : std::string();
  std::int64_t number = 0;
  if (found.type() == simdjson::dom::element_type::INT64 && found.get(number) == simdjson::SUCCESS)
    return std::to_string(number);
  return {};
}

bool names_one_of(const element& claim, const std::vector<std::string>& audiences) {
  const auto known = [&](std::string_view text) {
    return std::ranges::find(audiences, text) != audiences.end();
  };
  std::string_view text;
  if (claim.get(text) == simdjson::SUCCESS) return known(text);
  simdjson::dom::array several;
  if (claim.get(several) != simdjson::SUCCESS) return false;
  bool found = false;
  for (const element item : several) {
    if (item.get(text) != simdjson::SUCCESS) return false;
    found = found || known(text);
  }
  return found;
}

Result<void> check_audience(const object& claims, const ExternalIssuer& rules) {
  element claim;
  if (claims["aud"].get(claim) == simdjson::SUCCESS) {
    if (names_one_of(claim, rules.audiences)) return {};
  } else {
    std::string_view use, client;
    if (get_text(claims, "token_use", use) && use == "access" &&
        get_text(claims, "client_id", client) &&
        std::ranges::find(rules.audiences, client) != rules.audiences.end())
      return {};
  }
  return refuse(reason::audience, "the token is for another audience");
}

Result<std::int64_t> check_times(const object& claims, std::int64_t now_s) {
  std::int64_t exp = 0, iat = 0, nbf = 0;
  if (!get_whole(claims, "exp", exp) || exp < 0 || exp > kTimeMax) return wrong("exp");
  if (!get_whole(claims, "iat", iat) || iat < 0 || iat > kTimeMax) return wrong("iat");
  if (has(claims, "nbf") && (!get_whole(claims, "nbf", nbf) || nbf < 0 || nbf > kTimeMax))
    return wrong("nbf");
  if (exp <= iat || exp - iat > kLifetimeMaxS) return wrong("exp");
  if (expired(exp, now_s, kSkewS)) return refuse(reason::expired, "the token has expired");
  if (nbf > now_s + kSkewS || iat > now_s + kSkewS)
    return refuse(reason::not_yet, "the token is not valid yet");
  return exp;
}

// An array of names, or one text with spaces between. Groups that the mapping does not know are
// left out: a provider has many that are nobody's business here.
Result<std::vector<domain::RoleName>> read_roles(const object& claims,
                                                 const ExternalIssuer& rules) {
  std::vector<domain::RoleName> roles;
  element claim;
  if (rules.roles_claim.empty() || !find_claim(claims, rules.roles_claim, claim)) return roles;
  const auto add = [&](std::string_view group) {
    const auto known = rules.roles.find(group);
    if (known != rules.roles.end()) roles.push_back(known->second);
  };
  std::string_view text;
  simdjson::dom::array list;
  if (claim.get(text) == simdjson::SUCCESS) {
    while (!text.empty()) {
      const auto end = std::min(text.find(' '), text.size());
      add(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  } else if (claim.get(list) == simdjson::SUCCESS) {
    for (const element item : list) {
      if (item.get(text) != simdjson::SUCCESS) return wrong(rules.roles_claim);
      add(text);
    }
  } else {
    return wrong(rules.roles_claim);
  }
  std::ranges::sort(roles);
  roles.erase(std::ranges::unique(roles).begin(), roles.end());
  return roles;
}

}  // namespace

ExternalVerifier::ExternalVerifier(std::vector<ExternalIssuer> issuers) {
  for (auto& issuer : issuers) issuers_.push_back({std::move(issuer), nullptr});
}

ExternalVerifier::Trusted* ExternalVerifier::find(std::string_view issuer) {
  const auto at = std::ranges::find(
      issuers_, issuer, [](const Trusted& t) -> std::string_view { return t.rules.issuer; });
  return at == issuers_.end() ? nullptr : &*at;
}

void ExternalVerifier::set_keys(std::string_view issuer, std::shared_ptr<const KeySet> keys) {
  Trusted* trusted = find(issuer);
  if (trusted == nullptr) return;
  trusted->keys = keys == nullptr ? nullptr : std::make_unique<JwsVerifier>(std::move(keys));
}

Result<ExternalIdentity> ExternalVerifier::verify(std::string_view jwt, std::int64_t now_s) {
  issuer_to_refresh_.clear();
  if (jwt.size() > kTokenBytesMax) return refuse(reason::malformed, "the token is too long");
  TRY(parse_jws(jwt, header_reader_, jws_));
  if (!jws_.typ.empty() && jws_.typ != "jwt" && jws_.typ != "at+jwt")
    return refuse(reason::header, "the token's typ is neither JWT nor at+jwt");
  if (jws_.kid.empty()) return refuse(reason::key, "the token's header has no kid");
  object claims;
  if (!claims_reader_.read_base64url(jws_.payload, claims))
    return refuse(reason::malformed, "the token's claims are not an object in strict JSON");
  std::string_view name;
  if (!get_text(claims, "iss", name)) return wrong("iss");
  Trusted* issuer = find(name);  // believed only as far as to pick the keys it must be signed with
  if (issuer == nullptr)
    return refuse(reason::issuer, "the token's issuer is not one of those trusted here");
  if (issuer->keys == nullptr) {
    issuer_to_refresh_ = issuer->rules.issuer;
    return refuse(reason::key, "the issuer's keys are not known here yet");
  }
  if (auto checked = issuer->keys->check(jws_); !checked) {
    if (checked.error().reason == reason::key) issuer_to_refresh_ = issuer->rules.issuer;
    return std::unexpected(std::move(checked).error());
  }
  const ExternalIssuer& rules = issuer->rules;
  TRY(check_audience(claims, rules));
  ExternalIdentity identity;
  identity.issuer = rules.issuer;
  identity.expires_at = TRY(check_times(claims, now_s));
  identity.subject = text_claim(claims, rules.subject_claim);
  if (identity.subject.empty()) return wrong(rules.subject_claim);
  auto organization = domain::parse_org_key(text_claim(claims, rules.organization_claim));
  if (!organization) return wrong(rules.organization_claim);
  identity.organization = std::move(*organization);
  if (!rules.any_organization &&
      !std::ranges::binary_search(rules.organizations, identity.organization)) {
    return fail(Code::denied, "the issuer does not speak for this organization",
                "organization_not_bound");
  }
  identity.roles = TRY(read_roles(claims, rules));
  return identity;
}

}  // namespace domicile::token
