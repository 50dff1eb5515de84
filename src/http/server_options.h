// What an HTTP listener is told: where it listens, how much it takes, how long it waits. Every
// limit has a number and every phase of a connection has a deadline, so that a slow or hostile
// client costs a bounded amount of memory and time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "runtime/client_certificate.h"
#include "wire/http1_fields.h"

namespace domicile::http {

struct TlsFiles {
  std::string certificate_path;  // PEM, leaf first
  std::string key_path;          // PEM; readable by the owner only
};

struct ListenerOptions {
  std::string address = "127.0.0.1";  // numeric IPv4 or IPv6
  std::uint16_t port = 0;             // 0: any free port
  unsigned loops = 1;                 // one thread each; available_cores() for all there are
  bool tls = false;
  TlsFiles tls_files;
  runtime::ClientAuthorities client_authorities;  // with tls only
};

// What an HTTP/2 client may have under way, and how much it may ask of us for nothing. A budget is
// a burst and what comes back in a second.
struct Http2Limits {
  bool offered = true;
  std::uint32_t streams_max = 100;                  // at a time, a connection
  std::uint32_t stream_window_bytes = 256 * 1024;   // of a body that nobody has asked for yet
  std::uint32_t connection_window_bytes = 1 << 20;  // the same, of all streams
  // Streams that the client makes us begin and then let go.
  std::uint32_t resets_burst = 200;
  std::uint32_t resets_per_second = 20;
  // PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown frames: what carries no request.
  std::uint32_t idle_frames_burst = 1000;
  std::uint32_t idle_frames_per_second = 100;
};

struct ServerLimits {
  Http2Limits http2;
  wire::HeadLimits head;
  std::uint64_t body_bytes_max = 1ull << 30;      // streamed to an upstream
  std::size_t handler_body_bytes_max = 1u << 20;  // held in memory for a Handler
  std::size_t connections_max_per_loop = 20'000;
  std::size_t output_bytes_high = 256 * 1024;  // above: the source of the bytes is paused
  std::uint64_t requests_per_connection_max = 100'000;

  std::chrono::milliseconds handshake_ms{10'000};
  std::chrono::milliseconds head_ms{10'000};        // from a request's first byte to its empty line
  std::chrono::milliseconds idle_ms{75'000};        // between requests
  std::chrono::milliseconds body_idle_ms{30'000};   // without a byte of the body
  std::uint64_t body_bytes_per_second_min = 512;    // slower bodies run out of time
  std::chrono::milliseconds write_idle_ms{30'000};  // the client takes nothing of the answer
  std::chrono::milliseconds linger_ms{2'000};       // after an answer that closes

  // While draining: connections that the kernel has begun to set up are still accepted for the first,
  // idle ones may bring one more request within the second; then they are closed.
  std::chrono::milliseconds drain_accept_ms{100};
  std::chrono::milliseconds drain_idle_ms{500};
};

}  // namespace domicile::http
