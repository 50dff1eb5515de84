#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "crypto/signing_key.h"
#include "issuer/issuer_fixture.h"
#include "token/token_signer.h"

namespace domicile::issuer {
namespace {

constexpr const char* kProvider = "https://login.example/realms/school";

class Exchange : public IssuerTest {
 protected:
  Exchange()
      : key_(crypto::SigningKey::generate(crypto::Algorithm::es256).value()),
        public_key_(key_.public_key()),
        signer_("k1", std::move(key_)) {
    token::ExternalIssuer rules;
    rules.issuer = kProvider;
    rules.jwks_url = "https://login.example/keys";
    rules.audiences = {"portal"};
    rules.organization_claim = "org";
    rules.roles_claim = "groups";
    rules.organizations = {domain::OrgKey("7"), domain::OrgKey("8"), domain::OrgKey("9")};
    rules.roles = {{"Teachers", domain::RoleName("editor")}};
    external = {rules};
    restart();
    issuer->external().set_keys(kProvider, token::KeySet::create({{"k1", public_key_}}).value());
    directory.clients["portal"] = {.id = "portal", .token_exchange = true};
  }

  std::string provider_token(const std::string& organization = "7", std::int64_t lives_s = 600) {
    const std::int64_t now = clock.unix_seconds();
    const nlohmann::json claims = {{"iss", kProvider},
                                   {"sub", "ann.lee@school.example"},
                                   {"aud", "portal"},
                                   {"iat", now},
                                   {"exp", now + lives_s},
                                   {"org", organization},
                                   {"groups", {"Teachers", "x"}}};
    return signer_.sign_json("JWT", claims.dump()).value();
  }
  http::Response exchange(const std::string& subject_token, const std::string& more = "") {
    return post("/oauth2/token",
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
                "&client_id=portal"
                "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aid_token"
                "&subject_token=" +
                    subject_token + more);
  }

 private:
  crypto::SigningKey key_;

 protected:
  std::shared_ptr<const crypto::VerifyingKey> public_key_;

 private:
  token::TokenSigner signer_;
};

TEST_F(Exchange, AProvidersTokenBecomesOneOfThisRegionWithoutItsName) {
  const auto answer = exchange(provider_token());
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(body(answer)["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
  EXPECT_EQ(body(answer)["expires_in"], 600);  // not longer than the provider's
  EXPECT_FALSE(body(answer).contains("refresh_token"));
  const auto principal = verify(body(answer)["access_token"]);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->organization.text(), "7");
  EXPECT_TRUE(principal->subject.text().starts_with("x_"));
  ASSERT_EQ(principal->roles.size(), 1u);
  EXPECT_EQ(principal->roles[0].text(), "editor");
  EXPECT_FALSE(principal->permissions.empty());
  for (const auto& event : sink.events) {
    EXPECT_EQ(event.actor.text().find("ann"), std::string::npos);
    for (const auto& [name, value] : event.details)
      EXPECT_EQ(value.find("ann"), std::string::npos) << name;
  }
  EXPECT_EQ(verify(body(exchange(provider_token()))["access_token"])->subject,
            principal->subject);  // always the same
}

TEST_F(Exchange, OneSubjectAtTwoProvidersIsTwoPeople) {
  const auto other_key = crypto::SigningKey::generate(crypto::Algorithm::es256).value();
  token::ExternalIssuer other = external[0];
  for (const char* name : {"https://login.example/realms/school2", "https://login.example"}) {
    other.issuer = name;
    external = {external[0], other};
    restart();
    issuer->external().set_keys(kProvider, token::KeySet::create({{"k1", public_key_}}).value());
    issuer->external().set_keys(name,
                                token::KeySet::create({{"k1", other_key.public_key()}}).value());
    const auto subject = [&](const std::string& token) {
      return verify(body(exchange(token))["access_token"])->subject.text();
    };
    const std::int64_t now = clock.unix_seconds();
    const nlohmann::json claims = {{"iss", name},      {"sub", "ann.lee@school.example"},
                                   {"aud", "portal"},  {"iat", now},
                                   {"exp", now + 600}, {"org", "7"}};
    const std::string input = to_base64url(R"({"alg":"ES256","kid":"k1","typ":"JWT"})") + '.' +
                              to_base64url(claims.dump());
    const std::string theirs = input + '.' + to_base64url(other_key.sign(input).value());
    EXPECT_NE(subject(theirs), subject(provider_token()));
    EXPECT_EQ(subject(theirs), subject(theirs));
  }
}

TEST_F(Exchange, AnOrganizationOfAnotherRegionIsACrossRegionAttempt) {
  const auto answer = exchange(provider_token("8"));
  EXPECT_EQ(answer.status, 421);
  EXPECT_EQ(body(answer)["issuer"], "https://us.test");
  ASSERT_EQ(sink.events.size(), 1u);
  EXPECT_EQ(sink.events[0].reason, "cross_region_token");
  EXPECT_EQ(sink.events[0].severity, "high");
  EXPECT_TRUE(sink.events[0].actor.empty());
  EXPECT_TRUE(sink.events[0].source_ip.empty());
}

TEST_F(Exchange, WhatIsNotTrustedGetsNothing) {
  EXPECT_EQ(error(exchange("nonsense")), "invalid_grant");
  EXPECT_EQ(error(exchange(provider_token("10"))), "invalid_grant");  // not bound to it
  EXPECT_EQ(error(exchange(provider_token("9"))), "access_denied");   // suspended
  const std::string own = body(sign_in())["access_token"];
  EXPECT_EQ(error(exchange(own)), "invalid_grant");  // our own are no provider's
  EXPECT_EQ(error(exchange(provider_token(), "&actor_token=x")), "invalid_request");
  EXPECT_EQ(error(exchange(provider_token(), "&scope=org%3Aadmin")), "invalid_scope");
  directory.clients["portal"].token_exchange = false;
  EXPECT_EQ(error(exchange(provider_token())), "unauthorized_client");
}

TEST_F(Exchange, TheClientsCeilingHolds) {
  directory.clients["portal"].permissions = {domain::Permission("data:read")};
  const auto answer = exchange(provider_token());
  ASSERT_EQ(answer.status, 200);
  EXPECT_EQ(body(answer)["scope"], "data:read");
}

TEST_F(Exchange, AnUnknownKeyAsksForARefreshAndNothingElse) {
  std::string asked;
  issuer->external().on_unknown_key([&](std::string_view name) { asked = name; });
  issuer->external().set_keys(kProvider, nullptr);
  EXPECT_EQ(error(exchange(provider_token())), "invalid_grant");
  EXPECT_EQ(asked, kProvider);
}

}  // namespace
}  // namespace domicile::issuer
