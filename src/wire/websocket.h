// What a door needs of the WebSocket protocol (RFC 6455): whether a request is an opening handshake,
// whether the answer belongs to it, and where in a stream of frames one ends, so that a tunnel can
// be closed with a reason between two frames and never inside one. Payload is never looked at,
// unmasked or kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/http1_request.h"
#include "wire/http1_response.h"

namespace domicile::wire {

enum class Handshake {
  none,         // not a WebSocket request; its upgrade, if any, is not followed
  valid,        // RFC 6455 section 4.2.1
  bad_version,  // answered with 426 and the version that is spoken
  bad_key,
};
Handshake handshake_of(const RequestHead& head);
// `key` and its answer, Sec-WebSocket-Accept (section 4.2.2).
std::string websocket_accept(std::string_view key);
// The bearer token that a browser gives as a subprotocol ("domicile.bearer.<token>"), because it can
// set no Authorization field here; "" when none is there. It is for the door alone.
inline constexpr std::string_view kTokenProtocol = "domicile.bearer.";
std::string_view websocket_token(const RequestHead& head);
// One field of Sec-WebSocket-Protocol without such tokens; "" when nothing is left.
std::string without_token(std::string_view protocols);
// The answer switches to the protocol that was asked for, with that key.
bool accepts_websocket(const ResponseHead& head, std::string_view accept);

// Follows one direction's frames through pieces of any size.
class FrameTracker {
 public:
  enum class Sender { client, server };  // a client's frames are masked, a server's are not
  explicit FrameTracker(Sender sender) : masked_(sender == Sender::client) {}

  // False from the first byte on that no frame can have (section 5.2): reserved opcodes, a mask
  // where none may be or none where one must, control frames in fragments or above 125 bytes,
  // lengths that are not the shortest or have their first bit set.
  bool feed(std::string_view bytes);
  bool at_boundary() const { return header_size_ == 0 && payload_left_ == 0; }
  bool closed() const { return closed_; }  // a close frame has passed

 private:
  bool begin_payload();

  const bool masked_;
  bool broken_ = false;
  bool closed_ = false;
  unsigned char header_[14];
  std::size_t header_size_ = 0;  // bytes of a header that is not complete yet
  std::uint64_t payload_left_ = 0;
};

// A close frame with a status code (section 7.4) and a reason of at most 123 bytes; a client's is
// masked, as it must be, with `mask`.
std::string server_close_frame(std::uint16_t code, std::string_view reason);
std::string client_close_frame(std::uint16_t code, std::string_view reason, std::uint32_t mask);

}  // namespace domicile::wire
