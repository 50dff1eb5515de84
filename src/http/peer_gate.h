// Who may ask a node what only other nodes are told: the bearer of the peers' token, and where peers must show
// certificates, one that names the region which asks (URI urn:domicile:region:<id>, and the field Domicile-Region),
// a region that the registry knows. Answers: 401 unauthenticated; 403 peer_certificate_required,
// peer_region_mismatch, peer_region_unknown; 503 registry_unavailable.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "base/secret.h"
#include "http/message.h"

namespace domicile::http {

struct PeerGate {
  Secret token;
  bool certificates = false;  // peers must show one
  // Whether the registry knows the region; nullopt: not to be told yet. Needed where certificates are.
  std::function<std::optional<bool>(std::string_view region)> knows_region;
  // Somebody with the token was refused for the certificate.
  std::function<void(const Request&, std::string_view reason)> on_refused;

  // The answer for whoever may not ask; nullopt: go on. Thread-safe.
  std::optional<Response> refuse(const Request& request) const;
};

// True: the request carries this bearer token; compared in constant time.
bool is_peer(const Request& request, const Secret& token);

}  // namespace domicile::http
