#include <utility>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "issuer/browser_fixture.h"

namespace domicile::issuer {
namespace {

class TokenLifecycle : public SignInTest {
 protected:
  static http::Headers secret() {
    return {{"authorization", "Basic " + to_base64("service:s3cret%26x")}};
  }
  nlohmann::json ask(const std::string& token) {
    return body(post("/oauth2/introspect", "token=" + token, secret()));
  }
};

TEST_F(TokenLifecycle, AServiceMayAskAboutItsOrganizationsTokens) {
  const std::string token = body(redeem(code_of_sign_in()))["access_token"];
  const auto told = ask(token);
  EXPECT_EQ(told["active"], true);
  EXPECT_EQ(told["sub"], "u_1");
  EXPECT_EQ(told["org"], "7");
  EXPECT_EQ(ask("nonsense"), (nlohmann::json{{"active", false}}));
  directory.clients["service"].organization = domain::OrgKey("9");
  EXPECT_EQ(ask(token), (nlohmann::json{{"active", false}}));
  directory.clients["service"].organization = domain::OrgKey("7");
  clock.advance(std::chrono::hours(1));
  EXPECT_EQ(ask(token), (nlohmann::json{{"active", false}}));
  EXPECT_EQ(post("/oauth2/introspect", "client_id=spa&token=" + token).status, 401);
}

TEST_F(TokenLifecycle, WhoSignsInRightAfterBeingSignedOutEverywhereIsBelieved) {
  const std::string before = body(redeem(code_of_sign_in()))["access_token"];
  const std::int64_t now = clock.unix_seconds();
  ASSERT_TRUE(directory.revoke({.kind = store::Revocation::Kind::user,
                                .subject = "u_1",
                                .issued_before = now,
                                .expires_at = now + 3600},
                               now));
  ASSERT_TRUE(issuer->revocations().refresh());
  EXPECT_EQ(ask(before), (nlohmann::json{{"active", false}}));
  jar.clear();  // a new browser, in the same second
  const std::string after = body(redeem(code_of_sign_in()))["access_token"];
  EXPECT_EQ(ask(after)["active"], true);
}

TEST_F(TokenLifecycle, SigningOutCallsBackWhatThisBrowsersApplicationsGotAndNothingElse) {
  const std::string first = body(redeem(code_of_sign_in()))["access_token"];
  const std::string second = body(redeem(parameter(open(), "code")))["access_token"];
  const std::string early = parameter(open(), "code");  // redeemed too late
  const auto here = std::exchange(jar, {});
  const std::string elsewhere = body(redeem(code_of_sign_in()))["access_token"];
  EXPECT_NE(verify(first)->session, verify(second)->session);
  jar = here;
  const auto page = send("GET", "/oauth2/logout", "client_id=spa");
  send("POST", "/oauth2/logout", "client_id=spa", "form=" + hidden(page));
  EXPECT_EQ(ask(first), (nlohmann::json{{"active", false}}));
  EXPECT_EQ(ask(second), (nlohmann::json{{"active", false}}));
  EXPECT_EQ(ask(elsewhere)["active"], true);
  EXPECT_EQ(error(redeem(early)), "invalid_grant");
  for (const auto& revocation : directory.revoked)  // no longer than tokens can live
    EXPECT_LE(revocation.expires_at, clock.unix_seconds() + 960);
}

TEST_F(TokenLifecycle, ARefreshTokenThatEndsTakesItsAccessTokensAlongAndNoOtherApplications) {
  const auto stolen = body(redeem(code_of_sign_in()));
  const std::string other = body(redeem(parameter(open(), "code")))["access_token"];
  const auto use = [&] {
    return post("/oauth2/token", "grant_type=refresh_token&client_id=spa&refresh_token=" +
                                     stolen["refresh_token"].get<std::string>());
  };
  const std::string thiefs = body(use())["access_token"];
  EXPECT_EQ(ask(thiefs)["active"], true);
  EXPECT_EQ(error(use()), "invalid_grant");  // the second use
  EXPECT_EQ(ask(thiefs), (nlohmann::json{{"active", false}}));
  EXPECT_EQ(ask(stolen["access_token"]), (nlohmann::json{{"active", false}}));
  EXPECT_EQ(ask(other)["active"], true);

  const auto given = body(sign_in());
  EXPECT_EQ(ask(given["access_token"])["active"], true);
  post("/oauth2/revoke", "client_id=web&token=" + given["refresh_token"].get<std::string>());
  EXPECT_EQ(ask(given["access_token"]), (nlohmann::json{{"active", false}}));
}

TEST_F(TokenLifecycle, AnAccessTokenIsRevokedByItsOwnClientAlone) {
  const std::string token = body(redeem(code_of_sign_in()))["access_token"];
  EXPECT_EQ(post("/oauth2/revoke", "client_id=web&token=" + token).status, 200);
  EXPECT_EQ(ask(token)["active"], true);
  EXPECT_EQ(post("/oauth2/revoke", "client_id=spa&token=" + token).status, 200);
  EXPECT_EQ(ask(token), (nlohmann::json{{"active", false}}));
  EXPECT_EQ(count("oauth2.revoke"), 1u);
}

}  // namespace
}  // namespace domicile::issuer
