// A blocking HTTP/2 client for tests that sends any frames, right or wrong, and understands what
// comes back. Fields are sent as literals without compression, so that a test says every byte.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nghttp2/nghttp2.h>

#include "http/test_client.h"

namespace domicile::http {

class Http2TestClient {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  struct Frame {
    int type = -1;  // -1: the connection is closed
    int flags = 0;
    std::uint32_t stream = 0;
    std::string payload;
  };
  struct Answer {
    int status = 0;  // 0: none came
    std::map<std::string, std::string> fields;
    std::map<std::string, std::string> trailers;
    std::string body;
    std::vector<int> interim;
    bool ended = false;        // by END_STREAM
    std::int64_t reset = -1;   // the error of a RST_STREAM
    std::int64_t goaway = -1;  // the connection's end came first
    std::string reason() const {
      const std::size_t at = body.find("\"reason\":\"");
      return at == std::string::npos ? "" : body.substr(at + 10, body.find('"', at + 10) - at - 10);
    }
  };
  enum : int {
    kData,
    kHeaders,
    kPriority,
    kReset,
    kSettings,
    kPush,
    kPing,
    kGoaway,
    kWindow,
    kContinuation
  };
  enum : int { kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8 };
  static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  // `settings`: 6 bytes each; setting().
  explicit Http2TestClient(std::uint16_t port, const std::string& settings = "") : client_(port) {
    nghttp2_hd_inflate_new(&inflater_);
    client_.send(kPreface);
    frame(kSettings, 0, 0, settings);
  }
  Http2TestClient(const Http2TestClient&) = delete;
  ~Http2TestClient() { nghttp2_hd_inflate_del(inflater_); }

  static std::string number(std::uint64_t value, int bytes) {
    std::string out;
    while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes));
    return out;
  }
  static std::string setting(int id, std::uint32_t value) {
    return number(static_cast<std::uint64_t>(id), 2) + number(value, 4);
  }
  static std::string literal(std::string_view text) {
    std::string out;
    std::size_t size = text.size();
    if (size < 127) {
      out += static_cast<char>(size);
    } else {
      out += static_cast<char>(127);
      for (size -= 127; size >= 128; size /= 128) out += static_cast<char>(size % 128 + 128);
      out += static_cast<char>(size);
    }
    return out.append(text);
  }
  static std::string block(const Fields& fields) {
    std::string out;
    for (const auto& [name, value] : fields) out += '\0' + literal(name) + literal(value);
    return out;
  }
  static Fields request(std::string method, std::string path, const Fields& more = {}) {
    Fields fields = {{":method", std::move(method)},
                     {":scheme", "http"},
                     {":authority", "ca.test"},
                     {":path", std::move(path)}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }

  Http2TestClient& frame(int type, int flags, std::uint32_t stream, std::string_view payload) {
    client_.send(bytes_of(type, flags, stream, payload));
    return *this;
  }
  static std::string bytes_of(int type, int flags, std::uint32_t stream, std::string_view payload) {
    return (number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) +
            number(stream, 4))
        .append(payload);
  }
  // A whole request head in one frame; `ends`: without a body.
  Http2TestClient& head(std::uint32_t stream, const Fields& fields, bool ends = true) {
    const std::string bytes = block(fields);
    for (std::size_t at = 0; at == 0 || at < bytes.size(); at += 16384) {
      const bool last = at + 16384 >= bytes.size();
      const int flags = (last ? kEndHeaders : 0) | (at == 0 && ends ? kEndStream : 0);
      frame(at == 0 ? kHeaders : kContinuation, flags, stream, bytes.substr(at, 16384));
    }
    return *this;
  }
  Http2TestClient& data(std::uint32_t stream, std::string_view bytes, bool ends = false) {
    return frame(kData, ends ? kEndStream : 0, stream, bytes);
  }
  Http2TestClient& window(std::uint32_t stream, std::uint32_t bytes) {
    return frame(kWindow, 0, stream, number(bytes, 4));
  }
  TestClient& raw() { return client_; }

  Frame next() {
    const std::string head = client_.bytes(9);
    if (head.size() < 9) return {};
    const auto byte = [&](int i) {
      return static_cast<unsigned char>(head[static_cast<std::size_t>(i)]);
    };
    const std::size_t size = byte(0) * 65536u + byte(1) * 256u + byte(2);
    const std::uint32_t stream =
        (byte(5) & 127u) << 24 | byte(6) * 65536u + byte(7) * 256u + byte(8);
    Frame frame{byte(3), byte(4), stream, client_.bytes(size)};
    if (frame.payload.size() < size) return {};
    return frame;
  }

  // Reads until this stream's answer is complete, or the connection is; keeps the others' frames.
  // Opens windows as data comes, unless told to starve.
  Answer answer(std::uint32_t stream) {
    while (!answers_[stream].ended && answers_[stream].reset < 0 && goaway_ <= 0) {
      if (!step()) break;
    }
    Answer out = std::exchange(answers_[stream], {});
    if (!out.ended) out.goaway = goaway_;
    return out;
  }
  // Reads until the connection's end: the error it was sent away with; -1 without any.
  std::int64_t until_goaway() {
    while (step()) {
    }
    return goaway_;
  }
  // Takes one frame; false once the connection is closed.
  bool step() {
    const Frame got = next();
    if (got.type < 0) return false;
    ++seen_[got.type];
    Answer& answer = answers_[got.stream];
    const std::string_view payload = got.payload;
    const bool ends = (got.flags & kEndStream) != 0;
    switch (got.type) {
      case kData:
        answer.body += payload;
        answer.ended = ends;
        if (!starve && !payload.empty()) {
          window(0, static_cast<std::uint32_t>(payload.size()));
          if (!ends) window(got.stream, static_cast<std::uint32_t>(payload.size()));
        }
        break;
      case kHeaders: take_head(answer, payload, ends); break;
      case kReset: answer.reset = word(payload); break;
      case kSettings:
        for (std::size_t at = 0; at + 6 <= payload.size(); at += 6) {
          if (payload[at + 1] == '\4') initial_window_ = word(payload.substr(at + 2));
        }
        if ((got.flags & kAck) == 0 && !quiet) frame(kSettings, kAck, 0, "");
        break;
      case kGoaway:
        last_stream = word(payload);
        if (last_stream != 0x7fffffff) goaway_ = word(payload.substr(4));
        break;
      case kWindow: granted_[got.stream] += word(payload); break;
      default: break;
    }
    return true;
  }
  int seen(int type) { return seen_[type]; }

  // What may be sent in all: on a stream, or on the connection (0).
  std::int64_t granted(std::uint32_t stream) {
    return (stream == 0 ? 65'535 : initial_window_) + granted_[stream];
  }

  bool starve = false;
  bool quiet = false;             // does not even acknowledge
  std::int64_t last_stream = -1;  // as the last GOAWAY said

 private:
  static std::int64_t word(std::string_view bytes) {
    std::int64_t out = 0;
    for (const char c : bytes.substr(0, 4)) out = out * 256 + static_cast<unsigned char>(c);
    return out;
  }
  void take_head(Answer& answer, std::string_view block, bool ends) {
    std::map<std::string, std::string> fields;
    while (!block.empty()) {
      nghttp2_nv field{};
      int flags = 0;
      const auto used = nghttp2_hd_inflate_hd2(inflater_, &field, &flags,
                                               reinterpret_cast<const std::uint8_t*>(block.data()),
                                               block.size(), 1);
      if (used < 0) throw std::runtime_error("cannot read a header block");
      block.remove_prefix(static_cast<std::size_t>(used));
      if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
        fields[{reinterpret_cast<char*>(field.name), field.namelen}] = {
            reinterpret_cast<char*>(field.value), field.valuelen};
      }
      if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    if (const auto status = fields.find(":status"); status == fields.end()) {
      answer.trailers = fields;
    } else if (const int code = std::stoi(status->second); code < 200) {
      answer.interim.push_back(code);
    } else {
      answer.status = code;
      answer.fields = fields;
    }
    answer.ended = ends;
  }

  TestClient client_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::map<std::uint32_t, Answer> answers_;
  std::map<int, int> seen_;
  std::map<std::uint32_t, std::int64_t> granted_;
  std::int64_t initial_window_ = 65'535;
  std::int64_t goaway_ = -1;
};

}  // namespace domicile::http
