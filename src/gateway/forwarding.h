// The request's head as the upstream gets it. Nothing that names an identity, a hop or a trace
// travels on unchecked; what the door itself vouches for is added. Pure functions over views,
// appending to a reused buffer.
#pragma once

#include <string>
#include <string_view>

#include "domain/principal.h"
#include "policy/route.h"
#include "token/context_token.h"
#include "wire/http1_path.h"
#include "wire/http1_request.h"

namespace domicile::gateway {

struct Forwarded {
  std::string_view peer_ip;
  std::string_view request_id;
  std::string_view client_certificate;  // its fingerprint; empty: none
  bool encrypted = false;
  bool forward_authorization = false;
  bool websocket = false;  // the handshake's upgrade is followed
};

// Fails with Code::invalid when an identity cannot be written in a header (control characters in a
// subject, say): it is refused, not repaired.
Result<void> write_upstream_head(std::string& out, const wire::RequestHead& head,
                                 const wire::CleanPath& path, const Forwarded& forwarded,
                                 const policy::Route& route, token::ContextSigner& signer,
                                 std::int64_t now_s);

// The lines by which this door vouches for a decision: organization, subject, permissions, epoch,
// signed context. What an upstream gets with its request, and another proxy with its answer.
Result<void> write_identity(std::string& out, const policy::Route& route,
                            token::ContextSigner& signer, std::int64_t now_s);

}  // namespace domicile::gateway
