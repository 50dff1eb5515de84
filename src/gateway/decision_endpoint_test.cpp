// /authorize and /v1/context: the same decision as the door's own, and nothing for strangers.
#include <fmt/format.h>

#include "gateway/gateway_fixture.h"

namespace domicile::gateway {
namespace {

using http::body_of;
using http::status_of;
using testing::HasSubstr;
using testing::Not;

const domain::Permission kIssue{"context:issue"};

class DecisionEndpointTest : public GatewayTest {
 protected:
  DecisionEndpointTest() { trust({"127.0.0.0/8"}); }
  void trust(const std::vector<std::string>& networks) {
    options_.authorize_proxies = must(AddressList::parse(networks));
  }
  std::string ask(std::string_view method, std::string_view uri, std::string_view bearer,
                  std::string_view fields = "") {
    auto client = connect();
    client.send(
        fmt::format("GET /authorize HTTP/1.1\r\nHost: a\r\nX-Forwarded-Method: {}\r\n"
                    "X-Forwarded-Uri: {}\r\nAuthorization: Bearer {}\r\n{}\r\n",
                    method, uri, bearer, fields));
    return client.answer();
  }
  std::string job(std::string_view bearer, std::string_view organization, std::string_view epoch,
                  std::string_view fields = "") {
    auto client = connect();
    client.send(
        fmt::format("POST /v1/context HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n"
                    "Domicile-Organization: {}\r\nDomicile-Epoch: {}\r\n"
                    "Content-Length: 0\r\n{}\r\n",
                    bearer, organization, epoch, fields));
    return client.answer();
  }
  std::string service(std::string_view org = "7", std::vector<domain::Grant> grants = {},
                      domain::Epoch epoch = 3) {
    return token(org, true, std::move(grants), epoch, "worker", {kIssue});
  }
};

TEST_F(DecisionEndpointTest, SaysYesWithTheIdentityAndTheSignedContext) {
  start();
  const std::string yes = ask("GET", "/orgs/7/courses/1?x=%2e%2e", token());
  EXPECT_EQ(status_of(yes), 200);
  for (const char* line : {"Domicile-Organization: 7\r\n", "Domicile-Subject: user-1\r\n",
                           "Domicile-Permissions: courses:read courses:write\r\n",
                           "Domicile-Epoch: 3\r\n", "Domicile-Context: dc1~k1~7~3~ab12~"}) {
    EXPECT_THAT(yes, HasSubstr(line));
  }
  EXPECT_TRUE(upstream_.requests().empty());
  const auto event = sink_.wait_for(1)[0];
  EXPECT_EQ(event.outcome, domain::Outcome::allowed);
  EXPECT_EQ(event.operation, "courses.read");
  EXPECT_EQ(event.actor.text(), "user-1");
}

TEST_F(DecisionEndpointTest, AnswersAsTheDoorItselfWould) {
  start();
  const std::vector<std::string> tokens = {token("7"),
                                           token("8"),
                                           token("9", false),
                                           token("9"),
                                           token("7", true, {}, 2),
                                           token("7", true, {}, 4),
                                           "no"};
  const std::vector<std::pair<std::string, std::string>> requests = {
      {"GET", "/orgs/7/courses/1"},
      {"GET", "/orgs/8/courses/1"},
      {"GET", "/orgs/9/courses/1"},
      {"DELETE", "/orgs/7/courses/1"},
      {"POST", "/orgs/7/courses"},
      {"PUT", "/orgs/7/courses/1"},
      {"GET", "/elsewhere"},
      {"GET", "/orgs/7/courses/1/"},
      {"GET", "/orgs/8/../7/courses/1"},
      {"GET", "/orgs/7//courses/1"},
      {"GET", "/orgs/%37/courses/1"},
      {"get", "/orgs/7/courses/1"},
      {"GET", "/orgs/7%2f8/courses/1"},
      {"GET", "/orgs/nobody/courses/1"}};
  for (const std::string& bearer : tokens) {
    for (const auto& [method, path] : requests) {
      auto client = connect();
      client.send(fmt::format("{} {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
                              method, path, bearer));
      const int door = status_of(client.answer());
      const int asked = status_of(ask(method, path, bearer));
      if (method == "get") {
        EXPECT_NE(asked, 200);  // the codec has a word of its own for it
      } else {
        EXPECT_EQ(asked, door) << method << ' ' << path;
      }
    }
  }
}

TEST_F(DecisionEndpointTest, TellsTheReasonInAFieldTooAndWhereHomeIs) {
  start();
  const std::string no = ask("GET", "/orgs/9/courses/1", token("9", false));
  EXPECT_EQ(status_of(no), 421);
  EXPECT_THAT(no, HasSubstr("Domicile-Reason: wrong_region\r\n"));
  EXPECT_THAT(no, HasSubstr("Domicile-Home-Url: https://us.test\r\n"));
  EXPECT_THAT(no, Not(HasSubstr("Domicile-Context")));
  EXPECT_EQ(sink_.wait_for(1)[0].kind, domain::EventKind::cross_region);
}

TEST_F(DecisionEndpointTest, AnswersOnlyConfiguredProxies) {
  trust({"10.0.0.0/8"});
  start();
  const std::string no = ask("GET", "/orgs/7/courses/1", token(), "X-Forwarded-For: 10.0.0.1\r\n");
  EXPECT_EQ(status_of(no), 403);
  EXPECT_THAT(no, HasSubstr("Domicile-Reason: untrusted_proxy\r\n"));
  EXPECT_EQ(sink_.wait_for(1)[0].reason, "untrusted_proxy");
}

TEST_F(DecisionEndpointTest, WantsTheProxysTokenWhereOneIsConfigured) {
  options_.authorize_token = Secret("0123456789abcdef0123456789abcdef");
  start();
  EXPECT_EQ(status_of(ask("GET", "/orgs/7/courses/1", token())), 403);
  EXPECT_EQ(status_of(ask("GET", "/orgs/7/courses/1", token(), "Domicile-Proxy-Token: 0\r\n")),
            403);
  const std::string shown = "Domicile-Proxy-Token: 0123456789abcdef0123456789abcdef\r\n";
  EXPECT_EQ(status_of(ask("GET", "/orgs/7/courses/1", token(), shown + shown)), 403);
  EXPECT_EQ(status_of(ask("GET", "/orgs/7/courses/1", token(), shown)), 200);
}

TEST_F(DecisionEndpointTest, IsARouteLikeAnyOtherWhenNobodyMayAsk) {
  trust({});
  start();
  EXPECT_THAT(ask("GET", "/orgs/7/courses/1", token()), HasSubstr("no_route"));
}

TEST_F(DecisionEndpointTest, RefusesARequestDescribedTwiceOrNotAtAll) {
  start();
  EXPECT_THAT(ask("GET", "/orgs/7/courses/1", token(), "X-Forwarded-Uri: /orgs/8/courses/1\r\n"),
              HasSubstr("ambiguous_request"));
  EXPECT_THAT(ask("GET", "", token()), HasSubstr("request_missing"));
  EXPECT_THAT(ask("GET", "https://a/orgs/7/courses/1", token()), HasSubstr("bad_target"));
  auto client = connect();
  client.send(
      fmt::format("GET /authorize/orgs/7/courses/1 HTTP/1.1\r\nHost: a\r\n"
                  "X-Forwarded-Uri: /orgs/8/courses/1\r\nAuthorization: Bearer {}\r\n\r\n",
                  token()));
  EXPECT_THAT(client.answer(), HasSubstr("ambiguous_request"));
}

TEST_F(DecisionEndpointTest, TakesEnvoysFormWithThePathBehindIt) {
  start();
  const auto envoy = [&](std::string_view line) {
    auto client = connect();
    client.send(
        fmt::format("{} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", line, token()));
    return status_of(client.answer());
  };
  EXPECT_EQ(envoy("GET /authorize/orgs/7/courses/1?q=1"), 200);
  EXPECT_EQ(envoy("GET /authorize/orgs/8/courses/1"), 403);
  EXPECT_EQ(envoy("PUT /authorize/orgs/7/courses/1"), 405);
  EXPECT_EQ(envoy("GET /authorized/orgs/7/courses/1"), 404);
}

TEST_F(DecisionEndpointTest, CountsWhatAProxyAsksForItsClient) {
  options_.rates.organization = {.per_second = 1, .burst = 4};
  options_.rates.client = {.per_second = 1, .burst = 2};
  options_.rates.address = {.per_second = 1, .burst = 5};
  start();
  const auto from = [&](std::string_view bearer, std::string_view address) {
    return ask("GET", "/orgs/7/courses/1", bearer, fmt::format("X-Forwarded-For: {}\r\n", address));
  };
  const std::string one = token("7", true, {}, 3, "one");
  EXPECT_EQ(status_of(from(one, "192.0.2.1")), 200);
  EXPECT_EQ(status_of(from(one, "192.0.2.2")), 200);
  const std::string client = from(one, "192.0.2.3");
  EXPECT_EQ(status_of(client), 429);
  EXPECT_THAT(client, HasSubstr("Domicile-Reason: client_rate_limited\r\n"));
  EXPECT_THAT(client, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(client, Not(HasSubstr("Domicile-Context")));
  EXPECT_EQ(status_of(from(token("7", true, {}, 3, "two"), "192.0.2.4")), 200);
  EXPECT_EQ(status_of(from(token("7", true, {}, 3, "three"), "192.0.2.5")), 200);
  EXPECT_THAT(from(token("7", true, {}, 3, "four"), "192.0.2.6"),
              HasSubstr("Domicile-Reason: organization_rate_limited\r\n"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(status_of(from("none", "192.0.2.9")), 401);
  const std::string address = from("none", "192.0.2.9");
  EXPECT_THAT(address, HasSubstr("Domicile-Reason: address_rate_limited\r\n"));
  EXPECT_EQ(status_of(from("none", "192.0.2.10")), 401);  // another client of the same proxy
  for (const auto& event : sink_.wait_for(8)) {
    if (event.reason == "client_rate_limited") EXPECT_EQ(event.source_ip, "192.0.2.3");
  }
}

TEST_F(DecisionEndpointTest, SaysNoWhereTheEventCannotBeStored) {
  start();
  sink_.mode(TestSink::Mode::refuse);
  EXPECT_THAT(ask("DELETE", "/orgs/7/courses/1", token()), HasSubstr("audit_unavailable"));
  EXPECT_THAT(job(service(), "7", "3"), HasSubstr("audit_unavailable"));
}

TEST_F(DecisionEndpointTest, AYesThatWaitsForItsEventMustStillHoldThen) {
  start();
  sink_.mode(TestSink::Mode::hold);
  auto client = connect();
  client.send(
      fmt::format("POST /v1/context HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n"
                  "Domicile-Organization: 7\r\nDomicile-Epoch: 3\r\n\r\n",
                  service()));
  sink_.wait_for(1);
  gateway_->update_snapshot(make_snapshot(2, {{"7", domain::PlacementState::active, kThere, 4}}));
  sink_.release_held();
  const std::string answer = client.answer();
  EXPECT_EQ(status_of(answer), 421);
  EXPECT_THAT(answer, Not(HasSubstr("dc1~")));
  EXPECT_EQ(sink_.wait_for(2)[1].outcome, domain::Outcome::denied);
}

TEST_F(DecisionEndpointTest, SurvivesClientsThatLeaveAndEventsThatComeLate) {
  options_.record_ms = std::chrono::milliseconds(50);
  start();
  sink_.mode(TestSink::Mode::hold);
  const std::string asking = fmt::format(
      "POST /v1/context HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n"
      "Domicile-Organization: 7\r\nDomicile-Epoch: 3\r\n\r\n",
      service());
  auto gone = connect();
  gone.send(asking);
  sink_.wait_for(1);
  gone.reset();
  auto patient = connect();
  EXPECT_THAT(patient.send(asking).answer(), HasSubstr("audit_unavailable"));
  sink_.release_held();  // of both: nobody is there to hear it
  EXPECT_EQ(status_of(patient.send(asking).answer()), 200);
  EXPECT_EQ(status_of(job(service(), "7", "3")), 200);
}

TEST_F(DecisionEndpointTest, GivesAServiceOfTheOrganizationAContext) {
  start();
  const std::string yes = job(service(), "7", "3");
  EXPECT_EQ(status_of(yes), 200);
  EXPECT_THAT(body_of(yes), HasSubstr(R"("context":"dc1~k1~7~3~ab12~)"));
  const auto event = sink_.wait_for(1)[0];
  EXPECT_EQ(event.operation, "context.issue");
  EXPECT_EQ(event.actor.text(), "worker");
  EXPECT_EQ(event.organization.text(), "7");
}

TEST_F(DecisionEndpointTest, AStolenJobNamesAnotherOrganizationInVain) {
  start();
  EXPECT_THAT(job(service("7"), "8", "3"), HasSubstr("organization_mismatch"));
  EXPECT_THAT(job(service("7"), "9", "3"), HasSubstr("organization_mismatch"));
  EXPECT_THAT(job(service("7"), "7", "3", "Domicile-Organization: 8\r\n"),
              HasSubstr("\"status\":400"));
  // A grant is a person's: it does not open the organization for background work.
  domain::Grant grant{"g1", domain::OrgKey("8"), {kIssue}, clock_.unix_seconds() + 600};
  EXPECT_THAT(job(service("7", {grant}), "8", "3"), HasSubstr("organization_mismatch"));
  // An ordinary sign-in of the organization does not carry the permission.
  EXPECT_THAT(job(token("7"), "7", "3"), HasSubstr("missing_permission"));
  EXPECT_THAT(job("none", "7", "3"), HasSubstr("\"status\":401"));
  EXPECT_THAT(job(token("9", false, {}, 3, "worker", {kIssue}), "9", "3"),
              HasSubstr("wrong_region"));
  for (const auto& event : sink_.wait_for(6)) {
    EXPECT_EQ(event.outcome, domain::Outcome::denied);
  }
}

TEST_F(DecisionEndpointTest, AJobFromBeforeAMoveIsRefused) {
  start();
  const std::string old = job(service(), "7", "2");
  EXPECT_EQ(status_of(old), 409);
  EXPECT_THAT(old, HasSubstr("stale_job"));
  EXPECT_THAT(job(service(), "7", "4"), HasSubstr("snapshot_behind"));
  for (const char* epoch : {"", "-1", "3x", "99999999999999999999"}) {
    EXPECT_THAT(job(service(), "7", epoch), HasSubstr("epoch_missing")) << epoch;
  }
}

}  // namespace
}  // namespace domicile::gateway
