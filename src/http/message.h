// HTTP messages as values, for handlers that answer whole requests (issuer, registry,
// administration). The doors' hot path never builds these: it works on the wire codec's views.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/client_certificate.h"

namespace domicile::http {

using Headers = std::vector<std::pair<std::string, std::string>>;  // names in lower case

struct Request {
  std::string method;
  std::string path;   // decoded and normalized by the codec; starts with '/'
  std::string query;  // raw, without '?'
  Headers headers;
  std::string body;
  std::string peer_ip;     // address of the client's socket, without port
  std::string request_id;  // made by the server, also in its answer
  bool tls = false;
  std::optional<runtime::ClientCertificate> certificate;  // what the client proved in the handshake

  // The value of the only header with this (lower-case) name; nullopt when absent.
  std::optional<std::string_view> header(std::string_view name) const;
};

struct Response {
  int status = 200;
  Headers headers;
  std::string body;
};

// Runs on a worker thread and may block. Must be thread-safe.
using Handler = std::function<Response(const Request&)>;

// application/json with no-store.
Response json_response(int status, std::string body);
// RFC 9457 problem+json: stable `reason`, fixed title for the status, request id.
Response problem(int status, std::string_view reason, std::string_view detail,
                 const Request& request);
// One name or value of a form or query, encoded (RFC 3986 unreserved characters stay).
std::string form_encoded(std::string_view text);
// Form and query decoding; nullopt on a malformed escape or a duplicate name.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_form(std::string_view text);

}  // namespace domicile::http
