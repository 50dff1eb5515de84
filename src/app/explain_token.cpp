#include "app/explain_token.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "app/roles_file.h"
#include "base/file.h"
#include "http/client.h"
#include "token/claims.h"
#include "token/json_reader.h"
#include "token/jws.h"
#include "token/token_error.h"
#include "token/token_verifier.h"

namespace domicile::app {
namespace {

using Keys = std::shared_ptr<const token::KeySet>;

Result<Keys> fetch_keys(const std::string& issuer, const std::filesystem::path& ca_file) {
  http::Client client({.ca_file = ca_file, .total_ms = std::chrono::milliseconds(5'000)});
  const auto answer = TRY(client.send({.url = issuer + "/.well-known/jwks.json"}));
  if (answer.status != 200) {
    return fail(Code::unavailable, fmt::format("{} answered {}", issuer, answer.status));
  }
  return token::KeySet::parse(answer.body);
}

std::unexpected<Error> refused(std::string_view reason, std::string message) {
  return fail(Code::unauthenticated, std::move(message), std::string(reason));
}

}  // namespace

TokenReading read_token(const std::string& token, const domain::RegistrySnapshot& snapshot,
                        const std::filesystem::path& jwks_file,
                        const std::filesystem::path& ca_file, std::int64_t now_s) {
  TokenReading out{.principal = refused(token::reason::malformed, "not an access token")};
  token::JsonReader header_reader, claims_reader;
  token::Jws jws;
  if (auto parsed = token::parse_jws(token, header_reader, jws); !parsed) {
    out.principal = std::unexpected(std::move(parsed).error());
    return out;
  }
  simdjson::dom::object claims;
  std::string_view name;
  if (!claims_reader.read_base64url(jws.payload, claims) || !token::get_text(claims, "iss", name)) {
    return out;
  }
  const std::string issuer(name);
  const auto region = std::ranges::find(snapshot.regions(), issuer, &domain::Region::url);
  if (region == snapshot.regions().end()) {
    out.keys = fmt::format("{} is no region of the snapshot", issuer);
    out.principal = refused(token::reason::issuer, out.keys);
    return out;
  }
  Result<Keys> keys = fail(Code::unavailable, "");
  if (jwks_file.empty()) {
    keys = fetch_keys(issuer, ca_file);
    out.keys = keys ? "from " + issuer : keys.error().message;
  } else {
    const auto text = read_file(jwks_file, token::KeySet::kMaxBytes);
    keys = text ? token::KeySet::parse(*text) : Result<Keys>(std::unexpected(text.error()));
    out.keys = keys ? "from " + jwks_file.string() : keys.error().message;
  }
  out.checked = keys.has_value();
  if (keys) {
    token::TokenVerifier verifier({}, {{issuer, region->id, std::move(*keys)}});
    out.principal = verifier.verify(token, now_s);
  } else {
    const token::VerifierOptions options;
    out.principal = token::read_claims(claims, {.audience = options.audience,
                                                .region = region->id,
                                                .skew_s = options.skew_s,
                                                .lifetime_max_s = options.lifetime_max_s,
                                                .now_s = now_s});
  }
  return out;
}

Result<domain::Principal> make_principal(const SaidPrincipal& said,
                                         const domain::RegistrySnapshot& snapshot,
                                         std::int64_t now_s) {
  domain::Principal principal;
  principal.subject = domain::UserId(said.user);
  principal.organization = TRY(domain::parse_org_key(said.organization));
  const auto placed = snapshot.find(principal.organization);
  // A token comes from the organization's home, and of its present epoch, unless said otherwise.
  principal.region = placed ? placed->home->id : domain::RegionId(said.region);
  principal.epoch = said.epoch != 0 ? said.epoch : placed ? placed->epoch : 1;
  principal.expires_at = now_s + 900;
  for (const std::string& role : said.roles) {
    principal.roles.push_back(TRY(domain::parse_role_name(role)));
  }
  const auto book = TRY(load_roles_file(said.roles_file));
  principal.permissions = book.permissions(principal.roles, {});
  for (const std::string& text : said.permissions) {
    principal.permissions.push_back(TRY(domain::parse_permission(text)));
  }
  std::ranges::sort(principal.permissions);
  return principal;
}

}  // namespace domicile::app
