#include "token/external_token.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "token/testing.h"
#include "token/token_error.h"

namespace domicile::token {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;
constexpr const char* kIssuer = "https://login.example/realms/school";

class ExternalToken : public ::testing::Test {
 protected:
  ExternalToken() : verifier_({rules(), second()}) {
    verifier_.set_keys(kIssuer, testing::key_set());
  }

  static ExternalIssuer rules() {
    ExternalIssuer out;
    out.issuer = kIssuer;
    out.audiences = {"app", "other-app"};
    out.organization_claim = "custom:org";
    out.roles_claim = "/realm_access/roles";
    out.organizations = {domain::OrgKey("7")};
    out.roles = {{"Teachers", domain::RoleName("instructor")},
                 {"Pupils", domain::RoleName("learner")}};
    return out;
  }
  static ExternalIssuer second() {
    ExternalIssuer out = rules();
    out.issuer = "https://other.example";
    return out;
  }
  static nlohmann::json claims() {
    return {{"iss", kIssuer},
            {"sub", "4f1c"},
            {"aud", {"app"}},
            {"iat", kNow - 600},
            {"exp", kNow + 600},
            {"custom:org", "7"},
            {"realm_access", {{"roles", {"Teachers", "uma_authorization"}}}}};
  }
  static std::string sign(const nlohmann::json& payload, const char* typ = "JWT") {
    const nlohmann::json header = {{"alg", "ES256"}, {"kid", "es"}, {"typ", typ}};
    return testing::token_of(header.dump(), payload.dump(),
                             testing::shared_key(crypto::Algorithm::es256));
  }
  Result<ExternalIdentity> verify(const nlohmann::json& payload) {
    return verifier_.verify(sign(payload), kNow);
  }
  std::string reason(const nlohmann::json& payload) {
    const auto out = verify(payload);
    return out ? "accepted" : out.error().reason;
  }

  ExternalVerifier verifier_;
};

TEST_F(ExternalToken, TheMappingReadsPersonOrganizationAndKnownRoles) {
  const auto out = verify(claims());
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->issuer, kIssuer);
  EXPECT_EQ(out->subject, "4f1c");
  EXPECT_EQ(out->organization.text(), "7");
  ASSERT_EQ(out->roles.size(), 1u);  // uma_authorization is nobody's business here
  EXPECT_EQ(out->roles[0].text(), "instructor");
  EXPECT_EQ(out->expires_at, kNow + 600);
}

TEST_F(ExternalToken, AProviderSpeaksForItsOrganizationsAlone) {
  auto payload = claims();
  payload["custom:org"] = "9";
  EXPECT_EQ(reason(payload), "organization_not_bound");
  payload["custom:org"] = 7;  // a number is a key too
  EXPECT_EQ(reason(payload), "accepted");
  for (const nlohmann::json& bad :
       {nlohmann::json(), nlohmann::json(7.0), nlohmann::json({"7"}), nlohmann::json("a b"),
        nlohmann::json(""), nlohmann::json(true)}) {
    payload["custom:org"] = bad;
    EXPECT_EQ(reason(payload), reason::claims) << bad;
  }
  payload.erase("custom:org");
  EXPECT_EQ(reason(payload), reason::claims);
}

TEST_F(ExternalToken, TheAudienceIsOneOfOursAlsoWhereCognitoNamesAClient) {
  auto payload = claims();
  payload["aud"] = "other-app";
  EXPECT_EQ(reason(payload), "accepted");
  payload["aud"] = "strangers";
  EXPECT_EQ(reason(payload), reason::audience);
  payload["client_id"] = "app";  // does not help where an audience is named
  payload["token_use"] = "access";
  EXPECT_EQ(reason(payload), reason::audience);
  payload.erase("aud");
  EXPECT_EQ(reason(payload), "accepted");
  payload["token_use"] = "id";
  EXPECT_EQ(reason(payload), reason::audience);
}

TEST_F(ExternalToken, GroupsMayBeMissingUnknownOrManyButNotOfAnotherType) {
  const auto roles = [&](const nlohmann::json& groups) {
    auto payload = claims();
    payload["realm_access"]["roles"] = groups;
    const auto out = verify(payload);
    std::string names;
    if (!out) return out.error().reason;
    for (const auto& role : out->roles) names += role.text() + ' ';
    return names;
  };
  EXPECT_EQ(roles({"uma_authorization"}), "");  // maps to nothing: no role, no error
  EXPECT_EQ(roles(nlohmann::json::array()), "");
  EXPECT_EQ(roles({"Pupils", "Teachers", "Pupils"}), "instructor learner ");
  EXPECT_EQ(roles("Teachers Pupils x"), "instructor learner ");
  EXPECT_EQ(roles({"teachers", "Teachers ", " Teachers"}), "");  // compared as a whole
  for (const nlohmann::json& bad :
       {nlohmann::json(7), nlohmann::json(true), nlohmann::json({{"Teachers", true}}),
        nlohmann::json({"Teachers", 7}), nlohmann::json({{"Teachers"}}), nlohmann::json()})
    EXPECT_EQ(roles(bad), reason::claims) << bad;
  auto payload = claims();
  payload.erase("realm_access");
  EXPECT_EQ(reason(payload), "accepted");
  payload["realm_access"] = "Teachers";  // the path leads nowhere
  EXPECT_EQ(reason(payload), "accepted");
}

TEST_F(ExternalToken, OneOrganizationIsNamedAndNeverTwo) {
  auto payload = claims();
  for (const nlohmann::json& bad :
       {nlohmann::json({"7"}), nlohmann::json({"7", "9"}), nlohmann::json({{"id", "7"}}),
        nlohmann::json("7,9"), nlohmann::json("7 9"), nlohmann::json("7\n9"),
        nlohmann::json(std::string("7\0", 2)), nlohmann::json(-7), nlohmann::json(7.5)}) {
    payload["custom:org"] = bad;
    EXPECT_NE(reason(payload), "accepted") << bad;
  }
}

TEST_F(ExternalToken, AClaimIsFoundByItsExactPath) {
  ExternalIssuer nested = rules();
  nested.organization_claim = "/tenants/0/org";
  nested.subject_claim = "/identity/a~1b";  // RFC 6901: the name is "a/b"
  ExternalVerifier verifier({nested});
  verifier.set_keys(kIssuer, testing::key_set());
  auto payload = claims();
  payload["tenants"] = {{{"org", "7"}}, {{"org", "9"}}};
  payload["identity"] = {{"a/b", "person"}};
  const auto out = verifier.verify(sign(payload), kNow);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->organization.text(), "7");
  EXPECT_EQ(out->subject, "person");
  payload["tenants"] = nlohmann::json::array();
  EXPECT_EQ(verifier.verify(sign(payload), kNow).error().reason, reason::claims);
  for (const nlohmann::json& bad :
       {nlohmann::json(), nlohmann::json(""), nlohmann::json({"x"}),
        nlohmann::json(std::string(300, 'x')), nlohmann::json("a\tb")}) {
    payload = claims();
    payload["sub"] = bad;
    EXPECT_EQ(reason(payload), reason::claims) << bad;
  }
}

TEST_F(ExternalToken, TimesAreWholeBoundedAndChecked) {
  const auto with = [&](const char* name, const nlohmann::json& value) {
    auto payload = claims();
    payload[name] = value;
    return reason(payload);
  };
  EXPECT_EQ(with("exp", kNow - 31), reason::expired);
  EXPECT_EQ(with("exp", kNow + 90'000), reason::claims);
  EXPECT_EQ(with("exp", "soon"), reason::claims);
  EXPECT_EQ(with("exp", 1.5), reason::claims);
  EXPECT_EQ(with("iat", kNow + 31), reason::not_yet);
  EXPECT_EQ(with("nbf", kNow + 31), reason::not_yet);
  auto payload = claims();
  payload.erase("iat");
  EXPECT_EQ(reason(payload), reason::claims);
}

TEST_F(ExternalToken, KeysOfOneIssuerSignForNoOther) {
  auto payload = claims();
  payload["iss"] = "https://other.example";
  EXPECT_EQ(reason(payload), reason::key);
  EXPECT_EQ(verifier_.issuer_to_refresh(), "https://other.example");
  const auto other = crypto::SigningKey::generate(crypto::Algorithm::es256).value();
  verifier_.set_keys("https://other.example", KeySet::create({{"es", other.public_key()}}).value());
  EXPECT_FALSE(verify(payload));
  payload["iss"] = "https://stranger.example";
  EXPECT_EQ(reason(payload), reason::issuer);
  verifier_.set_keys(kIssuer, nullptr);  // given up
  EXPECT_EQ(reason(claims()), reason::key);
}

TEST_F(ExternalToken, OtherKindsOfTokensAreRefused) {
  EXPECT_EQ(verifier_.verify(sign(claims(), "logout+jwt"), kNow).error().reason, reason::header);
  EXPECT_TRUE(verifier_.verify(sign(claims(), "at+jwt"), kNow));
  std::string token = sign(claims());
  token[token.size() - 5] = token[token.size() - 5] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(verifier_.verify(token, kNow));
  EXPECT_FALSE(verifier_.verify("eyJhbGciOiJub25lIn0.e30.", kNow));
}

}  // namespace
}  // namespace domicile::token
