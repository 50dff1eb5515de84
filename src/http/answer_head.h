// The head of an upstream's answer as an HTTP/1 client gets it: fields for one hop and fields that
// name an identity are dropped, and the body's end is told in a way that the client understands.
// Pure functions over views, appending to a reused buffer. RFC 9112 sections 6 and 9.3.
#pragma once

#include <string>
#include <string_view>

#include "wire/http1_response.h"

namespace domicile::http {

// Whether a field of an answer, or of its trailers, is the client's to see.
bool passes_to_client(const wire::Field& field);

enum class ClientBody { as_is, chunked, until_close };  // how the body's end is told to the client
// For a client of `minor_version` (0: HTTP/1.0, which knows no chunks).
ClientBody plan_body(const wire::ResponseHead& head, int minor_version);

enum class ConnectionField { none, close, keep_alive, websocket };
void write_client_head(std::string& out, const wire::ResponseHead& head, ClientBody body,
                       ConnectionField connection, std::string_view request_id);

}  // namespace domicile::http
