// Outgoing control calls: a node asks another node, or a command line asks a node. Blocking, for
// jobs and verbs, never on an event loop. The doors' relaying to upstreams is another thing
// (gateway).
//
// Strict by default: https (plain http only to loopback), certificates verified, no redirects, no
// proxy from the environment, a deadline for the whole call, a cap on the answer's body. A bearer
// token travels as a Secret and reaches no error text.
//
// Errors: Code::unavailable (not reached, connection or TLS failed), Code::timeout, Code::invalid
// (the address; an answer that is not HTTP or larger than the cap). Any HTTP status is a success
// here.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "http/message.h"

namespace domicile::http {

struct ClientOptions {
  std::filesystem::path ca_file;           // PEM; empty: the system's authorities
  std::filesystem::path certificate_file;  // PEM, shown to servers that ask; empty: none
  std::filesystem::path key_file;
  std::chrono::milliseconds connect_ms{5'000};
  std::chrono::milliseconds total_ms{15'000};
  std::size_t body_bytes_max = 64 * 1024;
};

struct ClientRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;
  std::string body;
  Secret bearer;                          // empty: no Authorization header
  std::chrono::milliseconds total_ms{0};  // 0: the client's
  std::size_t body_bytes_max = 0;         // 0: the client's
};

// One thread at a time; keeps its connections open between calls.
class Client {
 public:
  explicit Client(ClientOptions options = {});
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // Header names of the response are in lower case.
  Result<Response> send(const ClientRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace domicile::http
