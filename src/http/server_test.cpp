#include "http/server.h"

#include <atomic>
#include <future>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/mounts.h"
#include "http/test_client.h"
#include "wire/corpus_for_test.h"

namespace domicile::http {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

// A real server with a few handlers.
class ServerTest : public testing::Test {
 protected:
  ServerTest() : pool_(2, 8), mounts_(std::make_unique<Mounts>(pool_, 1000)) {
    limits_.body_bytes_max = 100'000;
    mounts_->add("/echo", [](const Request& request) {
      return Response{
          200,
          {{"content-type", "text/plain"}, {"x-peer", request.peer_ip}},
          request.method + " " + request.path + "?" + request.query + " " + request.body};
    });
    mounts_->add("/throws", [](const Request&) -> Response { throw std::runtime_error("no"); });
    mounts_->add("/bad-header",
                 [](const Request&) { return Response{200, {{"x-a", "b\r\nSet-Cookie: c"}}, ""}; });
    mounts_->add("/files/",
                 [](const Request& request) { return json_response(200, request.path); });
    mounts_->add("/big",
                 [](const Request&) { return Response{200, {}, std::string(8 << 20, 'b')}; });
    mounts_->add("/wait", [this](const Request&) {
      waiting_.set_value();
      release_.get_future().wait();
      return Response{200, {}, "waited"};
    });
  }
  ~ServerTest() override { end(); }

  void start(unsigned loops = 1) {
    ListenerOptions listener;
    listener.loops = loops;
    server_ = Server::create(listener, limits_, clock_, metrics_, [this](ServerContext&) {
                return Result<std::unique_ptr<Service>>(std::make_unique<MountsService>(*mounts_));
              }).value();
    ASSERT_TRUE(server_->start());
  }
  Result<std::unique_ptr<Server>> on_port(std::uint16_t port) {
    ListenerOptions listener;
    listener.port = port;
    return Server::create(listener, limits_, clock_, metrics_, [this](ServerContext&) {
      return Result<std::unique_ptr<Service>>(std::make_unique<MountsService>(*mounts_));
    });
  }
  void end() {
    server_.reset();
    pool_.stop();
  }
  TestClient connect() { return TestClient(server_->port()); }

  SystemClock clock_;
  Metrics metrics_;
  ServerLimits limits_;
  runtime::WorkerPool pool_;
  std::unique_ptr<Mounts> mounts_;
  std::unique_ptr<Server> server_;
  std::promise<void> waiting_, release_;
};

constexpr std::string_view kGet = "GET /echo?a=1 HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(ServerTest, SharesItsPortWithNoOtherNode) {
  start(2);
  const auto other = on_port(server_->port());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().reason, "port_in_use");
}

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  start();
  auto client = connect();
  for (int i = 0; i < 3; ++i) {
    const std::string answer = client.send(kGet).answer();
    EXPECT_THAT(answer, HasSubstr("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("x-peer: 127.0.0.1\r\n"));
    EXPECT_THAT(answer, HasSubstr("Domicile-Request-Id: "));
    EXPECT_EQ(body_of(answer), "GET /echo?a=1 ");
  }
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrderHoweverTheyArrive) {
  start();
  std::string all;
  for (int i = 0; i < 5; ++i) {
    all +=
        "POST /echo?" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    all +=
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";
  }
  for (const std::size_t piece : {all.size(), std::size_t{1}, std::size_t{13}}) {
    auto client = connect();
    std::thread sender([&] {
      for (std::size_t at = 0; at < all.size(); at += piece) client.send(all.substr(at, piece));
    });
    for (int i = 0; i < 5; ++i) {
      EXPECT_EQ(body_of(client.answer()), "POST /echo?" + std::to_string(i) + " abc");
      EXPECT_EQ(body_of(client.answer()), "POST /echo? xyz");
    }
    sender.join();
  }
}

TEST_F(ServerTest, RefusesTheCorpusWithTheStatedReasonAndCloses) {
  start();
  for (const auto& c : wire::read_corpus("requests.tsv")) {
    if (c.expected == "ok") continue;
    auto client = connect();
    const std::string answer = client.send(c.bytes).answer();
    EXPECT_THAT(answer, HasSubstr("\"reason\":\"" + c.expected + "\"")) << c.name;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n")) << c.name;
    EXPECT_THAT(answer, HasSubstr("application/problem+json")) << c.name;
    EXPECT_TRUE(client.closed()) << c.name;
  }
}

TEST_F(ServerTest, NeverTakesTheBodyOfARefusedRequestForARequest) {
  start();
  auto client = connect();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
      "0\r\n\r\nGET /files/stolen HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string all = client.until_closed();
  EXPECT_THAT(all, HasSubstr("length_and_encoding"));
  EXPECT_THAT(all, Not(HasSubstr("stolen")));
}

TEST_F(ServerTest, SaysContinueOnceAndOnlyWhenAsked) {
  start();
  auto client = connect();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.answer(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(body_of(client.send("hi").answer()), "POST /echo? hi");
  EXPECT_EQ(body_of(client.send(kGet).answer()), "GET /echo?a=1 ");
}

TEST_F(ServerTest, RefusesBodiesOverTheLimitBeforeAskingForThem) {
  start();
  auto client = connect();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n");
  const std::string all = client.until_closed();
  EXPECT_EQ(status_of(all), 413);
  EXPECT_THAT(all, Not(HasSubstr("100 Continue")));
  auto chunked = connect();
  chunked.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
               std::string(2000, 'x'));
  EXPECT_EQ(status_of(chunked.until_closed()), 413);
}

TEST_F(ServerTest, RefusesAFaultyChunk) {
  start();
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello");
  EXPECT_THAT(client.until_closed(), HasSubstr("\"reason\":\"bare_lf\""));
}

TEST_F(ServerTest, AnswersAClientThatHasClosedItsHalf) {
  start();
  auto client = connect();
  client.send(kGet).half_close();
  EXPECT_EQ(body_of(client.until_closed()), "GET /echo?a=1 ");
}

TEST_F(ServerTest, SendsNoBodyToHead) {
  start();
  auto client = connect();
  const std::string answer = client.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n").answer(true);
  EXPECT_THAT(answer, HasSubstr("Content-Length: 12\r\n"));
  EXPECT_EQ(body_of(client.send(kGet).answer()), "GET /echo?a=1 ");
}

TEST_F(ServerTest, SpeaksHttp10) {
  start();
  auto client = connect();
  EXPECT_THAT(client.send("GET /echo HTTP/1.0\r\n\r\n").until_closed(), HasSubstr("GET /echo?"));
  auto kept = connect();
  constexpr std::string_view get = "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  EXPECT_THAT(kept.send(get).answer(), HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_EQ(status_of(kept.send(get).answer()), 200);
}

TEST_F(ServerTest, TurnsAThrowingOrMalformedHandlerIntoAnInternalError) {
  start();
  auto client = connect();
  EXPECT_EQ(status_of(client.send("GET /throws HTTP/1.1\r\nHost: a\r\n\r\n").answer()), 500);
  const std::string answer = client.send("GET /bad-header HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  EXPECT_EQ(status_of(answer), 500);
  EXPECT_THAT(answer, Not(HasSubstr("Set-Cookie")));
  EXPECT_EQ(status_of(client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n").answer()), 404);
}

TEST_F(ServerTest, TimesOutASlowHeadAndASlowBody) {
  limits_.head_ms = milliseconds(50);
  limits_.body_idle_ms = milliseconds(50);
  limits_.idle_ms = milliseconds(50);
  start();
  auto head = connect();
  EXPECT_THAT(head.send("GET / HTTP/1.1\r\n").until_closed(), HasSubstr("head_timeout"));
  auto body = connect();
  body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
  EXPECT_THAT(body.until_closed(), HasSubstr("body_timeout"));
  EXPECT_EQ(connect().until_closed(), "");
}

TEST_F(ServerTest, GivesASlowReaderTheWholeAnswer) {
  start();
  auto client = connect();
  client.send("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(body_of(client.answer()), std::string(8 << 20, 'b'));
}

TEST_F(ServerTest, CutsAReaderThatTakesNothing) {
  limits_.write_idle_ms = milliseconds(100);
  start();
  auto client = connect();
  client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  while (!metrics_.page().contains("domicile_http_timeouts_total 1\n")) {
    std::this_thread::yield();
  }
  EXPECT_LT(client.until_closed().size(), std::size_t{8 << 20});
}

TEST_F(ServerTest, StopsReadingRequestsWhoseAnswersNobodyTakes) {
  limits_.output_bytes_high = 64 * 1024;
  start();
  auto client = connect();
  constexpr int kRequests = 6;
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  });
  sender.join();
  for (int i = 0; i < kRequests; ++i) EXPECT_EQ(body_of(client.answer()).size(), 8u << 20);
}

TEST_F(ServerTest, DropsTheAnswerForAClientThatLeft) {
  start();
  auto client = connect();
  client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  waiting_.get_future().wait();
  client.reset();
  while (!metrics_.page().contains("domicile_http_connections_open 0\n")) {
    std::this_thread::yield();
  }
  release_.set_value();
  auto next = connect();
  EXPECT_EQ(status_of(next.send(kGet).answer()), 200);
}

TEST_F(ServerTest, DrainFinishesWhatIsInFlightAndClosesWhatIsIdle) {
  start();
  auto idle = connect();
  EXPECT_EQ(status_of(idle.send(kGet).answer()), 200);
  auto busy = connect();
  busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  waiting_.get_future().wait();
  auto drained = std::async(std::launch::async, [&] { server_->drain(milliseconds(20'000)); });
  EXPECT_TRUE(idle.closed());
  release_.set_value();
  const std::string answer = busy.answer();
  EXPECT_EQ(body_of(answer), "waited");
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(busy.closed());
  drained.wait();
  EXPECT_THROW(connect(), std::runtime_error);
}

TEST_F(ServerTest, DrainAnswersWhatComesOnOpenConnectionsOnceMore) {
  limits_.drain_idle_ms = milliseconds(60'000);
  start(2);
  std::vector<TestClient> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(connect());
  EXPECT_EQ(status_of(clients[0].send(kGet).answer()), 200);
  auto drained =
      std::async(std::launch::async, [&] { return server_->drain(milliseconds(20'000)); });
  EXPECT_THROW(for (;;) connect(), std::runtime_error);
  for (TestClient& client : clients) {
    EXPECT_THAT(client.send(kGet).answer(), HasSubstr("Connection: close\r\n"));
    EXPECT_TRUE(client.closed());
  }
  EXPECT_EQ(drained.get(), 0u);
}

TEST_F(ServerTest, DrainCountsWhatItsDeadlineLeaves) {
  start(2);
  auto busy = connect();
  busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  waiting_.get_future().wait();
  EXPECT_EQ(server_->drain(milliseconds(300)), 1u);
  release_.set_value();
}

TEST_F(ServerTest, StopsWhileHandlersAreAtWork) {
  start(2);
  auto waiter = connect();
  waiter.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  waiting_.get_future().wait();
  std::vector<TestClient> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(connect());
    clients.back().send(kGet).send(kGet);
  }
  server_.reset();
  release_.set_value();
  pool_.stop();
}

TEST(ParseForm, DecodesOnceAndRefusesDuplicatesAndBadEscapes) {
  const auto form = parse_form("a=1+2&b=%41%2526&c&&d=");
  ASSERT_TRUE(form);
  EXPECT_EQ(*form, (std::vector<std::pair<std::string, std::string>>{
                       {"a", "1 2"}, {"b", "A%26"}, {"c", ""}, {"d", ""}}));
  EXPECT_FALSE(parse_form("a=1&a=2"));
  EXPECT_FALSE(parse_form("a=1&%61=2"));
  EXPECT_FALSE(parse_form("a=%4"));
  EXPECT_FALSE(parse_form("a=%zz"));
}

TEST(RequestHeader, IsAbsentWhenItStandsTwice) {
  Request request;
  request.headers = {{"a", "1"}, {"b", "2"}, {"b", "3"}};
  EXPECT_EQ(request.header("a"), "1");
  EXPECT_EQ(request.header("b"), std::nullopt);
}

TEST(Metrics, SumsWhatTheLoopsCount) {
  Metrics metrics;
  metrics.counter("a_total", "Help.", "x=\"1\"").add(2);
  metrics.counter("a_total", "Help.", "x=\"1\"").add(3);
  metrics.read("b", "Help.", Metrics::Kind::gauge, [] { return 1.5; });
  EXPECT_EQ(metrics.page(),
            "# HELP a_total Help.\n# TYPE a_total counter\na_total{x=\"1\"} 5\n"
            "# HELP b Help.\n# TYPE b gauge\nb 1.5\n");
}

TEST(Metrics, AHistogramCountsEachTimeInEveryBucketThatHoldsIt) {
  using std::chrono::microseconds;
  Metrics metrics;
  Histogram& loop = metrics.histogram("took_seconds", "Help.");
  Histogram& other = metrics.histogram("took_seconds", "Help.");
  for (const int us : {0, 1'000, 1'001, 700'000}) loop.observe(microseconds(us));
  other.observe(microseconds(60'000'000));
  const std::string page = metrics.page();
  EXPECT_TRUE(
      page.starts_with("# HELP took_seconds Help.\n# TYPE took_seconds histogram\n"
                       "took_seconds_bucket{le=\"0.001\"} 2\n"
                       "took_seconds_bucket{le=\"0.0025\"} 3\n"))
      << page;
  EXPECT_TRUE(
      page.ends_with("took_seconds_bucket{le=\"0.5\"} 3\ntook_seconds_bucket{le=\"1\"} 4\n"
                     "took_seconds_bucket{le=\"2.5\"} 4\ntook_seconds_bucket{le=\"5\"} 4\n"
                     "took_seconds_bucket{le=\"10\"} 4\ntook_seconds_bucket{le=\"+Inf\"} 5\n"
                     "took_seconds_sum 60.702001\ntook_seconds_count 5\n"))
      << page;
}

}  // namespace
}  // namespace domicile::http
