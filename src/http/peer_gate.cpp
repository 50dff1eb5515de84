#include "http/peer_gate.h"

#include <algorithm>

namespace domicile::http {
namespace {

// Why the certificate does not do, or "".
std::string_view certificate_fault(const Request& request, const PeerGate& gate) {
  if (!gate.certificates) return {};
  if (!request.certificate || !request.certificate->of_peer) return "peer_certificate_required";
  const auto claimed = request.header("domicile-region");
  const auto& named = request.certificate->regions;
  if (!claimed || std::ranges::find(named, *claimed) == named.end()) return "peer_region_mismatch";
  const auto known = gate.knows_region(*claimed);
  if (!known) return "registry_unavailable";
  return *known ? std::string_view() : "peer_region_unknown";
}

}  // namespace

bool is_peer(const Request& request, const Secret& token) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto given = request.header("authorization");
  return given && given->starts_with(kScheme) && !token.empty() &&
         equal_constant_time(given->substr(kScheme.size()), token.reveal());
}

std::optional<Response> PeerGate::refuse(const Request& request) const {
  if (!is_peer(request, token)) {
    auto refused =
        problem(401, "unauthenticated", "this is for the nodes of other regions", request);
    refused.headers.emplace_back("www-authenticate", "Bearer realm=\"domicile peers\"");
    return refused;
  }
  const auto fault = certificate_fault(request, *this);
  if (fault.empty()) return std::nullopt;
  if (fault == "registry_unavailable") {
    return problem(503, fault, "this node does not know the regions yet", request);
  }
  if (on_refused) on_refused(request, fault);
  return problem(
      403, fault,
      "show a peer's certificate that names the region which Domicile-Region says, one of "
      "the registry's",
      request);
}

}  // namespace domicile::http
