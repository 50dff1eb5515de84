// Certificates of TLS clients: whom a listener asks for one, which authorities and revocation lists
// it believes, and what a connection's client has proved. Two kinds of clients share a listener, the
// application's and the nodes of other regions, each with authorities of its own; a certificate
// counts only for the kind whose authority vouches for it. Verified by OpenSSL as RFC 5280 says, for
// the purpose of a TLS client.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;

namespace domicile::runtime {

enum class ClientCertificates : std::uint8_t { off, optional, required };

// Paths of PEM files; several authorities or lists may stand in one.
struct ClientAuthorities {
  ClientCertificates clients = ClientCertificates::off;  // `required`: no handshake without one
  std::string client_ca;                                 // with `optional` and `required`
  std::string client_crl;                                // empty: revocation is not looked at
  std::string peer_ca;                                   // empty: peers show no certificates
  std::string peer_crl;

  bool any() const { return clients != ClientCertificates::off || !peer_ca.empty(); }
};

struct ClientCertificate {
  static constexpr std::string_view kRegionUri = "urn:domicile:region:";

  std::string fingerprint;           // SHA-256 of the DER form, 64 lower-case hex digits
  std::int64_t valid_until_s = 0;    // Unix time
  bool of_client = false;            // an authority of client_ca vouches for it
  bool of_peer = false;              // one of peer_ca does
  std::vector<std::string> regions;  // of its URIs "urn:domicile:region:<id>"
};

// Makes a server's context ask for certificates. Errors name the file and the reason. Without
// session tickets: a resumed session would not be verified again.
Result<void> ask_for_certificates(ssl_ctx_st* context, const ClientAuthorities& authorities);

// After the handshake: null when the client showed none.
std::unique_ptr<const ClientCertificate> client_certificate_of(ssl_st* ssl);

// A certificate to be shown as a client, with its key: read, and checked to belong together.
Result<ClientCertificate> own_certificate(const std::string& certificate_path,
                                          const std::string& key_path);

// Whether the certificate that was shown on this connection would be believed by that context now.
bool certificate_believed(ssl_ctx_st* context, ssl_st* ssl);

// After a handshake that failed: the reason code when the client's certificate was the cause
// (client_certificate_missing, _expired, _revoked, _untrusted), else "".
std::string_view certificate_fault_of(ssl_st* ssl);

}  // namespace domicile::runtime
