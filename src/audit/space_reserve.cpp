#include "audit/space_reserve.h"

#include <chrono>
#include <string>

#include "base/log.h"
#include "crypto/random.h"

namespace domicile::audit {
namespace {
constexpr const char* kFile = "reserve";
constexpr std::chrono::seconds kBetweenTries{1};
}  // namespace

bool is_administrative(domain::EventKind kind) {
  using domain::EventKind;
  switch (kind) {
    case EventKind::grant_changed:
    case EventKind::organization_changed:
    case EventKind::policy_changed:
    case EventKind::config_changed:
    case EventKind::key_changed:
    case EventKind::log_changed: return true;
    default: return false;
  }
}

SpaceReserve::SpaceReserve(Folder& folder, const Clock& clock, std::size_t bytes)
    : folder_(folder), clock_(clock), bytes_(bytes) {
  if (bytes_ == 0) return;
  const auto present = folder_.read_part(kFile, bytes_ - 1, 2);
  const bool whole = present && present->size() == 1;
  if (!whole && !set_aside()) {
    log_warning("audit", "no space could be set aside for administrators on the log's disk");
    spent_ = true;
  }
}

bool SpaceReserve::set_aside() {
  tried_ = clock_.steady();
  // Random, so that no file system stores it as a hole.
  const NamedBytes file{kFile, crypto::random_bytes(bytes_)};
  return folder_.put(std::span(&file, 1)).has_value();
}

bool SpaceReserve::spend() {
  if (bytes_ == 0 || spent_) return false;
  spent_ = true;
  tried_ = clock_.steady();
  log_error("audit",
            "the log's disk is full: only administrators' acts are recorded, in the space set "
            "aside for them; everything else is refused. Free space, or `domicile audit retention "
            "apply`");
  return folder_.remove(kFile).has_value();
}

bool SpaceReserve::ordinary_events() {
  if (!spent_) return true;
  if (clock_.steady() - tried_ < kBetweenTries || !set_aside()) return false;
  spent_ = false;
  log_info("audit", "the log's disk has room again");
  return true;
}

}  // namespace domicile::audit
