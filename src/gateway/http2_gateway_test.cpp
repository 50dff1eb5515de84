// The door over HTTP/2: the same decisions, answers and events as over HTTP/1, each stream on its own.
#include <future>

#include "gateway/gateway_fixture.h"
#include "http/http2_test_client.h"

namespace domicile::gateway {
namespace {

using http::Http2TestClient;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Fields = Http2TestClient::Fields;
constexpr std::int64_t kInternalError = 2, kCancel = 8;

class Http2GatewayTest : public GatewayTest {
 protected:
  Fields request(std::string method, std::string path, const Fields& more = {}) {
    Fields fields = Http2TestClient::request(std::move(method), std::move(path),
                                             {{"authorization", "Bearer " + token()}});
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }
  Http2TestClient client(const std::string& settings = "") {
    return Http2TestClient(gateway_->port(), settings);
  }
  static std::string setting(int id, std::uint32_t value) {
    return Http2TestClient::setting(id, value);
  }
};

TEST_F(Http2GatewayTest, ForwardsWhatHttp1WouldForward) {
  start();
  auto h2 = client();
  const auto answer = h2.head(1, request("GET", "/orgs/7/courses/%41?q=1",
                                         {{"cookie", "a=1"},
                                          {"te", "trailers"},
                                          {"domicile-organization", "8"},
                                          {"x_forwarded_for", "1.2.3.4"},
                                          {"x-forwarded-for", "1.2.3.4"},
                                          {"baggage", "b"},
                                          {"cookie", "b=2"}}))
                          .answer(1);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "from the application");
  const std::string seen = upstream_.requests().at(0);
  EXPECT_THAT(seen, testing::StartsWith("GET /orgs/7/courses/A?q=1 HTTP/1.1\r\nhost: ca.test\r\n"));
  EXPECT_THAT(
      seen,
      AllOf(HasSubstr("cookie: a=1; b=2\r\n"), HasSubstr("Domicile-Organization: 7\r\n"),
            HasSubstr("Domicile-Subject: user-1\r\n"), HasSubstr("X-Forwarded-For: 127.0.0.1\r\n"),
            HasSubstr("Domicile-Request-Id: " + answer.fields.at("domicile-request-id"))));
  EXPECT_THAT(
      seen, AllOf(Not(HasSubstr("uthorization")), Not(HasSubstr("te: ")), Not(HasSubstr("1.2.3.4")),
                  Not(HasSubstr("baggage")), Not(HasSubstr(": 8\r\n")), Not(HasSubstr(":path"))));
}

TEST_F(Http2GatewayTest, DecidesAndRecordsAsOverHttp1) {
  options_.hosts = {"ca.test"};
  start();
  struct Case {
    std::string method, path;
    Fields more;
    std::string org;
  };
  const std::vector<Case> cases = {
      {"GET", "/orgs/7/courses/1", {}, "7"},
      {"GET", "/orgs/7/courses/1", {}, ""},
      {"GET", "/orgs/8/courses/1", {}, "7"},
      {"GET", "/orgs/9/courses/1", {}, "9"},
      {"GET", "/orgs/9/courses/1?secret=1", {{"accept", "text/html"}}, "9"},
      {"PUT", "/orgs/7/courses/1", {}, "7"},
      {"GET", "/nowhere", {}, "7"},
      {"GET", "/orgs/7/../8/courses/1", {}, "7"},
      {"GET", "/v1/anything", {}, "7"}};
  auto h2 = client();
  std::uint32_t stream = 1;
  for (const Case& c : cases) {
    Fields fields = Http2TestClient::request(c.method, c.path, c.more);
    std::string text = c.method + " " + c.path + " HTTP/1.1\r\nHost: ca.test\r\n";
    if (!c.org.empty()) {
      const std::string bearer = "Bearer " + (c.org == "9" ? token("9", false) : token(c.org));
      fields.emplace_back("authorization", bearer);
      text += "Authorization: " + bearer + "\r\n";
    }
    for (const auto& [name, value] : c.more) text += name + ": " + value + "\r\n";
    const auto before = gateway_->metrics().page();
    const auto answer = h2.head(stream, fields).answer(stream);
    stream += 2;
    auto plain = connect();
    const std::string other = plain.send(text + "\r\n").answer();
    EXPECT_EQ(answer.status, http::status_of(other)) << c.path;
    const auto without_id = [](std::string body) {
      const std::size_t at = body.find("\"request_id\":\"");
      return at == std::string::npos ? body : body.erase(at + 14, 32);
    };
    EXPECT_EQ(without_id(answer.body), without_id(http::body_of(other))) << c.path;
    for (const char* name :
         {"www-authenticate", "location", "allow", "cache-control", "retry-after"}) {
      const bool there = answer.fields.contains(name);
      std::string lower(other.substr(0, other.find("\r\n\r\n")));
      for (char& ch : lower) ch = static_cast<char>(std::tolower(ch));
      EXPECT_EQ(there, lower.contains(std::string("\r\n") + name + ":")) << c.path << name;
      if (there) EXPECT_THAT(other, HasSubstr(": " + answer.fields.at(name) + "\r\n")) << c.path;
    }
  }
  const auto events =
      sink_.wait_for(14);  // two a case, without the faulty path and the mounted one
  for (std::size_t i = 0; i + 1 < events.size(); i += 2) {
    EXPECT_EQ(events[i].operation, events[i + 1].operation);
    EXPECT_EQ(events[i].reason, events[i + 1].reason);
    EXPECT_EQ(events[i].outcome, events[i + 1].outcome);
    EXPECT_EQ(events[i].organization.view(), events[i + 1].organization.view());
    EXPECT_EQ(events[i].source_ip, events[i + 1].source_ip);
  }
}

TEST_F(Http2GatewayTest, AnswersForTheWrongRegionWithoutTheBody) {
  start();
  auto h2 = client();
  Fields fields = Http2TestClient::request("POST", "/orgs/9/courses",
                                           {{"authorization", "Bearer " + token("9", false)},
                                            {"content-length", "100000000"},
                                            {"expect", "100-continue"}});
  const auto answer = h2.head(1, fields, false).answer(1);
  EXPECT_EQ(answer.status, 421);
  EXPECT_EQ(answer.reason(), "wrong_region");
  EXPECT_THAT(answer.body, HasSubstr("https://us.test"));
  EXPECT_TRUE(answer.interim.empty());
  EXPECT_EQ(h2.answer(1).reset, 0);  // NO_ERROR: the rest is not wanted
  const auto event = sink_.wait_for(1).at(0);
  EXPECT_EQ(event.source_ip, "");
  EXPECT_EQ(event.operation, "");
  EXPECT_EQ(h2.head(3, request("GET", "/orgs/7/courses/1")).answer(3).status, 200);
}

TEST_F(Http2GatewayTest, NeverTunnels) {
  start();
  auto h2 = client();
  const auto upgrade = h2.head(1, request("GET", "/orgs/7/live",
                                          {{"upgrade", "websocket"},
                                           {"connection", "Upgrade"},
                                           {"sec-websocket-version", "13"},
                                           {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}}))
                           .answer(1);
  EXPECT_EQ(upgrade.reason(), "connection_field");
  Fields connect = request("CONNECT", "/orgs/7/live");
  connect.insert(connect.begin(), {":protocol", "websocket"});
  EXPECT_EQ(h2.head(3, connect).answer(3).reason(), "bad_pseudo_field");
  // Without the fields of a connection it is a plain request, and no 101 is believed.
  script_ = [](const std::string&, int) { return "HTTP/1.1 101 Switching Protocols\r\n\r\n"; };
  const auto plain =
      h2.head(5, request("GET", "/orgs/7/live", {{"sec-websocket-version", "13"}})).answer(5);
  EXPECT_EQ(plain.status, 502);
}

TEST_F(Http2GatewayTest, StreamsLargeBodiesBothWaysOnSeveralStreams) {
  script_ = [](const std::string& seen, int) { return ok(http::body_of(seen)); };
  start();
  auto h2 = client(setting(4, 1 << 20));
  std::string body(200'000, 'x');
  for (std::size_t i = 0; i < body.size(); i += 1000)
    body[i] = static_cast<char>('a' + i / 1000 % 26);
  for (std::uint32_t stream = 1; stream < 9; stream += 2) {
    h2.head(stream,
            request("POST", "/orgs/7/courses", {{"content-length", std::to_string(body.size())}}),
            false);
  }
  for (std::size_t at = 0; at < body.size(); at += 10'000) {
    for (std::uint32_t stream = 1; stream < 9; stream += 2) {
      h2.data(stream, std::string_view(body).substr(at, 10'000), at + 10'000 == body.size());
    }
  }
  for (std::uint32_t stream = 1; stream < 9; stream += 2) {
    const auto answer = h2.answer(stream);
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.body == body);
  }
}

TEST_F(Http2GatewayTest, ForwardsABodyOfUnknownLengthInChunks) {
  start();
  auto h2 = client();
  EXPECT_EQ(h2.head(1, request("POST", "/orgs/7/courses"), false)
                .data(1, "abc")
                .data(1, "de", true)
                .answer(1)
                .status,
            200);
  EXPECT_THAT(upstream_.requests().at(0), testing::EndsWith("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
}

TEST_F(Http2GatewayTest, TakesChunkedAnswersApartAndPassesTheirTrailers) {
  script_ = [](const std::string&, int) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: "
           "X-Sum\r\n\r\n5;e=1\r\nhello\r\n1\r\n!\r\n"
           "0\r\nX-Sum: 9\r\nDomicile-Context: leaked\r\nContent-Length: 4\r\nConnection: "
           "x\r\n\r\n";
  };
  start();
  auto h2 = client();
  const auto answer = h2.head(1, request("GET", "/orgs/7/courses/1")).answer(1);
  EXPECT_EQ(answer.body, "hello!");
  EXPECT_FALSE(answer.fields.contains("transfer-encoding"));
  EXPECT_EQ(answer.trailers, (std::map<std::string, std::string>{{"x-sum", "9"}}));
  EXPECT_THAT(gateway_->metrics().page(),
              HasSubstr("domicile_http_upstream_connections_total 1\n"));
  EXPECT_EQ(h2.head(3, request("GET", "/orgs/7/courses/1")).answer(3).body, "hello!");
  EXPECT_THAT(gateway_->metrics().page(),
              HasSubstr("domicile_http_upstream_connections_total 1\n"));
}

TEST_F(Http2GatewayTest, TellsTheEndOfAnAnswerThatEndsWithItsConnection) {
  script_ = [](const std::string&, int) {
    return "HTTP/1.0 200 OK\r\n\r\nuntil the end" + std::string(TestUpstream::kClose);
  };
  start();
  auto h2 = client();
  const auto answer = h2.head(1, request("GET", "/orgs/7/courses/1")).answer(1);
  EXPECT_EQ(answer.body, "until the end");
  EXPECT_TRUE(answer.ended);
}

TEST_F(Http2GatewayTest, DropsHopByHopFieldsOfAnswers) {
  script_ = [](const std::string&, int) {
    return "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nX-Hop: 1\r\nConnection: "
           "X-Hop\r\n"
           "Keep-Alive: timeout=5\r\nUpgrade: h2c\r\nDomicile-Context: leaked\r\nX-Kept: "
           "1\r\nContent-Length: "
           "2\r\n\r\nok";
  };
  start();
  auto h2 = client();
  const auto answer = h2.head(1, request("GET", "/orgs/7/courses/1")).answer(1);
  EXPECT_EQ(answer.fields.at("x-kept"), "1");
  EXPECT_EQ(answer.fields.size(), 4u);  // and :status, content-length, domicile-request-id
  EXPECT_EQ(answer.body, "ok");
}

TEST_F(Http2GatewayTest, ResetsTheStreamOfAnAnswerThatBreaksOff) {
  script_ = [](const std::string& seen, int) {
    if (!seen.contains("/courses/short")) return ok("fine");
    return "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf" + std::string(TestUpstream::kClose);
  };
  start();
  auto h2 = client();
  const auto answer = h2.head(1, request("GET", "/orgs/7/courses/short")).answer(1);
  EXPECT_EQ(answer.status, 200);
  EXPECT_FALSE(answer.ended);
  EXPECT_EQ(answer.reset, kInternalError);
  EXPECT_EQ(h2.head(3, request("GET", "/orgs/7/courses/1")).answer(3).body, "fine");
}

TEST_F(Http2GatewayTest, ASlowClientOfOneStreamPausesItsUpstreamAlone) {
  script_ = [](const std::string& seen, int) {
    return seen.contains("/courses/big") ? ok(std::string(32 << 20, 'z')) : ok("small");
  };
  options_.limits.write_idle_ms = milliseconds(400);
  start();
  auto h2 = client();
  h2.starve = true;
  h2.head(1, request("GET", "/orgs/7/courses/big")).head(3, request("GET", "/orgs/7/courses/big"));
  EXPECT_EQ(h2.window(0, 1 << 20).head(5, request("GET", "/orgs/7/courses/1")).answer(5).body,
            "small");
  const auto cut = h2.answer(1);
  EXPECT_EQ(cut.reset, kCancel);  // its window never opened
  EXPECT_EQ(cut.body.size(), 65'535u);
  EXPECT_EQ(h2.answer(3).reset, kCancel);
}

TEST_F(Http2GatewayTest, AnUpstreamThatTakesNothingPausesTheBodyOfItsStreamAlone) {
  SilentPort port;
  options_.upstreams = {{"app", port.url()}};
  options_.limits.output_bytes_high = 64 * 1024;
  const runtime::Fd listener = port.listen();  // connections come up, and nobody ever reads them
  start();
  auto h2 = client();
  h2.head(1, request("POST", "/orgs/7/courses"), false);
  std::int64_t sent = 0;
  // Sends what the windows allow; after so many pings without a new window, it is shut.
  constexpr int kPatience = 200;
  for (int pings = 0; pings < kPatience; ++pings) {
    const int before = h2.seen(Http2TestClient::kWindow);
    for (; sent + 16'384 <= std::min(h2.granted(0), h2.granted(1)); sent += 16'384) {
      h2.data(1, std::string(16'384, 'x'));
    }
    const int pongs = h2.seen(Http2TestClient::kPing);
    h2.frame(Http2TestClient::kPing, 0, 0, "12345678");
    while (h2.seen(Http2TestClient::kPing) == pongs) ASSERT_TRUE(h2.step());
    if (h2.seen(Http2TestClient::kWindow) != before) pings = 0;
    ASSERT_LT(sent, 64 << 20);
  }
  EXPECT_GT(sent, 256 * 1024);
  EXPECT_EQ(h2.head(3, Http2TestClient::request("GET", "/v1/x")).answer(3).status, 200);
  h2.frame(Http2TestClient::kReset, 0, 1, Http2TestClient::number(8, 4));
  EXPECT_EQ(h2.head(5, Http2TestClient::request("POST", "/v1/x"), false)
                .data(5, std::string(16'384, 'y'), true)
                .answer(5)
                .status,
            200);
}

TEST_F(Http2GatewayTest, ABodyWaitsForTheRecordOfItsRequest) {
  const SilentPort silent;
  options_.upstreams = {{"app", silent.url()}};
  options_.limits.http2.stream_window_bytes = 65'535;
  options_.limits.output_bytes_high = 64 * 1024;
  options_.connect_ms = milliseconds(60'000);
  sink_.mode(TestSink::Mode::hold);
  start();
  auto h2 = client();
  // Nobody reads the body of a request whose event is not recorded: no window beyond the first.
  h2.head(1,
          Http2TestClient::request("DELETE", "/orgs/7/courses/1",
                                   {{"authorization", "Bearer " + token()}}),
          false);
  for (int i = 0; i < 3; ++i) h2.data(1, std::string(16'384, 'x'));
  EXPECT_EQ(h2.head(3, Http2TestClient::request("GET", "/v1/x")).answer(3).status, 200);
  EXPECT_EQ(h2.seen(Http2TestClient::kWindow), 1);  // the connection's own, at its beginning
  sink_.release_held();
  const auto answer = h2.answer(1);
  EXPECT_EQ(answer.status, 502);
}

TEST_F(Http2GatewayTest, LetsGoOfTheUpstreamWhenTheStreamIsReset) {
  std::promise<void> seen, release;
  auto released = release.get_future().share();
  script_ = [&, released](const std::string& text, int) {
    if (text.contains("/courses/slow")) {
      seen.set_value();
      released.wait();
    }
    return ok("done");
  };
  start();
  auto h2 = client();
  h2.head(1, request("GET", "/orgs/7/courses/slow"));
  seen.get_future().wait();
  h2.frame(Http2TestClient::kReset, 0, 1, Http2TestClient::number(8, 4));
  EXPECT_EQ(h2.head(3, request("GET", "/orgs/7/courses/1")).answer(3).body, "done");
  release.set_value();
  EXPECT_EQ(h2.head(5, request("GET", "/orgs/7/courses/1")).answer(5).body, "done");
}

TEST_F(Http2GatewayTest, WaitsForTheRecordOfAStrictRequestAndOutlivesAReset) {
  sink_.mode(TestSink::Mode::hold);
  start();
  auto h2 = client();
  h2.head(1, request("DELETE", "/orgs/7/courses/1"))
      .head(3, request("DELETE", "/orgs/7/courses/2"));
  sink_.wait_for(2);
  EXPECT_TRUE(upstream_.requests().empty());
  h2.frame(Http2TestClient::kReset, 0, 1, Http2TestClient::number(8, 4));
  EXPECT_EQ(h2.head(5, Http2TestClient::request("GET", "/v1/x")).answer(5).status, 200);
  sink_.release_held();
  EXPECT_EQ(h2.answer(3).status, 200);
  EXPECT_EQ(upstream_.requests().size(), 1u);
}

TEST_F(Http2GatewayTest, LimitsRatesAsOverHttp1) {
  options_.rates.organization = {1, 1};
  start();
  auto h2 = client();
  EXPECT_EQ(h2.head(1, request("GET", "/orgs/7/courses/1")).answer(1).status, 200);
  const auto refused = h2.head(3, request("GET", "/orgs/7/courses/1")).answer(3);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.reason(), "organization_rate_limited");
  EXPECT_EQ(refused.fields.at("retry-after"), "1");
}

TEST_F(Http2GatewayTest, AnswersTheDecisionEndpoints) {
  options_.authorize_proxies = must(AddressList::parse({"127.0.0.1/32"}));
  start();
  auto h2 = client();
  const auto yes =
      h2.head(1, request("GET", "/authorize",
                         {{"x-forwarded-method", "GET"}, {"x-forwarded-uri", "/orgs/7/courses/1"}}))
          .answer(1);
  EXPECT_EQ(yes.status, 200);
  EXPECT_EQ(yes.fields.at("domicile-organization"), "7");
  EXPECT_TRUE(yes.fields.contains("domicile-context"));
  const auto no =
      h2.head(3, request("GET", "/authorize",
                         {{"x-forwarded-method", "GET"}, {"x-forwarded-uri", "/orgs/8/courses/1"}}))
          .answer(3);
  EXPECT_EQ(no.status, 403);
  EXPECT_EQ(no.fields.at("domicile-reason"), "organization_mismatch");
  Fields job = Http2TestClient::request(
      "POST", "/v1/context",
      {{"authorization",
        "Bearer " + token("7", true, {}, 3, "svc", {domain::Permission("context:issue")})},
       {"domicile-organization", "7"},
       {"domicile-epoch", "3"}});
  const auto context = h2.head(5, job).answer(5);
  EXPECT_EQ(context.status, 200);
  EXPECT_THAT(context.body, HasSubstr("\"context\":\""));
}

}  // namespace
}  // namespace domicile::gateway
