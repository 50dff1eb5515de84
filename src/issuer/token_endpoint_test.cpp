#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/encoding.h"
#include "issuer/issuer_fixture.h"

namespace domicile::issuer {
namespace {

using domain::EventKind;
using domain::Outcome;

class PasswordGrant : public IssuerTest {};
class RefreshGrant : public IssuerTest {};
class ClientGrant : public IssuerTest {};
class TokenRequest : public IssuerTest {};
class SignInEvents : public IssuerTest {};
class Lockout : public IssuerTest {};

TEST_F(PasswordGrant, GivesATokenThatTheDoorBelieves) {
  const auto response = sign_in();
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(header(response, "cache-control"), "no-store");
  EXPECT_EQ(body(response)["token_type"], "Bearer");
  EXPECT_EQ(body(response)["expires_in"], 900);
  EXPECT_EQ(body(response)["scope"], "data:read data:write");
  const auto principal = verify(body(response)["access_token"]);
  ASSERT_TRUE(principal) << principal.error().message;
  EXPECT_EQ(principal->subject.text(), "u_1");
  EXPECT_EQ(principal->organization.text(), "7");
  EXPECT_EQ(principal->region.text(), "ca-central-1");
  EXPECT_EQ(principal->epoch, 3u);
  EXPECT_EQ(principal->roles[0].text(), "editor");
}

TEST_F(PasswordGrant, TakesTheOrganizationBySlugOrKeyInAnyCase) {
  EXPECT_EQ(sign_in("ann%40acme.test", "correct+horse", "ACME").status, 200);
  EXPECT_EQ(sign_in("ANN%40Acme.test", "correct+horse", "7").status, 200);
}

TEST_F(PasswordGrant, AnswersEverythingWrongInOneWay) {
  const auto wrong_password = sign_in("ann%40acme.test", "wrong+horse");
  const auto unknown_user = sign_in("bob%40acme.test");
  directory.users["u_1"].active = false;
  const auto disabled = sign_in();
  const auto not_a_login = sign_in("a%0Ab");
  for (const auto& response : {wrong_password, unknown_user, disabled, not_a_login}) {
    EXPECT_EQ(response.status, 400);
    EXPECT_EQ(response.body, wrong_password.body);
    EXPECT_EQ(response.headers, wrong_password.headers);
  }
  EXPECT_EQ(error(wrong_password), "invalid_grant");
}

TEST_F(PasswordGrant, UnknownOrganizationsLookLikeKnownOnesSomewhere) {
  int here = 0, there = 0;
  for (int i = 0; i < 40; ++i) {
    ip = "198.51.100." + std::to_string(i);
    const auto organization = "nobody" + std::to_string(i);
    const auto first = sign_in("ann", "correct+horse", organization);
    EXPECT_EQ(sign_in("ann", "correct+horse", organization).body,
              first.body);  // the same answer each time
    if (first.status == 421) {
      EXPECT_EQ(first.body, sign_in("ann", "correct+horse", "beta").body);
      ++there;
    } else {
      EXPECT_EQ(error(first), "invalid_grant");
      ++here;
    }
  }
  EXPECT_GT(here, 5);
  EXPECT_GT(there, 5);
}

TEST_F(PasswordGrant, OfAnotherRegionsOrganizationNamesItsHomeAndRecordsNobody) {
  const auto response = sign_in("secret-person", "correct+horse", "beta");
  EXPECT_EQ(response.status, 421);
  EXPECT_EQ(error(response), "wrong_region");
  EXPECT_EQ(body(response)["issuer"], "https://us.test");
  ASSERT_EQ(sink.events.size(), 1u);
  const auto& event = sink.events[0];
  EXPECT_EQ(event.reason, "wrong_region");
  EXPECT_EQ(event.organization.text(), "8");
  EXPECT_EQ(event.request_id, "r1");
  EXPECT_TRUE(event.actor.empty());
  EXPECT_TRUE(event.source_ip.empty());
  EXPECT_TRUE(event.resource.empty());
  EXPECT_TRUE(event.details.empty());
}

TEST_F(PasswordGrant, SuspendedAndMovingOrganizationsGetNoToken) {
  EXPECT_EQ(error(sign_in("zed", "wrong+horse", "sleepy")), "invalid_grant");
  EXPECT_EQ(error(sign_in("zed", "correct+horse", "sleepy")), "access_denied");
  add_user("u_10", "10", "mo", {"member"});
  const auto moving = sign_in("mo", "correct+horse", "movers");
  EXPECT_EQ(moving.status, 503);
  EXPECT_NE(header(moving, "retry-after"), "");
}

TEST_F(PasswordGrant, GivesAtMostWhatRolesAndClientAllow) {
  EXPECT_EQ(
      body(sign_in("ann%40acme.test", "correct+horse", "acme", "&scope=data%3Aread"))["scope"],
      "data:read");
  EXPECT_EQ(error(sign_in("ann%40acme.test", "correct+horse", "acme", "&scope=org%3Aadmin")),
            "invalid_scope");
  EXPECT_EQ(error(sign_in("ann%40acme.test", "correct+horse", "acme", "&scope=data%3A*")),
            "invalid_scope");
  directory.clients["web"].permissions = {domain::Permission("data:read")};
  EXPECT_EQ(body(sign_in())["scope"], "data:read");
  directory.roles["7"][domain::RoleName("editor")] = {
      domain::Permission("data:delete")};  // the organization's own
  directory.clients["web"].permissions.clear();
  EXPECT_EQ(body(sign_in())["scope"], "data:delete");
}

TEST_F(PasswordGrant, CarriesLiveGrants) {
  const auto now = clock.unix_seconds();
  directory.grants["u_1"] = {
      {"g_1", domain::OrgKey("9"), {domain::Permission("data:read")}, now + 3600},
      {"g_2", domain::OrgKey("9"), {domain::Permission("data:read")}, now - 1}};
  const auto principal = verify(body(sign_in())["access_token"]);
  ASSERT_EQ(principal->grants.size(), 1u);
  EXPECT_EQ(principal->grants[0].id, "g_1");
  EXPECT_EQ(principal->grants[0].organization.text(), "9");
}

TEST_F(ClientGrant, ServicesProveThemselvesByBasicOrForm) {
  const auto basic = "Basic " + to_base64("service:s3cret%26x");
  const auto response =
      post("/oauth2/token", "grant_type=client_credentials", {{"authorization", basic}});
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(body(response)["scope"], "reports:read");
  EXPECT_FALSE(body(response).contains("refresh_token"));
  EXPECT_EQ(verify(body(response)["access_token"])->subject.text(), "service");
  const auto form = post(
      "/oauth2/token", "grant_type=client_credentials&client_id=service&client_secret=s3cret%26x");
  EXPECT_EQ(form.status, 200);
}

TEST_F(ClientGrant, EveryWrongClientIsAnsweredAlike) {
  const std::string grant = "grant_type=client_credentials";
  directory.clients["off"] = directory.clients["service"];
  directory.clients["off"].id = "off";
  directory.clients["off"].active = false;
  for (const std::string& who :
       {"&client_id=service&client_secret=wrong", "&client_id=nobody&client_secret=s3cret%26x",
        "&client_id=service", "&client_id=off&client_secret=s3cret%26x",
        "&client_id=", "&client_id=web&client_secret=x", ""}) {
    const auto response = post("/oauth2/token", grant + who);
    EXPECT_EQ(response.status, 401) << who;
    EXPECT_EQ(error(response), "invalid_client") << who;
    EXPECT_NE(header(response, "www-authenticate"), "");
  }
  EXPECT_EQ(error(post("/oauth2/token", grant + "&client_id=web")), "unauthorized_client");
}

TEST_F(ClientGrant, CredentialsTwiceOrMalformedAreRefused) {
  const auto basic = "Basic " + to_base64("service:s3cret%26x");
  const std::string grant = "grant_type=client_credentials";
  EXPECT_EQ(
      error(post("/oauth2/token", grant + "&client_secret=s3cret%26x", {{"authorization", basic}})),
      "invalid_request");
  EXPECT_EQ(error(post("/oauth2/token", grant + "&client_id=web", {{"authorization", basic}})),
            "invalid_request");
  EXPECT_EQ(
      error(post("/oauth2/token", grant, {{"authorization", basic}, {"authorization", basic}})),
      "invalid_request");
  for (const char* bad : {"Bearer abc", "Basic", "Basic ", "Basic !!!",
                          "Basic c2VydmljZQ==", "Basic c2VydmljZTolR0c="}) {
    EXPECT_EQ(error(post("/oauth2/token", grant, {{"authorization", bad}})), "invalid_request")
        << bad;
  }
}

TEST_F(RefreshGrant, RotatesAndKeepsTheScopeOfTheSignIn) {
  std::string token = body(
      sign_in("ann%40acme.test", "correct+horse", "acme", "&scope=data%3Aread"))["refresh_token"];
  for (int i = 0; i < 3; ++i) {
    const auto response = refresh(token);
    ASSERT_EQ(response.status, 200) << response.body;
    EXPECT_EQ(body(response)["scope"], "data:read");
    EXPECT_NE(body(response)["refresh_token"], token);
    token = body(response)["refresh_token"];
  }
  EXPECT_EQ(error(refresh(token, "&scope=data%3Awrite")), "invalid_scope");
}

TEST_F(RefreshGrant, ReuseEndsTheWholeFamily) {
  const std::string first = body(sign_in())["refresh_token"];
  const std::string second = body(refresh(first))["refresh_token"];
  EXPECT_EQ(error(refresh(first)), "invalid_grant");   // the thief, or the victim
  EXPECT_EQ(error(refresh(second)), "invalid_grant");  // and the other one too
  bool alarmed = false;
  for (const auto& event : sink.events) {
    for (const auto& [name, value] : event.details) alarmed = alarmed || value == "refresh_reused";
  }
  EXPECT_TRUE(alarmed);
  EXPECT_EQ(sign_in().status, 200);  // a new sign-in is a new family
}

TEST_F(RefreshGrant, EndsWithTimeUserClientAndRevocation) {
  const std::string token = body(sign_in())["refresh_token"];
  directory.clients["other"] = directory.clients["web"];
  directory.clients["other"].id = "other";
  EXPECT_EQ(error(post("/oauth2/token",
                       "grant_type=refresh_token&client_id=other&refresh_token=" + token)),
            "invalid_grant");
  EXPECT_EQ(error(refresh("rt1.nonsense")), "invalid_grant");
  directory.users["u_1"].active = false;
  EXPECT_EQ(error(refresh(token)), "invalid_grant");
  directory.users["u_1"].active = true;
  EXPECT_EQ(post("/oauth2/revoke", "client_id=other&token=" + token).status,
            200);  // not theirs: nothing happens
  const std::string next = body(refresh(token))["refresh_token"];
  EXPECT_EQ(post("/oauth2/revoke", "client_id=web&token=unknown").status, 200);
  EXPECT_EQ(post("/oauth2/revoke", "client_id=web&token=" + next).status, 200);
  EXPECT_EQ(error(refresh(next)), "invalid_grant");

  const std::string old = body(sign_in())["refresh_token"];
  clock.advance(std::chrono::hours(24 * 14));
  EXPECT_EQ(error(refresh(old)), "invalid_grant");
}

TEST_F(RefreshGrant, ATokenIsNotUsedUpWhenItsEventCannotBeStored) {
  const std::string token = body(sign_in())["refresh_token"];
  sink.full = true;
  EXPECT_EQ(refresh(token).status, 503);
  sink.full = false;
  EXPECT_EQ(refresh(token).status, 200);
}

TEST_F(TokenRequest, MustBeAWellFormedForm) {
  const std::string good =
      "grant_type=password&client_id=web&username=a&password=b&organization=acme";
  EXPECT_EQ(error(post("/oauth2/token", good + "&username=c")), "invalid_request");
  EXPECT_EQ(error(post("/oauth2/token", good + "&x=%zz")), "invalid_request");
  EXPECT_EQ(error(post("/oauth2/token", "client_id=web")), "invalid_request");
  EXPECT_EQ(error(post("/oauth2/token", "grant_type=password&client_id=web")), "invalid_request");
  EXPECT_EQ(error(post("/oauth2/token", "grant_type=implicit&client_id=web")),
            "unsupported_grant_type");
  EXPECT_EQ(error(post("/oauth2/token", "grant_type=client_credentials&client_id=web")),
            "unauthorized_client");
  EXPECT_EQ(post("/oauth2/token", good + "&x=" + std::string(9000, 'x')).status, 413);
  http::Request request;
  request.path = "/oauth2/token";
  request.method = "GET";
  EXPECT_EQ(issuer->handle(request).status, 405);
  request.method = "POST";
  EXPECT_EQ(issuer->handle(request).status, 400);  // no content type
  request.headers = {{"content-type", "application/json"}};
  EXPECT_EQ(issuer->handle(request).status, 400);
  request.headers = {{"content-type", "application/x-www-form-urlencoded; charset=UTF-8"}};
  request.query = "grant_type=password";
  EXPECT_EQ(error(issuer->handle(request)), "invalid_request");
}

TEST_F(SignInEvents, AreStoredBeforeAnythingIsGivenOut) {
  sink.full = true;
  EXPECT_EQ(sign_in().status, 503);
  EXPECT_EQ(sign_in("ann%40acme.test", "wrong+horse").status, 503);
  sink.full = false;
  const auto response = sign_in();
  ASSERT_EQ(sink.events.size(), 2u);
  EXPECT_EQ(sink.events[0].kind, EventKind::sign_in);
  EXPECT_EQ(sink.events[0].outcome, Outcome::allowed);
  EXPECT_EQ(sink.events[0].actor.text(), "u_1");
  EXPECT_EQ(sink.events[1].kind, EventKind::token_issued);
  const auto principal = verify(body(response)["access_token"]);
  EXPECT_EQ(sink.events[1].details[0],
            (std::pair<std::string, std::string>("jti", principal->token_id)));
}

TEST_F(SignInEvents, NeverHoldWhatAPersonTyped) {
  sign_in("ann%40acme.test", "my+secret+password");
  sign_in("a-typed-name", "my+secret+password");
  for (const auto& event : sink.events) {
    std::string all = event.resource + event.reason + event.operation + event.actor.text();
    for (const auto& [name, value] : event.details) all += name + value;
    EXPECT_EQ(all.find("secret"), std::string::npos);
    EXPECT_EQ(all.find("a-typed-name"), std::string::npos);
    EXPECT_EQ(all.find("ann"), std::string::npos);
  }
  EXPECT_EQ(sink.events[0].details[0].second, "password");
  EXPECT_EQ(sink.events[1].details[0].second, "user_unknown");
}

TEST_F(Lockout, OfAnAccountIsTheSameForKnownAndUnknownNames) {
  for (const char* login : {"ann%40acme.test", "nobody"}) {
    for (int i = 0; i < 5; ++i) EXPECT_EQ(error(sign_in(login, "wrong+horse")), "invalid_grant");
    const auto locked = sign_in(login, "wrong+horse");
    EXPECT_EQ(locked.status, 429);
    EXPECT_EQ(header(locked, "retry-after"), "60");
  }
  EXPECT_EQ(sign_in().status, 429);  // also with the right password
  clock.advance(std::chrono::seconds(61));
  EXPECT_EQ(sign_in().status, 200);
}

TEST_F(Lockout, OfAnAccountHoldsAtEveryNodeAndAfterARestart) {
  for (int i = 0; i < 5; ++i) {
    restart();  // another node, or the same one anew: its memory is empty
    EXPECT_EQ(error(sign_in("ann%40acme.test", "wrong+horse")), "invalid_grant");
  }
  restart();
  const auto locked = sign_in();
  EXPECT_EQ(locked.status, 429);
  EXPECT_EQ(header(locked, "retry-after"), "60");
  EXPECT_EQ(sign_in("bob", "wrong+horse").status, 400);  // nobody else is
  clock.advance(std::chrono::seconds(60));
  EXPECT_EQ(sign_in().status, 200);
  EXPECT_EQ(directory.lockouts.size(), 1u);  // forgotten with the success; bob's is left
}

TEST_F(Lockout, WhatIsKeptOfFailuresNamesNobodyAndIsNothingForThoseWhoAreRight) {
  EXPECT_EQ(sign_in().status, 200);
  EXPECT_TRUE(directory.lockouts.empty());
  sign_in("ann%40acme.test", "wrong+horse");
  ASSERT_EQ(directory.lockouts.size(), 1u);
  EXPECT_EQ(directory.lockouts.begin()->first.size(), 32u);
  EXPECT_EQ(directory.lockouts.begin()->first.find("ann"), std::string::npos);
}

// Not measured by a clock: the steps that take time are counted.
TEST_F(PasswordGrant, DoesTheSameWorkForTheUnknownAsForAWrongPassword) {
  const auto work = [&](const std::string& login, const std::string& password,
                        const std::string& organization) {
    const auto before =
        std::tuple(directory.user_lookups, directory.lockout_reads, directory.failures_kept,
                   issuer->password_checks(), sink.events.size());
    EXPECT_EQ(error(sign_in(login, password, organization)), "invalid_grant");
    const auto [users, reads, kept, hashes, events] = before;
    return std::tuple(directory.user_lookups - users, directory.lockout_reads - reads,
                      directory.failures_kept - kept, issuer->password_checks() - hashes,
                      sink.events.size() - events);
  };
  std::string nobodys;  // an organization that nobody has, which is looked for here
  for (int i = 0; nobodys.empty(); ++i) {
    const std::string name = "nobody" + std::to_string(i);
    const auto found = post("/v1/discovery", R"({"organization":")" + name + "\"}");
    if (body(found)["region"] == "ca-central-1") nobodys = name;
  }
  const auto wrong = work("ann%40acme.test", "wrong+horse", "acme");
  EXPECT_EQ(wrong, std::tuple(1, 1, 1, std::uint64_t{1}, std::size_t{1}));
  EXPECT_EQ(work("nobody", "wrong+horse", "acme"), wrong);
  EXPECT_EQ(work("ann%40acme.test", "correct+horse", nobodys), wrong);
  EXPECT_EQ(work("a%0Ab", "wrong+horse", "acme"), wrong);
  directory.users["u_1"].active = false;
  EXPECT_EQ(work("ann%40acme.test", "correct+horse", "acme"), wrong);
}

TEST_F(Lockout, OfAnAddressCountsRefusalsOnly) {
  for (int i = 0; i < 200; ++i) ASSERT_EQ(sign_in().status, 200);
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    const auto response = sign_in("user" + std::to_string(i), "wrong+horse");
    if (response.status == 429) break;
    ++refused;
  }
  EXPECT_EQ(refused, 60);
  EXPECT_EQ(sign_in().status, 429);
  ip = "203.0.113.10";
  EXPECT_EQ(sign_in().status, 200);
}

TEST_F(TokenRequest, ADatabaseThatIsDownIsNoRefusal) {
  directory.broken = true;
  const auto response = sign_in();
  EXPECT_EQ(response.status, 503);
  EXPECT_NE(header(response, "retry-after"), "");
}

}  // namespace
}  // namespace domicile::issuer
