#include "wire/websocket.h"

#include <algorithm>

#include <openssl/evp.h>

#include "base/check.h"
#include "base/encoding.h"
#include "wire/http1_chars.h"

namespace domicile::wire {
namespace {

constexpr std::size_t kReasonBytesMax = 123;

bool names_websocket(std::string_view value) { return equals_lower(value, "websocket"); }

// The first element of a comma-separated list that `is_it` says yes to, or "".
template <typename IsIt>
std::string_view find_protocol(std::string_view list, IsIt is_it) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    const std::string_view name = trim_blanks(list.substr(0, comma));
    if (!name.empty() && is_it(name)) return name;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return {};
}

std::string close_payload(std::uint16_t code, std::string_view reason) {
  std::string payload;
  payload += static_cast<char>(code >> 8);
  payload += static_cast<char>(code & 0xff);
  payload += reason.substr(0, kReasonBytesMax);
  return payload;
}

}  // namespace

Handshake handshake_of(const RequestHead& head) {
  if (!head.section.upgrade || head.minor_version != 1 || head.method != Method::get ||
      head.section.body != BodyKind::none) {
    return Handshake::none;
  }
  const auto upgrade = only_field(head, "upgrade");
  if (!upgrade || !names_websocket(*upgrade)) return Handshake::none;
  const auto version = only_field(head, "sec-websocket-version");
  if (!version || *version != "13") return Handshake::bad_version;
  const auto key = only_field(head, "sec-websocket-key");
  const auto decoded = key ? from_base64(*key) : std::nullopt;
  return decoded && decoded->size() == 16 ? Handshake::valid : Handshake::bad_key;
}

std::string websocket_accept(std::string_view key) {
  constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::string text(key);
  text += kGuid;
  unsigned char digest[EVP_MAX_MD_SIZE];
  std::size_t size = 0;
  CHECK(EVP_Q_digest(nullptr, "SHA1", nullptr, text.data(), text.size(), digest, &size) == 1);
  return to_base64({reinterpret_cast<const char*>(digest), size});
}

std::string_view websocket_token(const RequestHead& head) {
  for (const Field& field : head.section.fields()) {
    if (!equals_lower(field.name, "sec-websocket-protocol")) continue;
    const std::string_view token = find_protocol(
        field.value, [](std::string_view name) { return name.starts_with(kTokenProtocol); });
    if (!token.empty()) return token.substr(kTokenProtocol.size());
  }
  return {};
}

std::string without_token(std::string_view protocols) {
  std::string out;
  (void)find_protocol(protocols, [&out](std::string_view name) {
    if (!name.starts_with(kTokenProtocol)) out += (out.empty() ? "" : ", ") + std::string(name);
    return false;
  });
  return out;
}

bool accepts_websocket(const ResponseHead& head, std::string_view accept) {
  if (head.status != 101 || head.minor_version != 1 || !head.section.upgrade) return false;
  unsigned upgrades = 0, accepts = 0;
  for (const Field& field : head.section.fields()) {
    if (equals_lower(field.name, "upgrade") && ++upgrades && !names_websocket(field.value)) {
      return false;
    }
    if (equals_lower(field.name, "sec-websocket-accept") && ++accepts && field.value != accept) {
      return false;
    }
  }
  return upgrades == 1 && accepts == 1;
}

bool FrameTracker::feed(std::string_view bytes) {
  while (!bytes.empty() && !broken_) {
    if (payload_left_ > 0) {
      const auto taken = std::min<std::uint64_t>(payload_left_, bytes.size());
      payload_left_ -= taken;
      bytes.remove_prefix(static_cast<std::size_t>(taken));
      continue;
    }
    header_[header_size_++] = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    if (header_size_ >= 2 && !begin_payload()) broken_ = true;
  }
  return !broken_;
}

// Called with two bytes or more of a header: completes it once all of it is there.
bool FrameTracker::begin_payload() {
  const unsigned opcode = header_[0] & 0x0f;
  const bool control = opcode >= 8;
  const unsigned length = header_[1] & 0x7f;
  if ((opcode > 2 && opcode < 8) || opcode > 10) return false;
  if (control && (length > 125 || (header_[0] & 0x80) == 0)) return false;
  if (((header_[1] & 0x80) != 0) != masked_) return false;
  const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  if (header_size_ < 2 + extended + (masked_ ? 4 : 0)) return true;
  std::uint64_t size = extended == 0 ? length : 0;
  for (std::size_t i = 0; i < extended; ++i) size = size << 8 | header_[2 + i];
  if ((extended == 2 && size < 126) || (extended == 8 && (size < 65536 || size >> 63 != 0))) {
    return false;
  }
  payload_left_ = size;
  header_size_ = 0;
  if (opcode == 8) closed_ = true;
  return true;
}

std::string server_close_frame(std::uint16_t code, std::string_view reason) {
  const std::string payload = close_payload(code, reason);
  std::string frame = "\x88";
  frame += static_cast<char>(payload.size());
  return frame + payload;
}

std::string client_close_frame(std::uint16_t code, std::string_view reason, std::uint32_t mask) {
  std::string payload = close_payload(code, reason);
  std::string frame = "\x88";
  frame += static_cast<char>(0x80 | payload.size());
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(mask >> shift & 0xff);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<char>(payload[i] ^ frame[2 + i % 4]);
  }
  return frame + payload;
}

}  // namespace domicile::wire
