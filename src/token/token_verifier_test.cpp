#include "token/token_verifier.h"

#include <gtest/gtest.h>

#include "token/testing.h"
#include "token/token_error.h"

namespace domicile::token {
namespace {

using crypto::Algorithm;
using namespace testing;

std::string reason_of(std::string_view token, std::int64_t now_s = kNow) {
  auto v = verifier();
  auto result = v.verify(token, now_s);
  if (result) return "accepted";
  EXPECT_EQ(result.error().code, Code::unauthenticated);
  return result.error().reason;
}

std::string with_payload(std::string_view json) {
  return token_of(kHeader, json, shared_key(Algorithm::es256));
}
std::string with_header(std::string_view json) {
  return token_of(json, payload(), shared_key(Algorithm::es256));
}
std::string changed(std::string_view replace, std::string_view with) {
  return reason_of(with_payload(payload(replace, with)));
}

TEST(TokenVerifier, TurnsAGoodTokenIntoItsPrincipal) {
  auto v = verifier();
  for (const auto& [header, algorithm] :
       {std::pair{R"({"alg":"ES256","kid":"es","typ":"at+jwt"})", Algorithm::es256},
        std::pair{R"({"alg":"EdDSA","kid":"ed","typ":"AT+JWT"})", Algorithm::eddsa},
        std::pair{R"({"typ":"application/at+jwt","kid":"rs","alg":"RS256","unknown":[1]})",
                  Algorithm::rs256}}) {
    const auto principal = v.verify(token_of(header, payload(), shared_key(algorithm)), kNow);
    ASSERT_TRUE(principal) << principal.error().message;
    EXPECT_EQ(principal->subject.text(), "u1");
    EXPECT_EQ(principal->organization.text(), "7");
    EXPECT_EQ(principal->region.text(), "ca-central-1");
    EXPECT_EQ(principal->epoch, 3u);
    EXPECT_EQ(principal->token_id, "j1");
    EXPECT_EQ(principal->expires_at, 1767226500);
    ASSERT_EQ(principal->permissions.size(), 2u);
    EXPECT_EQ(principal->permissions[0].text(), "courses:read");  // sorted
  }
}

TEST(TokenVerifier, AgreesWithItsSigner) {
  AccessClaims claims{
      .issuer = "https://ca.test", .client_id = "web", .subject = domain::UserId("u2")};
  claims.organization = domain::OrgKey("acme");
  claims.region = domain::RegionId("ca-central-1");
  claims.epoch = 9;
  claims.roles = {domain::RoleName("admin")};
  claims.permissions = {domain::Permission("a:b")};
  claims.grants = {{"g1", domain::OrgKey("other"), {domain::Permission("x:y")}, kNow + 60}};
  claims.token_id = "t";
  claims.issued_at = kNow;
  claims.expires_at = kNow + 900;
  const TokenSigner signer("ed", shared_key(Algorithm::eddsa));
  auto v = verifier();
  const auto principal = v.verify(signer.sign(claims).value(), kNow);
  ASSERT_TRUE(principal) << principal.error().message;
  ASSERT_EQ(principal->grants.size(), 1u);
  EXPECT_EQ(principal->grants[0].organization.text(), "other");
  EXPECT_EQ(principal->grants[0].permissions[0].text(), "x:y");
  EXPECT_EQ(principal->roles[0].text(), "admin");
}

// RFC 7515, RFC 7519 section 7.2, RFC 8725 section 3.1: who chooses the algorithm.
TEST(JwtAttack, AlgorithmNoneInAnyDress) {
  for (const char* alg : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string header = std::string(R"({"alg":")") + alg + R"(","kid":"es","typ":"at+jwt"})";
    EXPECT_EQ(reason_of(with_header(header)), reason::algorithm);
    const std::string unsigned_token = to_base64url(header) + '.' + to_base64url(payload()) + '.';
    EXPECT_EQ(reason_of(unsigned_token), reason::malformed);
  }
  EXPECT_EQ(reason_of(with_header(R"({"kid":"es","typ":"at+jwt"})")), reason::algorithm);
  EXPECT_EQ(reason_of(with_header(R"({"alg":["ES256"],"kid":"es","typ":"at+jwt"})")),
            reason::algorithm);
}

TEST(JwtAttack, HmacUnderThePublicKeyAndOtherConfusions) {
  for (const char* alg :
       {"HS256", "HS384", "HS512", "ES256K", "RS1", "es256", "EdDSA ", "PS384", "ECDH-ES"}) {
    const std::string header = std::string(R"({"alg":")") + alg + R"(","kid":"rs","typ":"at+jwt"})";
    EXPECT_EQ(reason_of(with_header(header)), reason::algorithm) << alg;
  }
  // A known algorithm, but not the key's: RSA key with PS256, EC key named with RS256, and so on.
  EXPECT_EQ(reason_of(token_of(R"({"alg":"PS256","kid":"rs","typ":"at+jwt"})", payload(),
                               crypto::SigningKey::from_der(Algorithm::ps256,
                                                            shared_key(Algorithm::rs256).to_der())
                                   .value())),
            reason::algorithm);
  EXPECT_EQ(reason_of(with_header(R"({"alg":"RS256","kid":"es","typ":"at+jwt"})")),
            reason::algorithm);
  EXPECT_EQ(reason_of(with_header(R"({"alg":"ES256","kid":"ed","typ":"at+jwt"})")),
            reason::algorithm);
  EXPECT_EQ(reason_of(with_header(R"({"alg":"ES384","kid":"es","typ":"at+jwt"})")),
            reason::algorithm);
}

TEST(JwtAttack, KeyIdThatWalksOrInjects) {
  for (const char* kid : {"../../dev/null", "/dev/null", "es' OR '1'='1", "es;id", "ES", "es ",
                          "es\\u0000", "http://evil/k"}) {
    const std::string header =
        std::string(R"({"alg":"ES256","typ":"at+jwt","kid":")") + kid + "\"}";
    EXPECT_EQ(reason_of(with_header(header)), reason::key) << kid;
  }
  EXPECT_EQ(reason_of(with_header(R"({"alg":"ES256","typ":"at+jwt"})")), reason::key);
  EXPECT_EQ(reason_of(with_header(R"({"alg":"ES256","typ":"at+jwt","kid":""})")), reason::header);
  EXPECT_EQ(reason_of(with_header(R"({"alg":"ES256","typ":"at+jwt","kid":7})")), reason::header);
}

TEST(JwtAttack, KeysThatTheTokenBringsItself) {
  for (const char* member :
       {R"("jwk":{"kty":"EC"})", R"("jku":"https://evil/jwks")", R"("x5u":"https://evil/c")",
        R"("x5c":["AA"])", R"("crit":["exp"])", R"("crit":[])", R"("b64":false)", R"("zip":"DEF")",
        R"("cty":"JWT")"}) {
    const std::string header =
        std::string(R"({"alg":"ES256","kid":"es","typ":"at+jwt",)") + member + "}";
    EXPECT_EQ(reason_of(with_header(header)), reason::header) << member;
  }
}

TEST(JwtAttack, AnotherKindOfToken) {  // RFC 8725 section 3.11
  for (const char* typ : {R"("typ":"JWT",)", R"("typ":"id_token",)", R"("typ":"at+jwt+x",)",
                          R"("typ":"logout+jwt",)", ""}) {
    EXPECT_EQ(reason_of(with_header(std::string("{") + typ + R"("alg":"ES256","kid":"es"})")),
              reason::header)
        << typ;
  }
  EXPECT_EQ(reason_of(with_header(R"({"alg":"ES256","kid":"es","typ":7})")), reason::header);
}

TEST(JwtAttack, ChangedBytesAndForeignSignatures) {
  const std::string good = with_payload(payload());
  EXPECT_EQ(reason_of(good), "accepted");
  const auto other = crypto::SigningKey::generate(Algorithm::es256).value();
  EXPECT_EQ(reason_of(token_of(kHeader, payload(), other)), reason::signature);
  const std::string unsigned_part = good.substr(0, good.rfind('.') + 1);
  EXPECT_EQ(reason_of(unsigned_part + to_base64url(std::string(64, '\0'))),
            reason::signature);  // psychic
  EXPECT_EQ(reason_of(unsigned_part + to_base64url(std::string(63, 'x'))), reason::signature);
  EXPECT_EQ(reason_of(unsigned_part + to_base64url(std::string(70, 'x'))), reason::signature);
  EXPECT_EQ(reason_of(unsigned_part), reason::malformed);
}

TEST(JwtAttack, ShapesThatAreNotExactlyThreeParts) {
  const std::string good = with_payload(payload());
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("..."), good + '.',
        '.' + good, good + ".e30", good.substr(0, good.find('.')), good + '=', good + "==",
        ' ' + good, good + ' ', good + '\n', good + std::string(1, '\0'), std::string(9000, 'a')}) {
    EXPECT_EQ(reason_of(bad), reason::malformed) << bad.substr(0, 40);
  }
  EXPECT_EQ(reason_of(R"({"payload":"e30","signatures":[]})"),
            reason::malformed);  // JSON serialization
}

TEST(JwtAttack, Base64ThatIsNotCanonical) {
  const std::string good = with_payload(payload());
  const auto dot = good.find('.');
  for (const char c : {'+', '/', '=', '%', '\n', ' ', '\t', '\x80'}) {
    std::string bad = good;
    bad[dot + 5] = c;
    EXPECT_EQ(reason_of(bad), reason::malformed);
    bad = good;
    bad[5] = c;
    EXPECT_EQ(reason_of(bad), reason::malformed);
    bad = good;
    bad[good.size() - 5] = c;
    EXPECT_EQ(reason_of(bad), reason::malformed);
  }
  // 64 bytes leave four unused bits in the last character: another character, the same bytes.
  std::string twin = good;
  const auto last =
      std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
  twin.back() = last[last.find(twin.back()) + 1];
  EXPECT_EQ(reason_of(twin), reason::malformed);
}

TEST(JwtAttack, DuplicateNamesAtAnyLevel) {  // RFC 8725 section 2.5 asks for one reading only
  EXPECT_EQ(changed(R"("org":"7")", R"("org":"8","org":"7")"), reason::malformed);
  EXPECT_EQ(changed(R"("org":"7")", R"("org":"8","\u006frg":"7")"), reason::malformed);
  EXPECT_EQ(changed(R"("org":"7")", R"("org":"7","x":{"a":1,"a":1})"), reason::malformed);
  EXPECT_EQ(changed(R"("org":"7")", R"("org":"7","x":[[{"a":1,"a":1}]])"), reason::malformed);
  EXPECT_EQ(reason_of(with_header(R"({"alg":"ES256","alg":"ES256","kid":"es","typ":"at+jwt"})")),
            reason::malformed);
}

TEST(JwtAttack, JsonThatIsBrokenOrABomb) {
  for (const std::string& bad :
       {std::string(""), std::string("[]"), std::string("null"), std::string("\"x\""),
        std::string("{"), payload() + "x", payload() + "{}", "\xef\xbb\xbf" + payload(),
        payload("u1", "\xc3\x28"), payload("u1", "\xed\xa0\x80"), payload("\"7\"", "'7'"),
        payload("\"7\"", "\"7\n\""), payload("}", ",}"), payload("\"7\"", "\"7\",\"n\":1e99999"),
        payload("\"7\"", "NaN"),
        payload("\"7\"", "\"7\",\"x\":" + std::string(3000, '[') + std::string(3000, ']')),
        payload("\"7\"", "\"7\",\"x\":" + std::string(9, '[') + std::string(9, ']'))}) {
    EXPECT_EQ(reason_of(with_payload(bad)), reason::malformed) << bad.substr(0, 60);
  }
  std::string many = "{\"a0\":0";
  for (int i = 1; i < 300; ++i) many += ",\"a" + std::to_string(i) + "\":0";
  EXPECT_EQ(reason_of(with_payload(many + "}")), reason::malformed);
}

TEST(JwtClaims, EachRequiredOneMustBeThereAndOfItsType) {
  for (const char* name :
       {"iss", "sub", "exp", "nbf", "iat", "jti", "client_id", "org", "region", "epoch"}) {
    const std::string quoted = std::string("\"") + name + "\":";
    EXPECT_EQ(changed(quoted, std::string("\"x") + name + "\":"), reason::claims) << name;
    EXPECT_EQ(changed(quoted, quoted + "[],\"y\":"), reason::claims) << name;
    EXPECT_EQ(changed(quoted, quoted + "null,\"y\":"), reason::claims) << name;
    EXPECT_EQ(changed(quoted, quoted + "\"\",\"y\":"), name == std::string("iss") ? reason::issuer
                                                       : name == std::string("region")
                                                           ? reason::region
                                                           : reason::claims)
        << name;
  }
  EXPECT_EQ(changed("\"aud\":", "\"audience\":"), reason::claims);
  EXPECT_EQ(changed("\"u1\"", "\"u1\\r\\nDomicile-Organization: 8\""), reason::claims);
  EXPECT_EQ(changed("\"u1\"", "\"" + std::string(300, 'u') + "\""), reason::claims);
  EXPECT_EQ(changed("\"7\"", "\"7 8\""), reason::claims);
  EXPECT_EQ(changed("courses:read", "courses:*"), reason::claims);
  EXPECT_EQ(changed("courses:write ", "courses:write  "), reason::claims);
  EXPECT_EQ(changed("[\"instructor\"]", "\"instructor\""), reason::claims);
  EXPECT_EQ(changed("\"epoch\":3", "\"epoch\":0"), reason::claims);
  EXPECT_EQ(changed("\"epoch\":3", "\"epoch\":-3"), reason::claims);
  EXPECT_EQ(changed("\"epoch\":3", "\"epoch\":3.0"), reason::claims);
  EXPECT_EQ(changed("\"scope\":", "\"grants\":[{\"id\":\"g\"}],\"scope\":"), reason::claims);
  EXPECT_EQ(changed("\"scope\":", "\"grants\":[7],\"scope\":"), reason::claims);
}

TEST(JwtClaims, IssuerAudienceAndRegionAreCompared) {
  EXPECT_EQ(changed("https://ca.test", "https://ca.test/"), reason::issuer);
  EXPECT_EQ(changed("https://ca.test", "https://CA.test"), reason::issuer);
  EXPECT_EQ(changed("\"domicile\"", "\"other\""), reason::audience);
  EXPECT_EQ(changed("\"domicile\"", "[\"other\",\"domicile\"]"), "accepted");
  EXPECT_EQ(changed("\"domicile\"", "[\"other\"]"), reason::audience);
  EXPECT_EQ(changed("\"domicile\"", "[]"), reason::audience);
  EXPECT_EQ(changed("\"domicile\"", "[\"domicile\",7]"), reason::claims);
  EXPECT_EQ(changed("ca-central-1", "us-east-1"), reason::region);
}

TEST(JwtClaims, TimesHaveExactEdges) {
  const std::string token = with_payload(payload());  // nbf = iat = kNow, exp = kNow + 900
  EXPECT_EQ(reason_of(token, kNow + 900 + 29), "accepted");
  EXPECT_EQ(reason_of(token, kNow + 900 + 30), reason::expired);
  EXPECT_EQ(reason_of(token, kNow - 30), "accepted");
  EXPECT_EQ(reason_of(token, kNow - 31), reason::not_yet);
  EXPECT_EQ(changed("\"nbf\":1767225600", "\"nbf\":1767225631"), reason::not_yet);
  EXPECT_EQ(changed("\"iat\":1767225600", "\"iat\":1767225631"), reason::not_yet);
  EXPECT_EQ(changed("1767226500", "9223372036854775807"), reason::claims);
  EXPECT_EQ(changed("1767226500", "18446744073709551615"), reason::claims);
  EXPECT_EQ(changed("1767226500", "-1"), reason::claims);
  EXPECT_EQ(changed("1767226500", "1767226500.0"), reason::claims);
  EXPECT_EQ(changed("1767226500", "\"1767226500\""), reason::claims);
  EXPECT_EQ(changed("1767226500", "1767312001"), reason::claims);  // a life of more than 24 h
  EXPECT_EQ(changed("1767226500", "1767225600"), reason::claims);  // none at all
}

TEST(TokenVerifier, FollowsItsIssuersKeys) {
  auto v = verifier();
  const std::string token = with_payload(payload());
  ASSERT_TRUE(v.verify(token, kNow));
  const auto next = crypto::SigningKey::generate(Algorithm::es256).value();
  v.trust({"https://ca.test", domain::RegionId("ca-central-1"),
           KeySet::create({{"next", next.public_key()}}).value()});
  EXPECT_EQ(v.verify(token, kNow).error().reason, reason::key);
  EXPECT_EQ(v.issuer_to_refresh(), "https://ca.test");
  EXPECT_TRUE(
      v.verify(token_of(R"({"alg":"ES256","kid":"next","typ":"at+jwt"})", payload(), next), kNow));
  EXPECT_EQ(v.issuer_to_refresh(), "");
  v.distrust("https://ca.test");
  EXPECT_EQ(v.verify(token, kNow).error().reason, reason::issuer);
}

TEST(TokenVerifier, KeysOfOneIssuerDoNotSpeakForAnother) {
  auto v = verifier();
  const auto us = crypto::SigningKey::generate(Algorithm::es256).value();
  v.trust({"https://us.test", domain::RegionId("us-east-1"),
           KeySet::create({{"es", us.public_key()}}).value()});
  EXPECT_EQ(v.verify(token_of(kHeader, payload(), us), kNow).error().reason, reason::signature);
  EXPECT_EQ(v.verify(token_of(kHeader, payload("ca.test", "us.test"), us), kNow).error().reason,
            reason::region);
}

}  // namespace
}  // namespace domicile::token
