// What the door decides, over real sockets.
#include "gateway/gateway_fixture.h"
#include "token/context_token.h"
#include "wire/corpus_for_test.h"

namespace domicile::gateway {
namespace {

using http::body_of;
using http::status_of;
using testing::HasSubstr;
using testing::Not;

std::string field(const std::string& message, const std::string& name) {
  const auto at = message.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "<absent>";
  const auto start = at + 2 + name.size() + 2;
  return message.substr(start, message.find("\r\n", start) - start);
}

TEST_F(GatewayTest, ForwardsWithWhatTheDoorVouchesFor) {
  start();
  auto client = connect();
  const std::string answer = client.send(request("GET /orgs/7/courses/1?page=2")).answer();
  EXPECT_EQ(status_of(answer), 200);
  EXPECT_EQ(body_of(answer), "from the application");
  const std::string seen = upstream_.requests().at(0);
  EXPECT_THAT(seen, testing::StartsWith("GET /orgs/7/courses/1?page=2 HTTP/1.1\r\n"));
  EXPECT_EQ(field(seen, "Host"), "ca.test");
  EXPECT_EQ(field(seen, "Domicile-Organization"), "7");
  EXPECT_EQ(field(seen, "Domicile-Subject"), "user-1");
  EXPECT_EQ(field(seen, "Domicile-Epoch"), "3");
  EXPECT_EQ(field(seen, "Domicile-Permissions"), "courses:read courses:write");
  EXPECT_EQ(field(seen, "Domicile-Acting-Organization"), "<absent>");
  EXPECT_EQ(field(seen, "Domicile-Request-Id"), field(answer, "Domicile-Request-Id"));
  EXPECT_EQ(field(seen, "Authorization"), "<absent>");
  EXPECT_EQ(field(seen, "X-Forwarded-For"), "127.0.0.1");
  const auto context =
      token::verify_context(field(seen, "Domicile-Context"), {"k1", Secret(std::string(32, 'k'))},
                            "ab12", clock_.unix_seconds());
  ASSERT_TRUE(context) << context.error().message;
  EXPECT_EQ(context->organization.text(), "7");
  EXPECT_EQ(context->epoch, 3u);
  const auto events = sink_.wait_for(1);
  EXPECT_EQ(events[0].outcome, domain::Outcome::allowed);
  EXPECT_EQ(events[0].operation, "courses.read");
  EXPECT_EQ(events[0].actor.text(), "user-1");
  EXPECT_EQ(events[0].organization.text(), "7");
  EXPECT_EQ(events[0].request_id, field(answer, "Domicile-Request-Id"));
}

TEST_F(GatewayTest, StripsWhatAClientMayNotSay) {
  start();
  auto client = connect();
  client.send(request("GET /orgs/7/courses/1",
                      "Domicile-Organization: 8\r\ndomicile-context: forged\r\n"
                      "Domicile_Organization: 8\r\nbaggage: org=8\r\ntracestate: a=b\r\n"
                      "X-Forwarded-For: 10.0.0.1\r\nX-Secret-Hop: 1\r\nTE: trailers\r\n"
                      "Connection: X-Secret-Hop, keep-alive\r\nX-Kept: yes\r\n"
                      "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"));
  EXPECT_EQ(status_of(client.answer()), 200);
  const std::string seen = upstream_.requests().at(0);
  for (const char* gone : {"forged", "Domicile_", "baggage", "tracestate", "10.0.0.1",
                           "X-Secret-Hop", "trailers", "Organization: 8"}) {
    EXPECT_THAT(seen, Not(HasSubstr(gone)));
  }
  EXPECT_THAT(seen, HasSubstr("X-Kept: yes\r\n"));
  EXPECT_THAT(
      seen, HasSubstr("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"));
}

TEST_F(GatewayTest, RecordsTheTraceOfARequestAndDropsWhatIsNone) {
  start();
  auto client = connect();
  const std::string trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const std::string good = "traceparent: 00-" + trace + "-00f067aa0ba902b7-01\r\n";
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1", good)).answer()), 200);
  EXPECT_EQ(status_of(client.send(request("GET /orgs/8/courses/1", good)).answer()), 403);
  EXPECT_EQ(
      status_of(client.send(request("GET /orgs/7/courses/1", "traceparent: 00-x\r\n")).answer()),
      200);
  const auto events = sink_.wait_for(3);
  const std::vector<std::pair<std::string, std::string>> recorded = {{"trace_id", trace}};
  EXPECT_EQ(events[0].details, recorded);
  EXPECT_EQ(events[1].details, recorded);
  EXPECT_TRUE(events[2].details.empty());
  EXPECT_THAT(upstream_.requests().at(1), Not(HasSubstr("traceparent")));
}

TEST_F(GatewayTest, AsksForATokenAndSaysWhatIsWrongWithIt) {
  start();
  auto client = connect();
  const std::string none =
      client.send("GET /orgs/7/courses/1 HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  EXPECT_EQ(status_of(none), 401);
  EXPECT_EQ(field(none, "WWW-Authenticate"), "Bearer realm=\"domicile\"");
  const std::string basic =
      client.send("GET /orgs/7/courses/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eDp5\r\n\r\n")
          .answer();
  EXPECT_THAT(basic, HasSubstr("\"reason\":\"unsupported_credentials\""));
  std::string tampered = request("GET /orgs/7/courses/1");
  tampered[tampered.size() - 8] = tampered[tampered.size() - 8] == 'A' ? 'B' : 'A';
  const std::string bad = client.send(tampered).answer();
  EXPECT_EQ(status_of(bad), 401);
  EXPECT_THAT(bad, HasSubstr("\"reason\":\"token_signature\""));
  EXPECT_THAT(field(bad, "WWW-Authenticate"), HasSubstr("invalid_token"));
  EXPECT_EQ(field(bad, "Content-Type"), "application/problem+json");
  EXPECT_TRUE(upstream_.requests().empty());
  EXPECT_EQ(sink_.wait_for(3)[2].reason, "token_signature");
}

TEST_F(GatewayTest, RefusesAnotherOrganization) {
  start();
  auto client = connect();
  const std::string answer = client.send(request("GET /orgs/8/courses/1")).answer();
  EXPECT_EQ(status_of(answer), 403);
  EXPECT_THAT(answer, HasSubstr("\"reason\":\"organization_mismatch\""));
  EXPECT_TRUE(upstream_.requests().empty());
  const auto event = sink_.wait_for(1)[0];
  EXPECT_EQ(event.outcome, domain::Outcome::denied);
  EXPECT_EQ(event.organization.text(), "8");
  EXPECT_EQ(event.acting_organization.text(), "7");
}

TEST_F(GatewayTest, LetsNoSpellingOfAPathReachAnotherOrganization) {
  start();
  for (const auto& c : wire::read_corpus("paths.tsv")) {
    auto client = connect();
    client.send(request("GET /orgs/7" + c.bytes));
    const std::string answer = client.answer();
    if (!c.expected.starts_with("ok:")) {
      EXPECT_THAT(answer, HasSubstr("\"reason\":\"" + c.expected + "\"")) << c.name;
    }
  }
  for (const std::string& seen : upstream_.requests()) {
    EXPECT_THAT(seen, testing::MatchesRegex("GET /orgs/7/courses/[^/ ]+ HTTP/1.1\r\n(.|\r|\n)*"));
  }
}

TEST_F(GatewayTest, UsesAGrantWithItsOwnPermissionsOnly) {
  start();
  domain::Grant grant{
      "g1", domain::OrgKey("8"), {domain::Permission("courses:read")}, clock_.unix_seconds() + 600};
  const std::string bearer = "Host: a\r\nAuthorization: Bearer " + token("7", true, {grant});
  auto client = connect();
  client.send("GET /orgs/8/courses/1 HTTP/1.1\r\n" + bearer + "\r\n\r\n");
  EXPECT_EQ(status_of(client.answer()), 200);
  const std::string seen = upstream_.requests().at(0);
  EXPECT_EQ(field(seen, "Domicile-Organization"), "8");
  EXPECT_EQ(field(seen, "Domicile-Acting-Organization"), "7");
  EXPECT_EQ(field(seen, "Domicile-Permissions"), "courses:read");
  client.send("DELETE /orgs/8/courses/1 HTTP/1.1\r\n" + bearer + "\r\n\r\n");
  EXPECT_EQ(status_of(client.answer()), 403);
  const auto events = sink_.wait_for(2);
  EXPECT_EQ(events[0].acting_organization.text(), "7");
}

TEST_F(GatewayTest, SendsAnApiClientOfAnotherRegionHomeWithoutReadingItsBody) {
  start();
  auto client = connect();
  client.send("POST /orgs/9/courses HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              token("9", false) + "\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n");
  const std::string answer = client.until_closed();
  EXPECT_EQ(status_of(answer), 421);
  EXPECT_THAT(answer, HasSubstr("\"reason\":\"wrong_region\""));
  EXPECT_THAT(answer, HasSubstr("\"home_url\":\"https://us.test\""));
  EXPECT_EQ(field(answer, "Connection"), "close");
  EXPECT_THAT(answer, Not(HasSubstr("100 Continue")));
  const auto event = sink_.wait_for(1)[0];
  EXPECT_EQ(event.kind, domain::EventKind::cross_region);
  EXPECT_EQ(event.organization.text(), "9");
  EXPECT_EQ(event.reason, "wrong_region");
  EXPECT_FALSE(event.request_id.empty());
  EXPECT_TRUE(event.actor.empty());
  EXPECT_FALSE(event.attempted_by.empty());  // for the tag of the day
  EXPECT_TRUE(event.acting_organization.empty());
  EXPECT_TRUE(event.source_ip.empty());
  EXPECT_TRUE(event.operation.empty() && event.resource.empty());
}

TEST_F(GatewayTest, RedirectsABrowsersNavigationHomeWithoutItsQuery) {
  start();
  auto client = connect();
  client.send(
      "GET /orgs/9/courses/1?name=private HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n"
      "Authorization: Bearer " +
      token("9", false) + "\r\n\r\n");
  const std::string answer = client.until_closed();
  EXPECT_EQ(status_of(answer), 307);
  EXPECT_EQ(field(answer, "Location"), "https://us.test/orgs/9/courses/1");
  EXPECT_EQ(field(answer, "Cache-Control"), "no-store");
  auto script = connect();
  script.send(
      "GET /orgs/9/courses/1 HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n"
      "Sec-Fetch-Mode: cors\r\nAuthorization: Bearer " +
      token("9", false) + "\r\n\r\n");
  EXPECT_EQ(status_of(script.until_closed()), 421);
}

TEST_F(GatewayTest, KnowsItsRoutesAndMethods) {
  start();
  auto client = connect();
  EXPECT_THAT(client.send(request("GET /elsewhere")).answer(),
              HasSubstr("\"reason\":\"no_route\""));
  const std::string method = client.send(request("PATCH /orgs/7/courses/1")).answer();
  EXPECT_EQ(status_of(method), 405);
  EXPECT_EQ(field(method, "Allow"), "GET, HEAD, DELETE");
  EXPECT_EQ(body_of(client.send(request("GET /v1/orgs")).answer()), "\"/v1/orgs\"");
}

TEST_F(GatewayTest, TellsAClientToComeBackWhileTheOrganizationMoves) {
  snapshot_ = make_snapshot(2, {{"7", domain::PlacementState::moving, kHere, 3}});
  start();
  auto client = connect();
  const std::string answer = client.send(request("GET /orgs/7/courses/1")).answer();
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_EQ(field(answer, "Retry-After"), "5");
  EXPECT_THAT(answer, HasSubstr("organization_moving"));
}

TEST_F(GatewayTest, FollowsTheRegistryWithoutDroppingTheConnection) {
  start();
  auto client = connect();
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  gateway_->update_snapshot(make_snapshot(2, {{"7", domain::PlacementState::suspended, kHere, 4}}));
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 403);
  gateway_->update_snapshot(make_snapshot(3, {{"7", domain::PlacementState::active, kThere, 5}}));
  EXPECT_THAT(client.send(request("GET /orgs/7/courses/1")).answer(),
              HasSubstr("\"reason\":\"wrong_region\""));
}

TEST_F(GatewayTest, ForgetsTokensOfAnIssuerThatIsNoLongerTrusted) {
  start();
  auto client = connect();
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  gateway_->distrust_issuer("https://ca.test");
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 401);
  gateway_->trust_issuer(issuers()[0]);
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
}

TEST_F(GatewayTest, RefusesASubjectThatWouldSplitAHeader) {
  start();
  auto client = connect();
  client.send("GET /orgs/7/courses/1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
              token("7", true, {}, 3, "x\r\nDomicile-Organization: 8") + "\r\n\r\n");
  EXPECT_EQ(status_of(client.answer()), 401);
  EXPECT_TRUE(upstream_.requests().empty());
}

TEST_F(GatewayTest, HoldsBackAStrictRequestUntilItsEventIsDurable) {
  start();
  sink_.mode(TestSink::Mode::hold);
  auto client = connect();
  client.send(request("DELETE /orgs/7/courses/1"));
  sink_.wait_for(1);
  EXPECT_TRUE(upstream_.requests().empty());
  sink_.release_held();
  EXPECT_EQ(status_of(client.answer()), 200);
  EXPECT_EQ(upstream_.requests().size(), 1u);
}

TEST_F(GatewayTest, RefusesAStrictRequestWhoseEventCannotBeStored) {
  start();
  sink_.mode(TestSink::Mode::refuse);
  auto client = connect();
  const std::string answer = client.send(request("DELETE /orgs/7/courses/1")).answer();
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_THAT(answer, HasSubstr("\"reason\":\"audit_unavailable\""));
  EXPECT_EQ(field(answer, "Retry-After"), "5");
  EXPECT_TRUE(upstream_.requests().empty());
}

TEST_F(GatewayTest, StopsBeingLenientOnceABoundedEventWasLost) {
  start();
  sink_.mode(TestSink::Mode::refuse);
  auto client = connect();
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 503);
  sink_.mode(TestSink::Mode::durable);
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
}

TEST_F(GatewayTest, RefusesBoundedRequestsWhenTooManyEventsAreUnderWay) {
  options_.bounded_events_max = 2;
  start();
  sink_.mode(TestSink::Mode::hold);
  auto client = connect();
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 503);
  sink_.release_held();
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
}

TEST_F(GatewayTest, DoesNotForwardWhenTheOrganizationMovedWhileItsEventWasStored) {
  start();
  sink_.mode(TestSink::Mode::hold);
  auto client = connect();
  client.send(request("DELETE /orgs/7/courses/1"));
  sink_.wait_for(1);
  gateway_->update_snapshot(make_snapshot(2, {{"7", domain::PlacementState::active, kThere, 4}}));
  sink_.release_held();
  EXPECT_EQ(status_of(client.answer()), 421);
  EXPECT_TRUE(upstream_.requests().empty());
  EXPECT_EQ(sink_.wait_for(2)[1].reason, "wrong_region");
}

TEST_F(GatewayTest, GivesUpOnAnEventThatNeverBecomesDurable) {
  options_.record_ms = std::chrono::milliseconds(50);
  start();
  sink_.mode(TestSink::Mode::hold);
  auto client = connect();
  EXPECT_EQ(status_of(client.send(request("DELETE /orgs/7/courses/1")).answer()), 503);
  sink_.release_held();
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  EXPECT_EQ(upstream_.requests().size(), 1u);
}

TEST_F(GatewayTest, ShowsItsHealthAndItsNumbersWithoutOrganizations) {
  snapshot_ = domain::RegistrySnapshot::empty();
  start();
  auto client = connect();
  EXPECT_EQ(status_of(client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").answer()), 200);
  EXPECT_EQ(status_of(client.send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").answer()), 503);
  gateway_->update_snapshot(make_snapshot(2, {}));
  EXPECT_EQ(status_of(client.send("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").answer()), 200);
  client.send(request("GET /orgs/7/courses/1")).answer();
  const std::string page =
      body_of(client.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").answer());
  EXPECT_THAT(page, HasSubstr("domicile_gateway_decisions_total{outcome=\"allowed\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("domicile_gateway_snapshot_revision 2\n"));
  EXPECT_THAT(page, Not(HasSubstr("{org")));
  EXPECT_THAT(page, Not(HasSubstr("orgs/")));
}

}  // namespace
}  // namespace domicile::gateway
