// How the door carries bytes to and from the upstream, over real sockets.
#include <future>

#include "gateway/gateway_fixture.h"
#include "gateway/upstream_url.h"

namespace domicile::gateway {
namespace {

using http::body_of;
using http::status_of;
using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class ProxyTest : public GatewayTest {};

TEST_F(ProxyTest, KeepsUpstreamConnections) {
  start();
  auto client = connect();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 200);
  }
  EXPECT_THAT(gateway_->metrics().page(),
              HasSubstr("domicile_http_upstream_connections_total 1\n"));
}

TEST_F(ProxyTest, StreamsLargeBodiesBothWays) {
  script_ = [](const std::string& seen, int) { return ok(body_of(seen)); };
  start();
  std::string body(6 << 20, 'x');
  for (std::size_t i = 0; i < body.size(); i += 4096)
    body[i] = static_cast<char>('a' + i / 4096 % 26);
  auto client = connect();
  const std::jthread sender([&] { client.send(request("POST /orgs/7/courses", "", body)); });
  const std::string answer = client.answer();
  EXPECT_EQ(status_of(answer), 200);
  EXPECT_TRUE(body_of(answer) == body);
}

TEST_F(ProxyTest, ReframesAChunkedRequestAndForwardsAChunkedAnswer) {
  script_ = [](const std::string&, int) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  };
  start();
  auto client = connect();
  client.send(request("POST /orgs/7/courses", "Transfer-Encoding: chunked\r\n"));
  client.send("3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n");
  client.half_close();
  const std::string all = client.until_closed();
  EXPECT_THAT(all, HasSubstr("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
  const std::string seen = upstream_.requests().at(0);
  EXPECT_THAT(seen, testing::EndsWith("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
}

TEST_F(ProxyTest, TakesChunksApartForHttp10) {
  script_ = [](const std::string&, int) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
  };
  start();
  auto client = connect();
  client.send(
      "GET /orgs/7/courses/1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n"
      "Authorization: Bearer " +
      token() + "\r\n\r\n");
  const std::string all = client.until_closed();
  EXPECT_EQ(body_of(all), "hello!");
  EXPECT_THAT(all, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(all, Not(HasSubstr("chunked")));
}

TEST_F(ProxyTest, ChunksAnAnswerThatEndsWithItsConnection) {
  script_ = [](const std::string&, int) {
    return std::string("HTTP/1.0 200 OK\r\n\r\nuntil the end") + std::string(TestUpstream::kClose);
  };
  start();
  auto client = connect();
  client.send(request("GET /orgs/7/courses/1"));
  client.half_close();
  EXPECT_THAT(client.until_closed(), HasSubstr("d\r\nuntil the end\r\n0\r\n\r\n"));
}

TEST_F(ProxyTest, DropsInterimAnswersAndHopByHopFields) {
  script_ = [](const std::string&, int) {
    return "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nX-Hop: 1\r\n"
           "Connection: X-Hop\r\nKeep-Alive: timeout=5\r\nDomicile-Context: leaked\r\n"
           "X-Kept: 1\r\nContent-Length: 2\r\n\r\nok";
  };
  start();
  auto client = connect();
  const std::string answer = client.send(request("GET /orgs/7/courses/1")).answer();
  EXPECT_THAT(answer, testing::StartsWith("HTTP/1.1 200 OK\r\nX-Kept: 1\r\nContent-Length: 2\r\n"));
  EXPECT_EQ(body_of(answer), "ok");
  EXPECT_THAT(answer, Not(HasSubstr("Hop")));
  EXPECT_THAT(answer, Not(HasSubstr("leaked")));
}

TEST_F(ProxyTest, AnswersHeadWithoutABody) {
  script_ = [](const std::string&, int) { return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"; };
  start();
  auto client = connect();
  EXPECT_THAT(client.send(request("HEAD /orgs/7/courses/1")).answer(true),
              HasSubstr("Content-Length: 5\r\n"));
  EXPECT_EQ(status_of(client.send(request("HEAD /orgs/7/courses/1")).answer(true)), 200);
}

TEST_F(ProxyTest, TriesOnceMoreOnAStaleConnectionWhenThatIsSafe) {
  // Every connection answers once, keeps open, and is closed by its second request.
  script_ = [](const std::string&, int nth) { return nth == 0 ? ok("fresh") : std::string(); };
  start();
  auto client = connect();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(body_of(client.send(request("GET /orgs/7/courses/1")).answer()), "fresh");
  }
  const std::string post = client.send(request("POST /orgs/7/courses", "", "x")).answer();
  EXPECT_EQ(status_of(post), 502);
  EXPECT_THAT(post, HasSubstr("upstream_closed"));
}

TEST_F(ProxyTest, NeverRepeatsARequestThatAFreshConnectionFailed) {
  script_ = [](const std::string&, int) { return std::string(); };
  start();
  auto client = connect();
  EXPECT_EQ(status_of(client.send(request("GET /orgs/7/courses/1")).answer()), 502);
  EXPECT_EQ(upstream_.requests().size(), 1u);
}

TEST_F(ProxyTest, RefusesAnAnswerThatCanBeReadInTwoWays) {
  for (const char* answer :
       {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "nonsense\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
    TestUpstream upstream([&](const std::string&, int) { return std::string(answer); });
    options_.upstreams = {{"app", upstream.url()}};
    start();
    auto client = connect();
    const std::string got = client.send(request("GET /orgs/7/courses/1")).answer();
    EXPECT_EQ(status_of(got), 502) << answer;
    EXPECT_THAT(got, HasSubstr("upstream_malformed")) << answer;
    gateway_.reset();
  }
}

TEST_F(ProxyTest, CutsTheClientOffWhenTheAnswerEndsTooEarly) {
  script_ = [](const std::string&, int) {
    return std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") +
           std::string(TestUpstream::kClose);
  };
  start();
  auto client = connect();
  EXPECT_THAT(client.send(request("GET /orgs/7/courses/1")).answer(),
              testing::EndsWith("<closed>"));
}

TEST_F(ProxyTest, SaysWhenTheApplicationIsAwayOrSlow) {
  options_.upstream_response_ms = milliseconds(80);
  std::promise<void> release;
  auto released = release.get_future().share();
  script_ = [released](const std::string&, int) {
    released.wait();
    return ok("late");
  };
  start();
  auto client = connect();
  const std::string late = client.send(request("GET /orgs/7/courses/1")).answer();
  EXPECT_EQ(status_of(late), 504);
  EXPECT_THAT(late, HasSubstr("upstream_timeout"));
  release.set_value();
  gateway_.reset();

  const SilentPort nobody;
  options_.upstreams = {{"app", nobody.url()}};
  start();
  auto next = connect();
  const std::string away = next.send(request("GET /orgs/7/courses/1")).answer();
  EXPECT_EQ(status_of(away), 502);
  EXPECT_THAT(away, HasSubstr("upstream_unreachable"));
}

TEST_F(ProxyTest, KeepsItsMemoryBoundedForAClientThatDoesNotRead) {
  options_.limits.output_bytes_high = 64 * 1024;
  options_.limits.write_idle_ms = milliseconds(300);
  script_ = [](const std::string&, int) { return ok(std::string(64 << 20, 'z')); };
  start();
  auto client = connect();
  client.send(request("GET /orgs/7/courses/1"));
  while (!gateway_->metrics().page().contains("domicile_http_timeouts_total 1\n")) {
    std::this_thread::yield();
  }
  EXPECT_LT(client.until_closed().size(), std::size_t{64 << 20});
}

TEST_F(ProxyTest, LetsGoOfTheUpstreamWhenTheClientLeaves) {
  std::promise<void> seen, release;
  // The upstream may come to its wait when the test is over: it has the future itself.
  script_ = [&seen, waits = release.get_future().share()](const std::string&, int nth) {
    if (nth == 0) seen.set_value();
    waits.wait();
    return ok("nobody hears");
  };
  start();
  auto client = connect();
  client.send(request("GET /orgs/7/courses/1"));
  seen.get_future().wait();
  client.reset();
  while (!gateway_->metrics().page().contains("domicile_http_connections_open 0\n")) {
    std::this_thread::yield();
  }
  release.set_value();
}

TEST_F(ProxyTest, EndsARequestThatTakesTooLongThoughEveryPhaseIsInTime) {
  options_.total_ms = milliseconds(300);
  std::promise<void> over;
  script_ = [waits = over.get_future().share()](const std::string&, int) {
    waits.wait();
    return ok("late");
  };
  start();
  auto client = connect();
  EXPECT_THAT(client.send(request("GET /orgs/7/courses/1")).answer(),
              HasSubstr("\"reason\":\"request_timeout\""));
  over.set_value();
  EXPECT_THAT(
      gateway_->metrics().page(),
      HasSubstr("domicile_gateway_upstream_failures_total{reason=\"request_timeout\"} 1\n"));
}

TEST_F(ProxyTest, DrainsWhatIsInFlightAndStopsInTheMiddleOfIt) {
  std::promise<void> seen, release;
  auto released = release.get_future().share();
  script_ = [&](const std::string& text, int) {
    if (text.contains("/courses/slow")) {
      seen.set_value();
      released.wait();
    }
    return ok("done");
  };
  start(2);
  auto client = connect();
  client.send(request("GET /orgs/7/courses/slow"));
  seen.get_future().wait();
  auto drained = std::async(std::launch::async, [&] { gateway_->drain(milliseconds(20'000)); });
  release.set_value();
  EXPECT_EQ(body_of(client.answer()), "done");
  drained.wait();
  gateway_.reset();
}

TEST(UpstreamUrl, IsAHostAndAPortAndNothingElse) {
  EXPECT_EQ(parse_upstream_url("http://127.0.0.1:8080")->port, 8080);
  EXPECT_EQ(parse_upstream_url("http://[::1]:9/")->host, "::1");
  EXPECT_EQ(parse_upstream_url("http://app")->port, 80);
  for (const char* bad : {"https://a", "a:80", "http://", "http://a:0", "http://a:99999",
                          "http://a/b", "http://u@a", "http://a:8x", "http://[::1"}) {
    EXPECT_FALSE(parse_upstream_url(bad)) << bad;
  }
}

}  // namespace
}  // namespace domicile::gateway
