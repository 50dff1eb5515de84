#include "token/claims.h"

#include <algorithm>
#include <string>

#include <simdjson.h>

#include "token/json_reader.h"
#include "token/token_error.h"

namespace domicile::token {
namespace {

constexpr std::int64_t kTimeMax = std::int64_t{1}
                                  << 40;  // the year 36812: sums of two cannot overflow
constexpr std::size_t kTextBytesMax = 255;

std::unexpected<Error> refuse(std::string_view reason, std::string message) {
  return fail(Code::unauthenticated, std::move(message), std::string(reason));
}

std::unexpected<Error> wrong(std::string_view claim) {
  return refuse(reason::claims, "the claim " + std::string(claim) + " is absent or wrong");
}

// Text that may stand in a header line and a log: printable ASCII without spaces.
bool token_text(const simdjson::dom::object& claims, std::string_view name, std::string_view& out) {
  return get_text(claims, name, out) && !out.empty() && out.size() <= kTextBytesMax &&
         std::ranges::all_of(out, [](char c) { return c > ' ' && c < 127; });
}

Result<bool> has_audience(const simdjson::dom::object& claims, std::string_view wanted) {
  std::string_view one;
  if (get_text(claims, "aud", one)) return one == wanted;
  simdjson::dom::array several;
  if (claims["aud"].get(several) != simdjson::SUCCESS) return wrong("aud");
  bool found = false;
  for (const auto item : several) {
    if (item.get(one) != simdjson::SUCCESS) return wrong("aud");
    found = found || one == wanted;
  }
  return found;
}

Result<std::int64_t> time_claim(const simdjson::dom::object& claims, std::string_view name) {
  std::int64_t value = 0;
  if (!get_whole(claims, name, value) || value < 0 || value > kTimeMax) return wrong(name);
  return value;
}

Result<std::int64_t> check_times(const simdjson::dom::object& claims, const ClaimRules& rules) {
  const std::int64_t exp = TRY(time_claim(claims, "exp"));
  const std::int64_t nbf = TRY(time_claim(claims, "nbf"));
  const std::int64_t iat = TRY(time_claim(claims, "iat"));
  if (exp <= iat || exp - iat > rules.lifetime_max_s) return wrong("exp");
  if (expired(exp, rules.now_s, rules.skew_s))
    return refuse(reason::expired, "the token has expired");
  if (nbf > rules.now_s + rules.skew_s || iat > rules.now_s + rules.skew_s) {
    return refuse(reason::not_yet,
                  "the token is not valid yet: are the clocks of issuer and door set?");
  }
  return exp;
}

template <typename T, typename Parse>
Result<std::vector<T>> list_claim(const simdjson::dom::object& claims, std::string_view name,
                                  Parse parse) {
  std::vector<T> out;
  if (!has(claims, name)) return out;
  simdjson::dom::array list;
  if (claims[name].get(list) != simdjson::SUCCESS) return wrong(name);
  for (const auto item : list) {
    std::string_view text;
    if (item.get(text) != simdjson::SUCCESS) return wrong(name);
    auto parsed = parse(text);
    if (!parsed) return wrong(name);
    out.push_back(std::move(*parsed));
  }
  return out;
}

// RFC 6749 section 3.3: scope-token *( SP scope-token ).
Result<std::vector<domain::Permission>> scope_claim(const simdjson::dom::object& claims) {
  std::vector<domain::Permission> out;
  std::string_view scope;
  if (!has(claims, "scope")) return out;
  if (!get_text(claims, "scope", scope)) return wrong("scope");
  while (!scope.empty()) {
    const auto end = std::min(scope.find(' '), scope.size());
    auto permission = domain::parse_permission(scope.substr(0, end));
    if (!permission) return wrong("scope");
    out.push_back(std::move(*permission));
    scope.remove_prefix(end);
    if (scope.starts_with(' ')) {
      scope.remove_prefix(1);
      if (scope.empty()) return wrong("scope");
    }
  }
  std::ranges::sort(out);
  return out;
}

Result<domain::Grant> read_grant(const simdjson::dom::object& object) {
  domain::Grant grant;
  std::string_view id, org;
  if (!token_text(object, "id", id) || !get_text(object, "org", org)) return wrong("grants");
  auto organization = domain::parse_org_key(org);
  if (!organization) return wrong("grants");
  grant.id = id;
  grant.organization = std::move(*organization);
  grant.permissions = TRY(list_claim<domain::Permission>(
      object, "permissions", [](std::string_view text) { return domain::parse_permission(text); }));
  std::ranges::sort(grant.permissions);
  grant.expires_at = TRY(time_claim(object, "exp"));
  return grant;
}

Result<std::vector<domain::Grant>> grants_claim(const simdjson::dom::object& claims) {
  std::vector<domain::Grant> out;
  if (!has(claims, "grants")) return out;
  simdjson::dom::array list;
  if (claims["grants"].get(list) != simdjson::SUCCESS) return wrong("grants");
  for (const auto item : list) {
    simdjson::dom::object object;
    if (item.get(object) != simdjson::SUCCESS) return wrong("grants");
    out.push_back(TRY(read_grant(object)));
  }
  return out;
}

}  // namespace

Result<domain::Principal> read_claims(const simdjson::dom::object& claims,
                                      const ClaimRules& rules) {
  domain::Principal principal;
  std::string_view text;
  if (!token_text(claims, "iss", text)) return wrong("iss");
  principal.issuer = text;
  if (!TRY(has_audience(claims, rules.audience)))
    return refuse(reason::audience, "the token is for another audience");
  principal.expires_at = TRY(check_times(claims, rules));
  get_whole(claims, "iat", principal.issued_at);
  if (!get_text(claims, "region", text)) return wrong("region");
  if (text != rules.region.view()) {
    return refuse(reason::region, "the token's region is not that of its issuer");
  }
  principal.region = rules.region;
  if (!token_text(claims, "sub", text)) return wrong("sub");
  principal.subject = domain::UserId(text);
  if (!token_text(claims, "client_id", text)) return wrong("client_id");
  principal.client_id = text;
  if (!token_text(claims, "jti", text)) return wrong("jti");
  principal.token_id = text;
  if (has(claims, "sid")) {
    if (!token_text(claims, "sid", text)) return wrong("sid");
    principal.session = text;
  }
  if (!get_text(claims, "org", text)) return wrong("org");
  auto organization = domain::parse_org_key(text);
  if (!organization) return wrong("org");
  principal.organization = std::move(*organization);
  std::int64_t epoch = 0;
  if (!get_whole(claims, "epoch", epoch) || epoch < 1) return wrong("epoch");
  principal.epoch = static_cast<domain::Epoch>(epoch);
  principal.roles = TRY(list_claim<domain::RoleName>(
      claims, "roles", [](std::string_view role) { return domain::parse_role_name(role); }));
  principal.permissions = TRY(scope_claim(claims));
  principal.grants = TRY(grants_claim(claims));
  return principal;
}

}  // namespace domicile::token
