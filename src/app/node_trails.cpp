#include "app/node_trails.h"

#include <memory>

#include "app/log_feed.h"
#include "audit/event_reader.h"

namespace domicile::app {
namespace {

// The request ids with this beginning, of what the log holds behind a sequence.
std::function<Result<std::set<std::string>>(std::uint64_t)> recorded_ids(
    const std::filesystem::path& directory, std::string beginning) {
  return [directory, beginning](std::uint64_t after) -> Result<std::set<std::string>> {
    constexpr std::size_t kBatch = 1'000;
    const auto feed = TRY(log_feed(directory));
    std::set<std::string> out;
    for (std::uint64_t next = after + 1;;) {
      const auto entries = TRY(feed(next, kBatch));
      if (entries.empty()) return out;
      for (const auto& entry : entries) {
        const auto id = audit::facts_of(entry.line).request_id;
        if (id.starts_with(beginning)) out.emplace(id);
      }
      next = entries.back().sequence + 1;
    }
  };
}

}  // namespace

std::unique_ptr<NodeTrails> NodeTrails::create(const NodeConfig& config, const Secret& dsn,
                                               audit::Ledger& ledger, const Clock& clock) {
  std::unique_ptr<NodeTrails> out(new NodeTrails());
  const TrailsConfig& trails = config.trails;
  if (trails.postgresql) {
    out->postgresql_ = std::make_unique<trail::PostgresqlWatch>(
        trail::PostgresqlWatchOptions{
            .log_folder = trails.postgresql_log,
            .state_file = config.state_directory / "trail-postgresql",
            .dsn = dsn,
            .expected_logins = trails.postgresql_expected_logins,
            .scan_every = trails.postgresql_scan_every,
            .last_sequence = [&ledger] { return ledger.stats().last_sequence; },
            .recorded_after = recorded_ids(config.audit_directory, "pg:")},
        ledger, clock);
  }
  if (!trails.cloudtrail.empty()) {
    out->cloudtrail_ = std::make_unique<trail::CloudtrailWatch>(
        trail::CloudtrailWatchOptions{
            .folder = trails.cloudtrail,
            .state_file = config.state_directory / "trail-cloudtrail",
            .last_sequence = [&ledger] { return ledger.stats().last_sequence; },
            .recorded_after = recorded_ids(config.audit_directory, "ct:")},
        ledger, clock);
  }
  return out;
}

void NodeTrails::start() {
  if (postgresql_ != nullptr) postgresql_->start();
  if (cloudtrail_ != nullptr) cloudtrail_->start();
}

}  // namespace domicile::app
