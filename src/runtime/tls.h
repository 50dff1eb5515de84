// TLS contexts: what is common to all connections of a listener. Immutable once made; a reloaded
// certificate is a new context, handed to the loops by message, and connections keep the one they
// began with. TLS 1.2 and 1.3, forward-secret AEAD ciphers, no renegotiation, no compression.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/client_certificate.h"

struct ssl_ctx_st;
struct ssl_st;

namespace domicile::runtime {

struct SslFree {
  void operator()(ssl_st* ssl) const;
};
using SslPtr = std::unique_ptr<ssl_st, SslFree>;

class TlsContext {
 public:
  // `alpn`: protocols in order of preference; a client that offers others only is refused.
  static Result<std::shared_ptr<const TlsContext>> server(const std::string& certificate_path,
                                                          const std::string& key_path,
                                                          const std::vector<std::string>& alpn,
                                                          const ClientAuthorities& clients = {});
  ~TlsContext();

  SslPtr accept(int fd) const;  // a server's end on a connected socket
  // Verifies the client's certificate of another context's connection as this one would.
  bool believes(ssl_st& ssl) const;

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace domicile::runtime
