#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "crypto/sha256.h"
#include "issuer/browser_fixture.h"

namespace domicile::issuer {
namespace {

TEST_F(SignInTest, ACodeBecomesTokensOfThePersonAndOfThisBrowser) {
  const auto page = open();
  ASSERT_EQ(page.status, 200);
  EXPECT_NE(page.body.find("<strong>acme</strong>"), std::string::npos);
  const auto answer = submit(page);
  ASSERT_EQ(answer.status, 303);
  EXPECT_TRUE(header(answer, "location").starts_with("https://app.test/done?code=ac1."));
  EXPECT_EQ(parameter(answer, "state"), "s1");
  EXPECT_EQ(parameter(answer, "iss"), "https://ca.test");  // RFC 9207
  EXPECT_EQ(count("oauth2.authorize"), 1u);
  const auto tokens = redeem(parameter(answer, "code"));
  ASSERT_EQ(tokens.status, 200) << tokens.body;
  const auto principal = verify(body(tokens)["access_token"]);
  ASSERT_TRUE(principal);
  EXPECT_EQ(principal->subject.text(), "u_1");
  EXPECT_EQ(principal->client_id, "spa");
  EXPECT_FALSE(body(tokens).contains("id_token"));  // nobody asked
  EXPECT_EQ(post("/oauth2/token", "grant_type=refresh_token&client_id=spa&refresh_token=" +
                                      body(tokens)["refresh_token"].get<std::string>())
                .status,
            200);
}

TEST_F(SignInTest, CookiesAreForThisHostAloneAndOutOfScriptsReach) {
  submit(open());
  ASSERT_EQ(set_cookies.size(), 2u);
  for (const std::string& cookie : set_cookies) {
    EXPECT_TRUE(cookie.starts_with("__Host-domicile-")) << cookie;
    for (const char* mark : {"; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"})
      EXPECT_NE(cookie.find(mark), std::string::npos) << cookie;
    EXPECT_EQ(cookie.find("Domain"), std::string::npos);
  }
}

TEST_F(SignInTest, AnIdTokenSaysWhoWhereWhenAndNothingPersonal) {
  const auto tokens = redeem(code_of_sign_in("&scope=openid+email&nonce=n-7"));
  ASSERT_EQ(tokens.status, 200) << tokens.body;
  const std::string token = body(tokens)["id_token"];
  const auto first = token.find('.'), second = token.find('.', first + 1);
  const auto claims =
      nlohmann::json::parse(from_base64url(token.substr(first + 1, second - first - 1)).value());
  EXPECT_EQ(claims["iss"], "https://ca.test");
  EXPECT_EQ(claims["aud"], "spa");
  EXPECT_EQ(claims["sub"], "u_1");
  EXPECT_EQ(claims["nonce"], "n-7");
  EXPECT_EQ(claims["auth_time"], clock.unix_seconds());
  EXPECT_EQ(token.find("ann@"), std::string::npos);
  EXPECT_EQ(claims.dump().find("ann"), std::string::npos);
}

TEST_F(SignInTest, AnotherRegionsOrganizationIsSentHomeBeforeAnybodyTypesAnything) {
  const auto answer = open(query("&organization=beta"));
  EXPECT_EQ(answer.status, 303);
  EXPECT_EQ(header(answer, "location"),
            "https://us.test/oauth2/authorize?" + query("&organization=beta"));
  EXPECT_TRUE(sink.events.empty());
  // Also when a page of before is sent back with somebody else's organization: no password is read.
  const auto page = open();
  const auto moved = send("POST", "/oauth2/authorize", query("&organization=beta"),
                          "form=" + hidden(page) + "&username=ann&password=correct+horse");
  EXPECT_EQ(moved.status, 303);
  EXPECT_TRUE(header(moved, "location").starts_with("https://us.test/"));
}

TEST_F(SignInTest, WithoutAnOrganizationThePageAsksForItAndNeverForAnAddress) {
  const auto page = open(query(""));
  EXPECT_EQ(page.status, 200);
  EXPECT_NE(page.body.find("name=\"organization\""), std::string::npos);
  EXPECT_NE(page.body.find("name=\"code_challenge\" value=\""), std::string::npos);
  EXPECT_EQ(page.body.find("password"), std::string::npos);
  EXPECT_EQ(open(query("&organization=ann%40acme.test")).status, 400);
  EXPECT_EQ(open(query("&organization=a%20b")).status, 400);
}

TEST_F(SignInTest, AnUnknownOrganizationFailsLikeAWrongPassword) {
  std::string name;
  for (int i = 0; name.empty(); ++i) {  // one that the keyed hash maps to this region
    const std::string tried = "nobody" + std::to_string(i);
    if (open(query("&organization=" + tried)).status == 200) name = tried;
  }
  const std::string unknown = query("&organization=" + name);
  const auto wrong = submit(open(), query(), "wrong+horse");
  const auto nobody = submit(open(unknown), unknown);
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(nobody.status, wrong.status);
  EXPECT_NE(wrong.body.find("User name or password is wrong."), std::string::npos);
  EXPECT_NE(nobody.body.find("User name or password is wrong."), std::string::npos);
}

TEST_F(SignInTest, GuessingIsLockedOut) {
  http::Response last;
  for (int i = 0; i < 6; ++i) last = submit(open(), query(), "wrong+horse");
  EXPECT_EQ(last.status, 429);
  EXPECT_NE(header(last, "retry-after"), "");
  EXPECT_EQ(submit(open()).status, 429);  // the right one too
}

TEST_F(SignInTest, OneAddressCannotTryManyNamesByPageAndTokenEndpointTogether) {
  for (int i = 0; i < 30; ++i) sign_in("nobody" + std::to_string(i), "wrong+horse");
  http::Response last;
  for (int i = 0; i < 31; ++i) {
    const auto page = open();
    last = send(
        "POST", "/oauth2/authorize", query(),
        "form=" + hidden(page) + "&username=noone" + std::to_string(i) + "&password=wrong+horse");
  }
  EXPECT_EQ(last.status, 429);
  ip = "198.51.100.7";  // others are not concerned
  EXPECT_EQ(submit(open()).status, 303);
}

TEST_F(SignInTest, AFormOfAnotherBrowserSiteOrTimeIsNotTaken) {
  const auto page = open();
  const auto mine = jar;
  jar.clear();
  EXPECT_EQ(submit(page).status, 400);  // no cookie
  jar["__Host-domicile-browser"] = "somebodyelse";
  EXPECT_EQ(submit(page).status, 400);
  jar = mine;
  EXPECT_EQ(submit(page, query("&organization=acme&nonce=x")).status, 400);  // other parameters
  site = "cross-site";
  EXPECT_EQ(submit(page).status, 400);
  site = "same-origin";
  clock.advance(std::chrono::hours(2));
  EXPECT_EQ(submit(page).status, 400);
  EXPECT_TRUE(directory.codes.empty());
}

TEST_F(SignInTest, NothingIsSentToAnAddressThatIsNotRegistered) {
  for (const char* uri :
       {"https%3A%2F%2Fevil.test%2Fdone", "https%3A%2F%2Fapp.test%2Fdone%2F",
        "https%3A%2F%2Fapp.test%2Fdone%3Fx%3D1", "https%3A%2F%2Fapp.test.evil%2Fdone",
        "http%3A%2F%2Fapp.test%2Fdone", "javascript%3Aalert(1)", ""}) {
    const auto answer = open(std::string("client_id=spa&response_type=code&organization=acme"
                                         "&code_challenge_method=S256&code_challenge=") +
                             kChallenge + "&redirect_uri=" + uri);
    EXPECT_EQ(answer.status, 400) << uri;
    EXPECT_EQ(header(answer, "location"), "") << uri;
  }
  EXPECT_EQ(
      open("client_id=nobody&redirect_uri=https%3A%2F%2Fapp.test%2Fdone&organization=acme").status,
      400);
  EXPECT_EQ(
      open("client_id=web&redirect_uri=https%3A%2F%2Fapp.test%2Fdone&organization=acme").status,
      400);  // no application of the sign-in page
}

TEST_F(SignInTest, WhatIsWrongWithTheRestGoesBackToTheApplication) {
  const std::string base =
      "client_id=spa&redirect_uri=https%3A%2F%2Fapp.test%2Fdone&state=s1&organization=acme";
  const std::string pkce = std::string("&code_challenge_method=S256&code_challenge=") + kChallenge;
  const std::pair<std::string, std::string> cases[] = {
      {"&response_type=token" + pkce, "unsupported_response_type"},
      {"&response_type=code", "invalid_request"},  // no PKCE
      {std::string("&response_type=code&code_challenge_method=plain&code_challenge=") + kVerifier,
       "invalid_request"},
      {"&response_type=code&code_challenge_method=S256&code_challenge=short", "invalid_request"},
      {"&response_type=code&scope=no%0Ascope" + pkce, "invalid_scope"},
      {"&response_type=code&response_mode=fragment" + pkce, "invalid_request"},
      {"&response_type=code&request=eyJ" + pkce, "request_not_supported"},
      {"&response_type=code&prompt=none" + pkce, "login_required"},
      {"&response_type=code&prompt=dance" + pkce, "invalid_request"},
      {"&response_type=code&max_age=-1" + pkce, "invalid_request"}};
  for (const auto& [more, error] : cases) {
    const auto answer = open(base + more);
    EXPECT_EQ(answer.status, 303) << more;
    EXPECT_EQ(parameter(answer, "error"), error) << more;
    EXPECT_EQ(parameter(answer, "state"), "s1") << more;
  }
}

TEST_F(SignInTest, ACodeCountsOnceAndASecondTryEndsWhatTheFirstOneGave) {
  const std::string code = code_of_sign_in();
  const auto first = redeem(code);
  ASSERT_EQ(first.status, 200);
  const auto second = redeem(code);
  EXPECT_EQ(error(second), "invalid_grant");
  const std::string refresh_token = body(first)["refresh_token"];
  EXPECT_EQ(error(post("/oauth2/token",
                       "grant_type=refresh_token&client_id=spa&refresh_token=" + refresh_token)),
            "invalid_grant");
  ASSERT_TRUE(issuer->revocations().refresh());
  EXPECT_TRUE(issuer->revocations().current()->covers(*verify(body(first)["access_token"])));
  const auto reused = std::ranges::find(sink.events, "high", &domain::Event::severity);
  ASSERT_NE(reused, sink.events.end());
  EXPECT_EQ(reused->actor.text(), "u_1");
}

TEST_F(SignInTest, ACodeIsWorthNothingToAnybodyElse) {
  const std::string code = code_of_sign_in();
  directory.clients["other"] = directory.clients["spa"];
  directory.clients["other"].id = "other";
  EXPECT_EQ(error(redeem(code, kVerifier, "https%3A%2F%2Fapp.test%2Fdone", "other")),
            "invalid_grant");
  EXPECT_EQ(error(redeem(code, std::string(43, 'x'))), "invalid_grant");
  EXPECT_EQ(error(redeem(code, kVerifier, "https%3A%2F%2Fapp.test%2Felsewhere")), "invalid_grant");
  EXPECT_EQ(error(redeem("ac1.unknown")), "invalid_grant");
  EXPECT_EQ(redeem(code).status, 200);  // the rightful one was not harmed
  const std::string late = code_of_sign_in();
  clock.advance(std::chrono::seconds(61));
  EXPECT_EQ(error(redeem(late)), "invalid_grant");
}

TEST_F(SignInTest, WhoIsSignedInHereIsNotAskedAgainUnlessTheApplicationWantsIt) {
  submit(open());
  EXPECT_TRUE(parameter(open(), "code").starts_with("ac1."));
  EXPECT_TRUE(parameter(open(query("")), "code").starts_with("ac1."));  // no organization needed
  EXPECT_TRUE(parameter(open(query("&prompt=none")), "code").starts_with("ac1."));
  EXPECT_EQ(open(query("&organization=acme&prompt=login")).status, 200);
  clock.advance(std::chrono::seconds(10));
  EXPECT_EQ(open(query("&organization=acme&max_age=5")).status, 200);
  EXPECT_EQ(open(query("&organization=acme&max_age=60")).status, 303);
  EXPECT_EQ(open(query("&organization=sleepy")).status,
            200);  // another organization: another person
  clock.advance(std::chrono::hours(13));
  EXPECT_EQ(open().status, 200);
}

TEST_F(SignInTest, SigningOutTakesAClickAndEndsTheRefreshTokensOfThisBrowser) {
  const auto tokens = redeem(code_of_sign_in());
  const std::string out =
      "client_id=spa&state=z&post_logout_redirect_uri=https%3A%2F%2Fapp.test%2Fbye";
  const auto page = send("GET", "/oauth2/logout", out);
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(open().status, 303);  // a link alone signs nobody out
  const auto done = send("POST", "/oauth2/logout", out, "form=" + hidden(page));
  EXPECT_EQ(header(done, "location"), "https://app.test/bye?state=z");
  EXPECT_EQ(open().status, 200);
  EXPECT_EQ(error(post("/oauth2/token", "grant_type=refresh_token&client_id=spa&refresh_token=" +
                                            body(tokens)["refresh_token"].get<std::string>())),
            "invalid_grant");
  EXPECT_EQ(count("oauth2.logout"), 1u);
  const auto elsewhere = send("GET", "/oauth2/logout",
                              "client_id=spa&post_logout_redirect_uri=https%3A%2F%2Fevil.test%2F");
  EXPECT_EQ(header(elsewhere, "location"), "");
}

TEST_F(SignInTest, NothingLeavesBeforeItsEventIsDurable) {
  const auto page = open();
  sink.full = true;
  EXPECT_EQ(submit(page).status, 503);
  sink.full = false;
  const std::string code = code_of_sign_in();
  sink.full = true;
  EXPECT_EQ(redeem(code).status, 503);
  sink.full = false;
  EXPECT_EQ(redeem(code).status, 200);  // the code was not used up
}

TEST_F(SignInTest, WhatIsTypedIntoAPageIsNeverPartOfIt) {
  const auto page = submit(open(), query(), "wrong");
  EXPECT_EQ(page.status, 400);
  const std::string attack = query("&organization=acme&x=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
  const auto opened = open(attack + "\"><script>");
  EXPECT_EQ(opened.body.find("<script"), std::string::npos);
  const auto asked = open(query("&y=%22%3E%3Cscript%3E"));
  EXPECT_EQ(asked.body.find("<script"), std::string::npos);
  const std::string policy = header(asked, "content-security-policy");
  EXPECT_NE(policy.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
  EXPECT_NE(policy.find("https://us.test"), std::string::npos);  // where the form may lead
}

TEST_F(SignInTest, ADisabledPersonsSessionAndCodeAreWorthNothing) {
  const std::string code = code_of_sign_in();
  directory.users["u_1"].active = false;
  EXPECT_EQ(open().status, 200);
  EXPECT_EQ(error(redeem(code)), "invalid_grant");
}

TEST_F(SignInTest, SuspendedAndMovingOrganizationsSignNobodyIn) {
  const std::string suspended = query("&organization=sleepy");
  const auto page = open(suspended);
  const auto answer = send("POST", "/oauth2/authorize", suspended,
                           "form=" + hidden(page) + "&username=zed&password=correct+horse");
  EXPECT_EQ(answer.status, 403);
  EXPECT_TRUE(directory.codes.empty());
}

}  // namespace
}  // namespace domicile::issuer
