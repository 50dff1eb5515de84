// HTTP/2 over real sockets: what a client must not do, and what becomes of it.
#include <functional>

#include "http/http2_fixture.h"

namespace domicile::http {
namespace {

using testing::HasSubstr;
using Client = Http2TestClient;
constexpr std::int64_t kProtocolError = 1, kFlowControl = 3, kStreamClosed = 5, kCompression = 9,
                       kCalm = 11;

TEST_F(Http2Test, SendsAwayAClientThatResetsWhatItBegins) {
  start();
  Client client(port());
  std::jthread sender([&] {
    for (std::uint32_t stream = 1; stream < 2000; stream += 2) {
      client.head(stream, get("/wait")).frame(Client::kReset, 0, stream, Client::number(8, 4));
    }
  });
  EXPECT_EQ(client.until_goaway(), kCalm);
  sender.join();
  EXPECT_THAT(metrics_.page(), HasSubstr("domicile_http2_abuses_total 1\n"));
}

TEST_F(Http2Test, SendsAwayAClientThatMakesItResetStreams) {
  start();
  Client client(port());
  std::jthread sender([&] {
    for (std::uint32_t stream = 1; stream < 2000; stream += 2) {
      client.head(stream, get("/wait")).window(stream, 0);  // an error of the stream's
    }
  });
  const auto error = client.until_goaway();
  EXPECT_TRUE(error == kCalm || error == kProtocolError) << error;
  sender.join();
}

TEST_F(Http2Test, SendsAwayAFloodOfFramesThatCarryNothing) {
  start();
  const std::string ping(8, 'p');
  const std::vector<std::pair<const char*, std::string>> floods = {
      {"ping", Client::bytes_of(Client::kPing, 0, 0, ping)},
      {"settings", Client::bytes_of(Client::kSettings, 0, 0, Client::setting(3, 100))},
      {"priority", Client::bytes_of(Client::kPriority, 0, 1, std::string("\0\0\0\3\20", 5))},
      {"window", Client::bytes_of(Client::kWindow, 0, 0, Client::number(1, 4))},
      {"unknown", Client::bytes_of(77, 0, 0, "x")},
      {"empty data", Client::bytes_of(Client::kData, 0, 1, "")},
      {"padded data", Client::bytes_of(Client::kData, Client::kPadded, 1,
                                       std::string(1, '\3') + std::string(3, 0))}};
  for (const auto& [name, frame] : floods) {
    Client client(port());
    client.head(1, post(), false);
    std::string many;
    for (int i = 0; i < 5000; ++i) many += frame;
    std::jthread sender([&] { client.raw().send(many); });
    EXPECT_EQ(client.until_goaway(), kCalm) << name;
    sender.join();
  }
  EXPECT_THAT(metrics_.page(), HasSubstr("domicile_http2_abuses_total 7\n"));
}

TEST_F(Http2Test, EndsAFloodOfContinuations) {
  start();
  Client client(port());
  client.quiet = true;
  client.frame(Client::kHeaders, Client::kEndStream, 1, Client::block(get()));
  std::jthread sender([&] {
    for (int i = 0; i < 10'000; ++i)
      client.frame(Client::kContinuation, 0, 1, Client::block({{"x", "y"}}));
  });
  client.until_goaway();  // closed, however
  sender.join();
  Client empty(port());
  empty.quiet = true;
  empty.frame(Client::kHeaders, Client::kEndStream, 1, Client::block(get()));
  std::jthread another([&] {
    for (int i = 0; i < 10'000; ++i) empty.frame(Client::kContinuation, 0, 1, "");
  });
  empty.until_goaway();
  another.join();
  Client next(port());
  EXPECT_EQ(next.head(1, get()).answer(1).status, 200);
}

TEST_F(Http2Test, EndsAHeaderBomb) {
  start();
  Client client(port());
  // One long field into the dynamic table, then named again and again, a byte each.
  std::string block = Client::block(get());
  block +=
      std::string("\x40") + Client::literal("x-bomb") + Client::literal(std::string(3'000, 'b'));
  block += std::string(10'000, '\xbe');
  client.frame(Client::kHeaders, 5, 1, block);
  EXPECT_EQ(client.until_goaway(), kCalm);
}

TEST_F(Http2Test, EndsAConnectionWhoseCompressionIsBroken) {
  start();
  Client client(port());
  client.frame(Client::kHeaders, 5, 1, "\xff\xff\xff\xff\xff\xff\xff\xff");
  EXPECT_EQ(client.until_goaway(), kCompression);
}

TEST_F(Http2Test, EndsWindowsThatOverflow) {
  start();
  Client connection(port());
  connection.window(0, 0x7fffffff);
  EXPECT_EQ(connection.until_goaway(), kFlowControl);
  Client stream(port());
  stream.head(1, get("/wait")).window(1, 0x7fffffff);
  EXPECT_EQ(stream.answer(1).reset, kFlowControl);
}

TEST_F(Http2Test, HoldsNoMoreOfABodyThanItsWindow) {
  limits_.http2.stream_window_bytes = 65'535;
  limits_.http2.connection_window_bytes = 65'535;
  start();
  Client client(port());
  client.head(1, Client::request("POST", "/wait"), false);
  std::jthread sender([&] {
    for (int i = 0; i < 200; ++i) client.data(1, std::string(16'384, 'x'));
  });
  const auto answer = client.answer(1);  // nobody waited for our windows
  EXPECT_TRUE(answer.goaway == kFlowControl || answer.reset == kFlowControl || answer.status == 413)
      << answer.goaway << " " << answer.reset;
  sender.join();
}

TEST_F(Http2Test, RefusesFramesInTheWrongPlace) {
  start();
  const std::string head = Client::block(get());
  const std::vector<std::pair<const char*, std::function<void(Client&)>>> cases = {
      {"even stream", [&](Client& c) { c.head(2, get()); }},
      {"data on stream 0", [](Client& c) { c.data(0, "x"); }},
      {"data on an idle stream", [](Client& c) { c.data(5, "x"); }},
      {"continuation of nothing", [&](Client& c) { c.frame(Client::kContinuation, 4, 1, head); }},
      {"something within a head",
       [&](Client& c) {
         c.frame(Client::kHeaders, 1, 1, head).frame(Client::kPing, 0, 0, "12345678");
       }},
      {"too long a frame",
       [](Client& c) { c.frame(Client::kPing, 0, 0, std::string(20'000, 'p')); }},
      {"short settings", [](Client& c) { c.frame(Client::kSettings, 0, 0, "abc"); }},
      {"push promise",
       [&](Client& c) { c.frame(Client::kPush, 4, 1, Client::number(2, 4) + head); }},
      {"padding beyond the frame",
       [](Client& c) {
         c.head(1, post(), false).frame(Client::kData, Client::kPadded, 1, "\x7f");
       }},
      {"enable push of 2",
       [](Client& c) { c.frame(Client::kSettings, 0, 0, Client::setting(2, 2)); }}};
  for (const auto& [name, act] : cases) {
    Client client(port());
    act(client);
    EXPECT_GT(client.until_goaway(), 0) << name;
  }
}

TEST_F(Http2Test, IgnoresRequestsOnStreamsThatAreOver) {
  start();
  Client client(port());
  client.head(5, get()).head(3, get()).data(1, "x").head(7, get());
  EXPECT_EQ(client.answer(7).status, 200);
  EXPECT_EQ(client.answer(5).status, 200);
  EXPECT_THAT(metrics_.page(), HasSubstr("domicile_http_requests_total 2\n"));
}

TEST_F(Http2Test, RefusesDataAfterTheEnd) {
  start();
  Client client(port());
  client.head(1, get("/wait")).data(1, "more");
  const auto answer = client.answer(1);
  EXPECT_TRUE(answer.reset == kStreamClosed || answer.goaway == kStreamClosed)
      << answer.reset << " " << answer.goaway;
}

}  // namespace
}  // namespace domicile::http
