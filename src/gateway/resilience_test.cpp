// What the door does when an application is away, and when somebody asks too much.
#include <future>

#include "gateway/gateway_fixture.h"

namespace domicile::gateway {
namespace {

using http::body_of;
using http::status_of;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class ResilienceTest : public GatewayTest {
 protected:
  SilentPort nobody_;
};

TEST_F(ResilienceTest, SharesTheWorkBetweenTheAddressesOfAnUpstream) {
  TestUpstream other([](const std::string&, int) { return ok("from the other"); });
  options_.upstreams.emplace_back("app", other.url());
  start();
  auto client = connect();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  }
  EXPECT_EQ(upstream_.requests().size(), 10u);
  EXPECT_EQ(other.requests().size(), 10u);
}

TEST_F(ResilienceTest, SendsARequestWithItsBodyElsewhereWhenItsConnectionNeverCameUp) {
  options_.upstreams = {{"app", nobody_.url()}, {"app", upstream_.url()}};
  script_ = [](const std::string& seen, int) { return ok(body_of(seen)); };
  start();
  const std::string body(300'000, 'b');
  for (int i = 0; i < 4; ++i) {
    auto client = connect();
    const std::jthread sender([&] { client.send(request("POST /orgs/7/courses", "", body)); });
    const std::string answer = client.answer();
    EXPECT_EQ(status_of(answer), 200);
    EXPECT_TRUE(body_of(answer) == body);
  }
  EXPECT_EQ(upstream_.requests().size(), 4u);  // and each of them once
}

TEST_F(ResilienceTest, LeavesAnApplicationAloneThatIsAwayAndComesBackToIt) {
  options_.upstreams = {{"app", nobody_.url()}};
  options_.circuit = {
      .failures_to_open = 2, .retry_first_ms = milliseconds(50), .retry_max_ms = milliseconds(50)};
  start();
  auto client = connect();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 502);
  }
  std::string answer = client.send(request("GET /orgs/7/courses/1")).answer();
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_THAT(answer, HasSubstr("\"reason\":\"upstream_unavailable\""));
  EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
  EXPECT_THAT(gateway_->metrics().page(),
              HasSubstr("domicile_http_upstream_circuits_open{upstream=\"app\"} 1\n"));
  TestUpstream back([](const std::string&, int) { return ok("back again"); }, nobody_.listen());
  while (status_of(answer) != 200) {
    answer = client.send(request("GET /orgs/7/courses/1")).answer();
  }
  EXPECT_THAT(gateway_->metrics().page(),
              HasSubstr("domicile_http_upstream_circuits_open{upstream=\"app\"} 0\n"));
}

TEST_F(ResilienceTest, NeverTakesTheApplicationAwayForWhatItAnswers) {
  script_ = [](const std::string&, int) { return std::string(); };  // closes without a word
  start();
  auto client = connect();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 502);
  }
  EXPECT_EQ(upstream_.requests().size(), 20u);
}

TEST_F(ResilienceTest, RefusesMoreConnectionsToAnApplicationThanItMayHave) {
  options_.upstream_connections_max = 1;
  std::promise<void> seen, release;
  script_ = [&](const std::string&, int) {
    seen.set_value();
    release.get_future().wait();
    return ok("at last");
  };
  start();
  auto first = connect();
  first.send(request("GET /orgs/7/courses/1"));
  seen.get_future().wait();
  auto second = connect();
  const std::string answer = second.send(request("GET /orgs/7/courses/1")).answer();
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_THAT(answer, HasSubstr("\"reason\":\"upstream_overloaded\""));
  release.set_value();
  EXPECT_EQ(body_of(first.answer()), "at last");
}

TEST_F(ResilienceTest, LimitsOneOrganizationAndNotItsNeighbours) {
  options_.rates.organization = {.per_second = 1, .burst = 3};
  start(2);
  auto client = connect();
  const auto get = [&](std::string_view org) {
    return client
        .send("GET /orgs/" + std::string(org) + "/courses/1 HTTP/1.1\r\nHost: a\r\n" +
              "Authorization: Bearer " + token(org) + "\r\n\r\n")
        .answer();
  };
  for (int i = 0; i < 3; ++i) EXPECT_EQ(status_of(get("7")), 200);
  for (int i = 0; i < 5; ++i) {
    const std::string answer = get("7");
    EXPECT_EQ(status_of(answer), 429);
    EXPECT_THAT(answer, HasSubstr("\"reason\":\"organization_rate_limited\""));
    EXPECT_THAT(answer, HasSubstr("Retry-After: 1\r\n"));
  }
  EXPECT_EQ(status_of(get("8")), 200);
  EXPECT_EQ(upstream_.requests().size(), 4u);
  // Three permits, the first refusal for all of them within a second, the neighbour's permit.
  const auto events = sink_.wait_for(5);
  EXPECT_EQ(events.size(), 5u);
  EXPECT_EQ(events[3].reason, "organization_rate_limited");
  EXPECT_EQ(events[3].outcome, domain::Outcome::denied);
  EXPECT_EQ(events[3].organization.view(), "7");
  EXPECT_EQ(events[3].actor.view(), "user-1");
  EXPECT_THAT(gateway_->metrics().page(),
              HasSubstr("domicile_gateway_rate_limited_total{limit=\"organization\"} 5\n"));
}

TEST_F(ResilienceTest, LimitsAClientByItsTokenAndAnAddressBeforeIt) {
  options_.rates.client = {.per_second = 1, .burst = 2};
  options_.rates.address = {.per_second = 1, .burst = 6};
  start();
  auto client = connect();
  const auto get = [&](std::string subject) {
    return client
        .send("GET /orgs/7/courses/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              token("7", true, {}, 3, subject) + "\r\n\r\n")
        .answer();
  };
  for (int i = 0; i < 2; ++i) EXPECT_EQ(status_of(get("user-1")), 200);
  EXPECT_THAT(get("user-1"), HasSubstr("client_rate_limited"));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(status_of(get("user-2")), 200);
  EXPECT_EQ(status_of(client.send("GET /orgs/7/courses/1 HTTP/1.1\r\nHost: a\r\n\r\n").answer()),
            401);
  EXPECT_THAT(get("user-3"), HasSubstr("address_rate_limited"));
  EXPECT_EQ(status_of(client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").answer()), 200);
}

}  // namespace
}  // namespace domicile::gateway
