#include "app/node_audit_index.h"

#include "app/log_feed.h"
#include "base/file.h"

namespace domicile::app {

Result<std::unique_ptr<logindex::Follower>> make_audit_index(const NodeConfig& config,
                                                             NodeAudit& audit, const Clock& clock) {
  if (config.audit_index.dsn_file.empty()) return nullptr;
  logindex::FollowerOptions options;
  options.dsn = TRY(read_secret_file(config.audit_index.dsn_file));
  options.origin = config.audit_log.origin.empty() ? "domicile/" + config.region.text()
                                                   : config.audit_log.origin;
  options.feed = TRY(
      log_feed(config.audit_directory, [&audit] { return audit.ledger().stats().last_sequence; }));
  options.opener = opener_of(audit.vault());
  options.retention = std::chrono::days(config.audit_index.retention_days);
  return std::make_unique<logindex::Follower>(std::move(options), audit.ledger(), clock);
}

}  // namespace domicile::app
