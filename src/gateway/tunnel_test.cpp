// WebSocket tunnels, over real sockets: who may begin one, what passes, and when it ends.
#include <future>

#include "gateway/gateway_fixture.h"
#include "wire/websocket.h"

namespace domicile::gateway {
namespace {

using http::status_of;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kFields =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

// Frames of less than 126 bytes.
std::string from_server(std::string_view text) {
  return "\x81" + std::string(1, static_cast<char>(text.size())) + std::string(text);
}
std::string from_client(std::string_view text) {  // masked with zeros
  return "\x81" + std::string(1, static_cast<char>(0x80 | text.size())) + std::string(4, '\0') +
         std::string(text);
}

// Switches protocols, then answers each piece that it gets with `answer`; "" ends the connection.
class TunnelUpstream {
 public:
  explicit TunnelUpstream(std::function<std::string(std::string_view)> answer,
                          std::string first = "")
      : answer_(std::move(answer)), first_(std::move(first)) {
    listener_ = runtime::listen_tcp(runtime::numeric_address("127.0.0.1", 0).value()).value();
    ::fcntl(listener_.get(), F_SETFL, ::fcntl(listener_.get(), F_GETFL) & ~O_NONBLOCK);
    thread_ = std::jthread([this] { serve(); });
  }
  ~TunnelUpstream() { ::shutdown(listener_.get(), SHUT_RDWR); }
  std::string url() const {
    return "http://127.0.0.1:" + std::to_string(runtime::bound_address(listener_).value().port());
  }
  std::string head() { return head_.get_future().get(); }
  std::string ended() { return ended_.get_future().get(); }  // all that came, once no more comes

 private:
  void serve() {
    const runtime::Fd fd(::accept(listener_.get(), nullptr, nullptr));
    if (!fd.valid()) return;
    std::string all;
    char buffer[65536];
    while (!all.ends_with("\r\n\r\n")) {
      const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0) return;
      all.append(buffer, static_cast<std::size_t>(n));
    }
    head_.set_value(std::exchange(all, {}));
    send(fd,
         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
             wire::websocket_accept(kKey) + "\r\n\r\n" + first_);
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, 0)) > 0;) {
      const std::string_view piece(buffer, static_cast<std::size_t>(n));
      all.append(piece);
      const std::string answer = answer_(piece);
      if (answer.empty()) break;
      send(fd, answer);
    }
    ended_.set_value(all);
  }
  static void send(const runtime::Fd& fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  std::function<std::string(std::string_view)> answer_;
  std::string first_;
  std::promise<std::string> head_, ended_;
  runtime::Fd listener_;
  std::jthread thread_;
};

class TunnelTest : public GatewayTest {
 protected:
  TunnelTest() : tunnel_([](std::string_view piece) { return reply(piece); }) {
    options_.upstreams = {{"app", tunnel_.url()}};
  }
  static std::string reply(std::string_view piece) {
    return from_server("got " + std::to_string(piece.size()));
  }
  std::string handshake(std::string_view token, std::string_view fields = kFields) {
    return "GET /orgs/7/live HTTP/1.1\r\nHost: ca.test\r\nAuthorization: Bearer " +
           std::string(token) + "\r\n" + std::string(fields) + "\r\n";
  }
  http::TestClient open(std::string_view token) {
    auto client = connect();
    const std::string answer = client.send(handshake(token)).answer();
    EXPECT_EQ(status_of(answer), 101);
    EXPECT_THAT(answer, HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    return client;
  }
  // What the client gets until the end, after its tunnel was ended for `reason`.
  void expect_end(http::TestClient& client, std::string_view before, std::string_view reason,
                  std::uint16_t code = 1008) {
    EXPECT_EQ(client.until_closed(), std::string(before) + wire::server_close_frame(code, reason));
    const std::string seen = tunnel_.ended();
    EXPECT_EQ(seen.substr(seen.size() - 8 - reason.size(), 2),
              std::string("\x88") + static_cast<char>(0x80 | (2 + reason.size())));
    const auto events = sink_.wait_for(2);
    EXPECT_EQ(events[1].reason, reason);
    EXPECT_EQ(events[1].operation, "courses.live");
    EXPECT_EQ(events[1].actor.view(), "user-1");
    EXPECT_EQ(events[1].request_id, events[0].request_id);
  }

  TunnelUpstream tunnel_;
};

TEST_F(TunnelTest, CarriesFramesBothWaysAndRecordsItsEnd) {
  start();
  auto client = open(token());
  const std::string head = tunnel_.head();
  EXPECT_THAT(head, HasSubstr("Upgrade: websocket\r\n"));
  EXPECT_THAT(head, HasSubstr("Domicile-Organization: 7\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Authorization")));
  client.send(from_client("hello"));
  client.half_close();
  EXPECT_EQ(tunnel_.ended(), from_client("hello"));
  EXPECT_EQ(client.until_closed(), from_server("got 11"));
  const auto events = sink_.wait_for(2);
  EXPECT_EQ(events[1].outcome, domain::Outcome::allowed);
  EXPECT_EQ(events[1].reason, "");
  EXPECT_THAT(events[1].details, testing::Contains(testing::Pair("bytes_from_client", "11")));
  EXPECT_THAT(events[1].details, testing::Contains(testing::Pair("bytes_to_client", "8")));
  EXPECT_THAT(gateway_->metrics().page(), HasSubstr("domicile_gateway_tunnels_open 0\n"));
}

TEST_F(TunnelTest, EndsWhenTheTokenExpires) {
  options_.token_cache.skew_s = 0;
  start();
  auto client = open(token("7", true, {}, 3, "user-1", {}, 2));
  expect_end(client, "", "token_expired");
}

TEST_F(TunnelTest, EndsWhenTheOrganizationMovesAndNotForItsNeighbour) {
  start();
  auto client = open(token());
  gateway_->update_snapshot(make_snapshot(2, {{"8", domain::PlacementState::suspended, kHere, 4}}));
  client.send(from_client("still here"));
  EXPECT_EQ(client.bytes(8), from_server("got 16").substr(0, 8));
  gateway_->update_snapshot(make_snapshot(3, {{"7", domain::PlacementState::active, kThere, 4}}));
  expect_end(client, "", "wrong_region");
}

TEST_F(TunnelTest, EndsWhenTheUserIsRevoked) {
  start();
  auto client = open(token());
  auto revocations = std::make_shared<token::RevocationSet>();
  revocations->add_user("user-1", clock_.unix_seconds() + 1);
  gateway_->update_revocations(revocations);
  expect_end(client, "", "token_revoked");
}

TEST_F(TunnelTest, EndsWhenItsIssuerIsNoLongerTrusted) {
  start();
  auto client = open(token());
  gateway_->distrust_issuer("https://ca.test");
  expect_end(client, "", "token_issuer_unknown");
}

TEST_F(TunnelTest, EndsWhenItsRouteIsGone) {
  start();
  auto client = open(token());
  std::string routes(kRoutes);
  routes.erase(routes.find("websocket = true\n"), 17);
  ASSERT_TRUE(gateway_->update_policy(must(policy::RoutePolicy::parse(routes, "routes.toml"))));
  expect_end(client, "", "no_route");
}

TEST_F(TunnelTest, EndsWhenTheDoorDrains) {
  start();
  auto client = open(token());
  EXPECT_EQ(gateway_->drain(std::chrono::milliseconds(20'000)), 0u);
  expect_end(client, "", "draining", 1001);
}

TEST_F(TunnelTest, EndsWhenNobodySaysAnything) {
  options_.tunnel_idle_ms = std::chrono::milliseconds(100);
  start();
  auto client = open(token());
  expect_end(client, "", "idle", 1001);
}

TEST_F(TunnelTest, SaysNoReasonInTheMiddleOfAFrame) {
  TunnelUpstream half([](std::string_view) { return std::string(); }, "\x81\x05hel");
  options_.upstreams = {{"app", half.url()}};
  start();
  auto client = open(token());
  EXPECT_EQ(client.bytes(5), "\x81\x05hel");
  gateway_->distrust_issuer("https://ca.test");
  EXPECT_EQ(client.until_closed(), "");
}

TEST_F(TunnelTest, CutsAClientThatSpeaksNoWebSocket) {
  start();
  auto client = open(token());
  client.send("GET /orgs/8/courses/1 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.until_closed(), wire::server_close_frame(1002, "websocket_malformed"));
  EXPECT_EQ(sink_.wait_for(2)[1].reason, "websocket_malformed");
}

TEST_F(TunnelTest, TakesABrowsersTokenFromTheSubprotocolsAndKeepsItToItself) {
  start();
  auto client = connect();
  const std::string answer =
      client
          .send(
              "GET /orgs/7/live HTTP/1.1\r\nHost: ca.test\r\nSec-WebSocket-Protocol: chat, "
              "domicile.bearer." +
              token() + "\r\n" + std::string(kFields) + "\r\n")
          .answer();
  EXPECT_EQ(status_of(answer), 101);
  const std::string head = tunnel_.head();
  EXPECT_THAT(head, HasSubstr("Sec-WebSocket-Protocol: chat\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("domicile.bearer")));
}

TEST_F(TunnelTest, RefusesWhoMayNotAndWhoAsksWrongly) {
  options_.upstreams = {{"app", upstream_.url()}};
  start();
  auto client = connect();
  const auto ask = [&](std::string text) { return client.send(text).answer(); };
  EXPECT_EQ(
      status_of(ask("GET /orgs/7/live HTTP/1.1\r\nHost: a\r\n" + std::string(kFields) + "\r\n")),
      401);
  EXPECT_EQ(status_of(ask(handshake(token("8")))), 403);
  std::string fields(kFields);
  fields.replace(fields.find("13"), 2, "12");
  EXPECT_THAT(ask(handshake(token(), fields)),
              testing::AllOf(HasSubstr("426 "), HasSubstr("Sec-WebSocket-Version: 13\r\n")));
  fields = kFields;
  fields.replace(fields.find(kKey), kKey.size(), "short");
  EXPECT_EQ(status_of(ask(handshake(token(), fields))), 400);
  fields = std::string(kFields) + "Sec-WebSocket-Protocol: domicile.bearer." + token() + "\r\n";
  EXPECT_EQ(status_of(ask(handshake(token(), fields))), 401);  // two tokens, even if equal
  EXPECT_TRUE(upstream_.requests().empty());
  // An application that does not switch is answered as always; and no other route is upgraded.
  EXPECT_EQ(status_of(ask(handshake(token()))), 200);
  std::string elsewhere = handshake(token());
  elsewhere.replace(elsewhere.find("/live"), 5, "/courses/1");
  EXPECT_EQ(status_of(ask(elsewhere)), 200);
  ASSERT_EQ(upstream_.requests().size(), 2u);
  EXPECT_THAT(upstream_.requests()[1], Not(HasSubstr("Upgrade")));
}

}  // namespace
}  // namespace domicile::gateway
