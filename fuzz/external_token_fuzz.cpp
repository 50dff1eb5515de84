// Any bytes as a provider's token, and as the claims of one that is rightly signed: never a crash, nothing
// believed that is not signed, and an identity only as far as the operator's mapping goes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/encoding.h"
#include "token/external_token.h"
#include "token/token_signer.h"

using namespace domicile;

namespace {

token::ExternalIssuer rules(std::string issuer, std::string organization, std::string roles,
                            std::string subject) {
  token::ExternalIssuer out;
  out.issuer = std::move(issuer);
  out.audiences = {"portal"};
  out.organization_claim = std::move(organization);
  out.roles_claim = std::move(roles);
  out.subject_claim = std::move(subject);
  out.organizations = {domain::OrgKey("7")};
  out.roles = {{"Teachers", domain::RoleName("instructor")}};
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto key = crypto::SigningKey::generate(crypto::Algorithm::eddsa).value();
  static const auto keys = token::KeySet::create({{"k", key.public_key()}}).value();
  static const token::TokenSigner signer("k", key);
  static token::ExternalVerifier verifier = [] {
    token::ExternalVerifier made(
        {rules("a", "custom:org", "cognito:groups", "sub"),
         rules("b", "/tenants/0/org", "/realm_access/roles", "/who/a~1b")});
    made.set_keys("a", keys);
    made.set_keys("b", keys);
    return made;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::int64_t kNow = 1767225600;

  if (verifier.verify(text, kNow)) std::abort();
  const auto identity = verifier.verify(*signer.sign_json("JWT", text), kNow);
  if (!identity) return 0;
  if (identity->organization.view() != "7" || identity->subject.empty() ||
      identity->expires_at <= kNow - 30)
    std::abort();
  for (const auto& role : identity->roles) {
    if (role.view() != "instructor") std::abort();
  }
  for (const char c : identity->subject) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) std::abort();
  }
  return 0;
}
