#include "wire/websocket.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

namespace domicile::wire {
namespace {

constexpr std::string_view kHandshake =
    "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

Handshake of(std::string text) {
  RequestHead head;
  EXPECT_EQ(head.parse(text, {}), Fault::none) << text;
  return handshake_of(head);
}
Handshake with(std::string_view part, std::string_view instead) {
  std::string text(kHandshake);
  text.replace(text.find(part), part.size(), instead);
  return of(std::move(text));
}

TEST(WebSocket, KnowsAnOpeningHandshakeAndNothingElse) {
  EXPECT_EQ(of(std::string(kHandshake)), Handshake::valid);
  EXPECT_EQ(with("WebSocket", "h2c"), Handshake::none);
  EXPECT_EQ(with("keep-alive, Upgrade", "keep-alive"), Handshake::none);
  EXPECT_EQ(with("GET", "POST"), Handshake::none);
  EXPECT_EQ(with("HTTP/1.1", "HTTP/1.0"), Handshake::none);
  EXPECT_EQ(with("Host: a\r\n", "Host: a\r\nContent-Length: 3\r\n"), Handshake::none);
  EXPECT_EQ(with("Upgrade: WebSocket", "Upgrade: websocket\r\nUpgrade: websocket"),
            Handshake::none);
  EXPECT_EQ(with("13", "8"), Handshake::bad_version);
  EXPECT_EQ(with("Sec-WebSocket-Version: 13\r\n", ""), Handshake::bad_version);
  EXPECT_EQ(with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ"), Handshake::bad_key);
  EXPECT_EQ(with("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), Handshake::bad_key);
}

TEST(WebSocket, FindsABrowsersTokenAmongTheSubprotocolsAndTakesItOut) {
  std::string text(kHandshake);
  text.insert(text.find("Sec-WebSocket-Key"),
              "Sec-WebSocket-Protocol: chat\r\n"
              "Sec-WebSocket-Protocol: soap,domicile.bearer.a.b.c , wamp\r\n");
  RequestHead head;
  ASSERT_EQ(head.parse(text, {}), Fault::none);
  EXPECT_EQ(websocket_token(head), "a.b.c");
  EXPECT_EQ(without_token("soap,domicile.bearer.a.b.c , wamp"), "soap, wamp");
  EXPECT_EQ(without_token("domicile.bearer.a.b.c"), "");
}

TEST(WebSocket, AnswersTheKeyAsTheStandardDoes) {  // RFC 6455 section 1.3
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocket, TakesAnAnswerOnlyThatSwitchesToWhatWasAsked) {
  const auto accepted = [](std::string_view fields) {
    const std::string text = "HTTP/1.1 101 Switching Protocols\r\n" + std::string(fields) + "\r\n";
    ResponseHead head;
    EXPECT_EQ(head.parse(text, Method::get, {}), Fault::none);
    return accepts_websocket(head, "right=");
  };
  EXPECT_TRUE(
      accepted("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: right=\r\n"));
  EXPECT_FALSE(
      accepted("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong=\r\n"));
  EXPECT_FALSE(accepted("Upgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: right=\r\n"));
  EXPECT_FALSE(accepted("Upgrade: websocket\r\nSec-WebSocket-Accept: right=\r\n"));
  EXPECT_FALSE(accepted("Upgrade: websocket\r\nConnection: Upgrade\r\n"));
}

std::string frame(unsigned char first, bool masked, std::size_t size) {
  std::string out(1, static_cast<char>(first));
  const int bit = masked ? 0x80 : 0;
  if (size < 126) {
    out += static_cast<char>(bit | static_cast<int>(size));
  } else if (size < 65536) {
    out += static_cast<char>(bit | 126);
    out += static_cast<char>(size >> 8);
    out += static_cast<char>(size & 0xff);
  } else {
    out += static_cast<char>(bit | 127);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  }
  if (masked) out += "mask";
  return out + std::string(size, '\x88');  // payload that looks like close frames
}

TEST(WebSocket, FindsTheEndOfFramesHoweverTheyArrive) {
  for (const bool masked : {false, true}) {
    const auto sender = masked ? FrameTracker::Sender::client : FrameTracker::Sender::server;
    std::string all;
    std::vector<std::size_t> ends;
    for (const std::size_t size : {0, 1, 125, 126, 300, 65535, 65536, 70000}) {
      all += frame(0x82, masked, size);
      ends.push_back(all.size());
    }
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, all.size()}) {
      FrameTracker tracker(sender);
      std::size_t boundary = 0;
      for (std::size_t at = 0; at < all.size(); at += piece) {
        ASSERT_TRUE(tracker.feed(std::string_view(all).substr(at, piece)));
        const std::size_t end = std::min(all.size(), at + piece);
        ASSERT_EQ(tracker.at_boundary(), std::ranges::find(ends, end) != ends.end()) << end;
        boundary += tracker.at_boundary() ? 1 : 0;
      }
      EXPECT_TRUE(tracker.at_boundary());
      EXPECT_FALSE(tracker.closed());
      EXPECT_TRUE(piece != 1 || boundary == ends.size());
    }
  }
}

TEST(WebSocket, RefusesWhatIsNoFrame) {
  using std::operator""s;
  for (const std::string& bytes :
       {"\x83\x00"s, "\x8b\x00"s, "\x82\x80"s, "\x08\x00"s, "\x88\x7e\x00\x80"s,
        "\x82\x7e\x00\x7d"s, "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"s,
        "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"s}) {
    FrameTracker tracker(FrameTracker::Sender::server);
    EXPECT_FALSE(tracker.feed(bytes));
    EXPECT_FALSE(tracker.feed("\x82\x00"s));  // and stays so
  }
  FrameTracker client(FrameTracker::Sender::client);
  EXPECT_FALSE(client.feed("\x82\x00"s));
}

TEST(WebSocket, MakesCloseFramesThatItsOwnRulesAccept) {
  const std::string long_reason(500, 'r');
  const std::string from_server = server_close_frame(1008, "token_expired");
  EXPECT_EQ(from_server, std::string("\x88\x0f\x03\xf0", 4) + "token_expired");
  FrameTracker server(FrameTracker::Sender::server), client(FrameTracker::Sender::client);
  EXPECT_TRUE(server.feed(from_server + server_close_frame(1001, long_reason)));
  EXPECT_TRUE(server.at_boundary() && server.closed());
  EXPECT_TRUE(client.feed(client_close_frame(1001, long_reason, 0x01020304)));
  EXPECT_TRUE(client.at_boundary() && client.closed());
}

}  // namespace
}  // namespace domicile::wire
