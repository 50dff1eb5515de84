#include "compliance/ledger_watch.h"

#include <fmt/format.h>

namespace domicile::compliance {

std::vector<LedgerSign> LedgerWatch::look(const LedgerSigns& signs, WallTime now) {
  std::vector<LedgerSign> seen;
  if (signs.disk_used && *signs.disk_used > options_.disk_used_max) {
    seen.push_back({"log_not_writable", "log.disk_low",
                    fmt::format("{:.0f} % of the log's disk are in use", *signs.disk_used * 100)});
  }
  if (signs.lost > lost_ || !signs.write_error.empty()) {
    seen.push_back({"log_not_writable", "log.refusing",
                    fmt::format("{} events could not be stored", signs.lost - lost_)});
    lost_ = signs.lost;
  }
  const bool stale =
      signs.unpublished_since != WallTime{} && now - signs.unpublished_since > options_.stale_ms;
  if (stale) {
    const auto age =
        std::chrono::duration_cast<std::chrono::seconds>(now - signs.unpublished_since);
    seen.push_back({"stale_checkpoint", "log.checkpoint_stale",
                    fmt::format("durable records have waited {} s for a checkpoint", age.count())});
  }
  std::vector<LedgerSign> out;
  std::map<std::string_view, WallTime> told;
  for (LedgerSign& sign : seen) {
    const auto before = told_.find(sign.operation);
    const bool again = before == told_.end() || now - before->second >= options_.again_ms;
    told[sign.operation] = again ? now : before->second;
    if (again) out.push_back(std::move(sign));
  }
  told_ = std::move(told);
  return out;
}

domain::Event event_of(const LedgerSign& sign, const domain::RegionId& region, WallTime now) {
  domain::Event event;
  event.kind = domain::EventKind::log_changed;
  event.outcome = domain::Outcome::failed;
  event.activity = domain::Activity::other;
  event.time = now;
  event.region = region;
  event.operation = sign.operation;
  event.resource = "events";
  event.reason = sign.operation.substr(sign.operation.find('.') + 1);
  event.details = {{"observed", sign.observed}};
  return event;
}

}  // namespace domicile::compliance
