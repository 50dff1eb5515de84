// HTTP/2 over real sockets: what a client may do, frame by frame.
#include "http/http2_fixture.h"
#include "wire/corpus_for_test.h"

namespace domicile::http {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using Client = Http2TestClient;
constexpr std::int64_t kNoError = 0, kProtocolError = 1, kRefusedStream = 7;

TEST_F(Http2Test, AnswersOnTheStreamOfTheRequest) {
  start();
  Client client(port());
  for (std::uint32_t stream = 1; stream < 11; stream += 2) {
    client.head(stream, get("/echo?n=" + std::to_string(stream)));
  }
  for (std::uint32_t stream = 9; stream < 11; stream -= 2) {
    const auto answer = client.answer(stream);
    EXPECT_EQ(answer.status, 200);
    EXPECT_TRUE(answer.ended);
    EXPECT_EQ(answer.body, "GET /echo?n=" + std::to_string(stream) + " ");
    EXPECT_EQ(answer.fields.at("content-type"), "text/plain");
    EXPECT_EQ(answer.fields.at("x-mixed"), "Case");
    EXPECT_EQ(answer.fields.at("domicile-request-id").size(), 32u);
    EXPECT_TRUE(answer.fields.contains("date"));
    EXPECT_FALSE(answer.fields.contains("connection"));
    if (stream == 1) break;
  }
}

TEST_F(Http2Test, KnowsThePrefaceHoweverItArrives) {
  start();
  for (const std::size_t piece : {1u, 5u, 18u, 19u, 100u}) {
    TestClient raw(port());
    std::string all = std::string(Client::kPreface) +
                      Client::bytes_of(Client::kSettings, 0, 0, "") +
                      Client::bytes_of(Client::kHeaders, 5, 1, Client::block(get()));
    for (std::size_t at = 0; at < all.size(); at += piece) raw.send(all.substr(at, piece));
    EXPECT_EQ(raw.bytes(9)[3], '\4') << piece;  // SETTINGS
  }
  TestClient other(port());
  other.send("PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(other.until_closed(), testing::Not(HasSubstr("HTTP/1.1")));
  TestClient second(port());  // only as the first thing on a connection
  second.send("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n").answer();
  EXPECT_THAT(second.send(Client::kPreface).until_closed(), HasSubstr("unsupported_version"));
}

TEST_F(Http2Test, SpeaksOnlyHttp1WhereItIsToldSo) {
  limits_.http2.offered = false;
  start();
  TestClient client(port());
  EXPECT_THAT(client.send(Client::kPreface).until_closed(), HasSubstr("unsupported_version"));
}

TEST_F(Http2Test, NeverFollowsAnUpgradeToHttp2) {
  start();
  TestClient client(port());
  const std::string answer =
      client
          .send(
              "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
              "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
          .answer();
  EXPECT_EQ(status_of(answer), 200);
}

TEST_F(Http2Test, ReadsPathsAsStrictlyAsHttp1) {
  start();
  Client client(port());
  std::uint32_t stream = 1;
  for (const auto& c : wire::read_corpus("paths.tsv")) {
    const auto answer = client.head(stream, get("/files" + c.bytes)).answer(stream);
    if (c.expected.starts_with("ok:")) {
      EXPECT_EQ(answer.status, 200) << c.name;
    } else {
      EXPECT_EQ(answer.status, 400) << c.name;
      EXPECT_EQ(answer.reason(), c.expected) << c.name;
      EXPECT_EQ(answer.fields.at("content-type"), "application/problem+json") << c.name;
    }
    stream += 2;
  }
}

TEST_F(Http2Test, RefusesFaultyHeadsByNameAndGoesOn) {
  start();
  Client client(port());
  std::uint32_t stream = 1;
  const auto refused = [&](const Client::Fields& fields, int status, std::string_view reason) {
    const auto answer = client.head(stream, fields).answer(stream);
    EXPECT_EQ(answer.status, status) << reason;
    EXPECT_EQ(answer.reason(), reason);
    stream += 2;
  };
  refused(get("/echo", {{"X-Upper", "1"}}), 400, "bad_field_name");
  refused(get("/echo", {{"connection", "close"}}), 400, "connection_field");
  refused(get("/echo", {{"upgrade", "websocket"}}), 400, "connection_field");
  refused(get("/echo", {{"te", "gzip"}}), 400, "connection_field");
  refused(get("/echo", {{":path", "/"}}), 400, "bad_pseudo_field");
  refused(get("/echo", {{"host", "other"}}), 421, "foreign_authority");
  refused(get("/echo", {{"authorization", "a"}, {"authorization", "b"}}), 400,
          "duplicate_authorization");
  refused(get("/echo", {{"x", "a\r\nb: c"}}), 400, "bare_cr");
  refused(get("/echo", {{"expect", "magic"}}), 417, "bad_expectation");
  refused(get("/echo", {{"content-length", "3"}}), 400, "length_mismatch");
  refused(get("/echo", {{"x", std::string(40'000, 'a')}}), 431, "head_too_large");
  refused(get("/" + std::string(9'000, 'a')), 414, "target_too_long");
  refused(Client::request("CONNECT", "/echo"), 400, "bad_target");
  EXPECT_EQ(client.head(stream, get()).answer(stream).status, 200);
  EXPECT_THAT(metrics_.page(), HasSubstr("domicile_http_malformed_total 13\n"));
}

TEST_F(Http2Test, TakesBodiesAndChecksTheirStatedLength) {
  start();
  Client client(port());
  EXPECT_EQ(
      client.head(1, post(), false).data(1, "ab").data(1, "").data(1, "c", true).answer(1).body,
      "POST /echo? abc");
  EXPECT_EQ(
      client.head(3, post({{"content-length", "3"}}), false).data(3, "abc", true).answer(3).body,
      "POST /echo? abc");
  auto answer =
      client.head(5, post({{"content-length", "3"}}), false).data(5, "abcd", true).answer(5);
  EXPECT_EQ(answer.reason(), "length_mismatch");
  answer = client.head(7, post({{"content-length", "3"}}), false).data(7, "ab", true).answer(7);
  EXPECT_EQ(answer.reason(), "length_mismatch");
  answer = client.head(9, post({{"content-length", "0"}}), false).data(9, "", true).answer(9);
  EXPECT_EQ(answer.body, "POST /echo? ");
  EXPECT_EQ(client.head(11, get()).answer(11).status, 200);
}

TEST_F(Http2Test, ChecksTrailersAndDropsThem) {
  start();
  Client client(port());
  client.head(1, post(), false).data(1, "ab");
  client.head(1, {{"x-sum", "1"}});
  EXPECT_EQ(client.answer(1).body, "POST /echo? ab");
  client.head(3, post(), false).data(3, "ab").head(3, {{":path", "/"}});
  EXPECT_EQ(client.answer(3).reason(), "bad_trailer");
  client.head(5, post(), false).data(5, "ab").head(5, {{"x-sum", "1"}}, false);
  EXPECT_EQ(client.answer(5).reason(), "bad_trailer");
}

TEST_F(Http2Test, SaysContinueOnceWhenTheBodyIsWantedAndNotBefore) {
  start();
  Client client(port());
  client.head(1, post({{"expect", "100-continue"}, {"content-length", "2"}}), false);
  while (client.seen(Client::kHeaders) == 0) ASSERT_TRUE(client.step());
  const auto answer = client.data(1, "hi", true).answer(1);
  EXPECT_EQ(answer.interim, std::vector<int>{100});
  EXPECT_EQ(answer.body, "POST /echo? hi");
  const auto refused =
      client.head(3, post({{"expect", "100-continue"}, {"content-length", "9000000"}}), false)
          .answer(3);
  EXPECT_EQ(refused.status, 413);
  EXPECT_TRUE(refused.interim.empty());
}

TEST_F(Http2Test, LetsGoOfABodyThatItRefused) {
  limits_.body_bytes_max = 1000;
  start();
  Client client(port());
  const auto answer = client.head(1, post({{"content-length", "5000"}}), false).answer(1);
  EXPECT_EQ(answer.status, 413);
  EXPECT_TRUE(answer.ended);
  while (client.seen(Client::kReset) == 0) ASSERT_TRUE(client.step());
  EXPECT_EQ(client.answer(1).reset, kNoError);
  // What is on its way still costs the connection nothing: ten times its window goes by.
  std::uint32_t stream = 3;
  std::jthread sender([&] {
    for (int i = 0; i < 640; ++i) client.data(1, std::string(16'384, 'x'));
    client.head(stream, get());
  });
  EXPECT_EQ(client.answer(stream).status, 200);
  sender.join();
}

TEST_F(Http2Test, SendsNoBodyToHeadAndNoneWithoutContent) {
  mounts_->add("/empty", [](const Request&) { return Response{204, {}, ""}; });
  start();
  Client client(port());
  const auto head = client.head(1, Client::request("HEAD", "/echo")).answer(1);
  EXPECT_EQ(head.fields.at("content-length"), "12");
  EXPECT_EQ(head.body, "");
  const auto empty = client.head(3, get("/empty")).answer(3);
  EXPECT_EQ(empty.status, 204);
  EXPECT_FALSE(empty.fields.contains("content-length"));
}

TEST_F(Http2Test, GivesASlowReaderTheWholeAnswerAndOthersTheirs) {
  start();
  Client client(port());
  client.head(1, get("/big")).head(3, get());
  EXPECT_EQ(client.answer(3).body, "GET /echo? ");
  EXPECT_TRUE(client.answer(1).body == std::string(8 << 20, 'b'));
}

TEST_F(Http2Test, CutsAStreamWhoseWindowStaysShut) {
  limits_.write_idle_ms = milliseconds(150);
  start();
  Client client(port(), Client::setting(4, 10));  // initial window: 10 bytes
  client.starve = true;
  const auto cut = client.head(1, get("/big")).answer(1);
  EXPECT_EQ(cut.body, "bbbbbbbbbb");
  EXPECT_EQ(cut.reset, 8);  // CANCEL
  client.starve = false;
  EXPECT_EQ(client.head(3, get()).answer(3).status, 200);
}

TEST_F(Http2Test, CutsAConnectionThatTakesNothing) {
  limits_.write_idle_ms = milliseconds(150);
  start();
  Client client(port(), Client::setting(4, 0x7fffffff));
  client.window(0, 0x7fff0000).head(1, get("/big")).head(3, get("/big"));
  wait_for("domicile_http_requests_total 2\n");
  wait_for("domicile_http_connections_open 0\n");
  // The connection's own deadline, and perhaps those of its streams just before.
  EXPECT_THAT(metrics_.page(), testing::Not(HasSubstr("domicile_http_timeouts_total 0\n")));
}

TEST_F(Http2Test, TimesOutASlowHeadASlowBodyAndAnIdleConnection) {
  limits_.head_ms = milliseconds(100);
  limits_.body_idle_ms = milliseconds(100);
  limits_.idle_ms = milliseconds(300);
  start();
  Client head(port());
  head.quiet = true;
  head.frame(Client::kHeaders, Client::kEndStream, 1, Client::block(get()));  // no END_HEADERS
  EXPECT_EQ(head.until_goaway(), kNoError);
  Client body(port());
  body.head(1, post({{"content-length", "9"}}), false).data(1, "abc");
  const auto answer = body.answer(1);
  EXPECT_EQ(answer.status, 408);
  EXPECT_EQ(answer.reason(), "body_timeout");
  EXPECT_EQ(body.until_goaway(), kNoError);  // and then it was idle
  TestClient silent(port());
  silent.send(Client::kPreface);  // and never its SETTINGS
  silent.until_closed();
  Client pings(port());  // which make no request
  EXPECT_EQ(pings.frame(Client::kPing, 0, 0, "12345678").until_goaway(), kNoError);
}

TEST_F(Http2Test, DropsTheAnswerForAStreamThatWasReset) {
  start();
  Client client(port());
  client.head(1, get("/wait"));
  waiting_.get_future().wait();
  client.frame(Client::kReset, 0, 1, Client::number(8, 4)).head(3, get());
  EXPECT_EQ(client.answer(3).status, 200);
  release();
  EXPECT_EQ(client.head(5, get()).answer(5).status, 200);
}

TEST_F(Http2Test, AnswersAClientThatHasClosedItsHalf) {
  start();
  Client client(port());
  client.head(1, get("/wait"));
  client.raw().half_close();
  waiting_.get_future().wait();
  release();
  EXPECT_EQ(client.answer(1).body, "waited");
  EXPECT_EQ(client.next().type, -1);
}

TEST_F(Http2Test, RefusesMoreStreamsThanItSaid) {
  limits_.http2.streams_max = 4;
  start();
  Client client(port());
  while (client.seen(Client::kSettings) < 2)
    ASSERT_TRUE(client.step());  // ours, and its ACK of ours
  for (std::uint32_t stream = 1; stream < 9; stream += 2) client.head(stream, get("/wait"));
  waiting_.get_future().wait();
  client.head(9, get());
  const auto answer = client.answer(9);
  EXPECT_TRUE(answer.reset == kRefusedStream || answer.goaway == kProtocolError) << answer.reset;
  release();
}

TEST_F(Http2Test, DrainFinishesWhatIsUnderWayAndSaysWhereItStopped) {
  limits_.drain_idle_ms = milliseconds(1500);
  start();
  Client client(port());
  client.head(1, get("/wait"));
  waiting_.get_future().wait();
  Client idle(port());
  EXPECT_EQ(idle.head(1, get()).answer(1).status, 200);
  auto drained =
      std::async(std::launch::async, [&] { return server_->drain(milliseconds(20'000)); });
  while (client.last_stream != 0x7fffffff) ASSERT_TRUE(client.step());  // first the notice
  client.head(3, get());  // which did not reach it in time
  EXPECT_EQ(client.answer(3).status, 200);
  while (client.last_stream != 3) ASSERT_TRUE(client.step());
  release();
  EXPECT_EQ(client.answer(1).body, "waited");
  EXPECT_EQ(client.until_goaway(), kNoError);
  EXPECT_EQ(idle.until_goaway(), kNoError);
  EXPECT_EQ(drained.get(), 0u);
}

TEST_F(Http2Test, DrainCountsWhatItsDeadlineLeaves) {
  start(2);
  Client client(port());
  client.head(1, get("/wait")).head(3, get("/wait"));
  waiting_.get_future().wait();
  EXPECT_EQ(server_->drain(milliseconds(300)), 1u);
}

TEST_F(Http2Test, GoesAwayAfterManyRequestsAndLosesNone) {
  limits_.requests_per_connection_max = 5;
  start();
  Client client(port());
  for (std::uint32_t stream = 1; stream < 11; stream += 2) client.head(stream, get());
  for (std::uint32_t stream = 1; stream < 11; stream += 2)
    EXPECT_EQ(client.answer(stream).status, 200);
  EXPECT_EQ(client.until_goaway(), kNoError);
  EXPECT_EQ(client.last_stream, 9);
}

TEST_F(Http2Test, StopsWhileHandlersAreAtWork) {
  start(2);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(port()));
    clients.back()->head(1, get("/wait")).head(3, get("/big")).head(5, post(), false);
  }
  waiting_.get_future().wait();
  server_.reset();
  release();
  pool_.stop();
}

}  // namespace
}  // namespace domicile::http
