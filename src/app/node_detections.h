// Watches the node's own log: the detections, and a thread that looks at what the log cannot say
// itself (its disk, its checkpoint). Created after the log and stopped before it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "app/node_config.h"
#include "audit/ledger.h"
#include "audit/personal_vault.h"
#include "base/clock.h"
#include "compliance/detection_service.h"
#include "compliance/ledger_watch.h"
#include "http/metrics.h"

namespace domicile::app {

class NodeDetections {
 public:
  // Everything outlives it. `vault` null: persons stand in the records. Null without detections.
  static Result<std::unique_ptr<NodeDetections>> create(const NodeConfig& config,
                                                        const Clock& clock, audit::Ledger& ledger,
                                                        const audit::PersonalVault* vault);
  ~NodeDetections();

  void start();
  void stop();
  void show(http::Metrics& metrics) const;

 private:
  NodeDetections(const NodeConfig& config, const Clock& clock, audit::Ledger& ledger)
      : config_(config), clock_(clock), ledger_(ledger) {}
  void look_forever();
  void look();

  const NodeConfig& config_;
  const Clock& clock_;
  audit::Ledger& ledger_;
  std::unique_ptr<compliance::DetectionService> service_;
  compliance::LedgerWatch watch_{{}};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

// Reads what is durable of the ledger in `directory`, opening what is sealed. The vault may be null.
Result<compliance::DetectionPorts> log_ports(const std::filesystem::path& directory,
                                             const audit::Ledger& ledger,
                                             const audit::PersonalVault* vault);
// How much of the file system is in use, 0 to 1; nullopt: it does not say.
std::optional<double> disk_used(const std::filesystem::path& folder);
// Sends over HTTP. May be called from several threads.
Result<int> send_alert(const compliance::Receiver& receiver, const http::ClientRequest& request);

}  // namespace domicile::app
