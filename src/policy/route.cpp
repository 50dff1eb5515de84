#include "policy/route.h"

namespace domicile::policy {

std::expected<Route, Denial> route(const Permit& permit, const domain::RegistrySnapshot& snapshot) {
  Route out(permit);
  if (Route::same_snapshot(permit, snapshot)) return out;
  out.permit_.snapshot_ = &snapshot;
  if (permit.organization().key.empty()) return out;  // a public route about nobody
  // The key's bytes belong to the snapshot that the permit was made on: it must still live.
  const auto now = snapshot.find(permit.organization().key);
  if (!now) return std::unexpected(Denial{.reason = DenialReason::unknown_organization});
  if (!now->homed_in(permit.organization().home->id.view())) {
    return std::unexpected(Denial{.reason = DenialReason::wrong_region, .home = now->home});
  }
  if (now->epoch != permit.organization().epoch || now->state != permit.organization().state) {
    return std::unexpected(Denial{.reason = DenialReason::stale_epoch, .home = now->home});
  }
  out.permit_.organization_ = *now;
  return out;
}

}  // namespace domicile::policy
