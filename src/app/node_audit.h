// The node's audit log and what stands around it: the ledger, the log served to readers, witnesses
// of this log and by this node of others, the detections that watch it, and the findings that come of it.
//
// Built first and destroyed last: everybody records events. open() needs nothing but the
// configuration; start() once the node is up.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "app/node_config.h"
#include "app/node_detections.h"
#include "app/node_findings.h"
#include "app/node_witness.h"
#include "audit/act_spool.h"
#include "audit/ledger.h"
#include "audit/log_acts.h"
#include "audit/log_server.h"
#include "audit/personal_vault.h"
#include "base/clock.h"

namespace domicile::app {

// What the node and an administrator's command do acts on the log with.
audit::LogActsOptions acts_options(const NodeConfig& config);

class NodeAudit {
 public:
  // `config` and `clock` outlive it.
  static Result<std::unique_ptr<NodeAudit>> open(const NodeConfig& config, const Clock& clock);

  ~NodeAudit();

  Result<void> start();
  audit::Ledger& ledger() { return *ledger_; }
  const audit::PersonalVault& vault() const { return *vault_; }
  NodeWitness& witness() { return *witness_; }
  // The numbers of it outlive the metrics' last page.
  void show(http::Metrics& metrics) const;

 private:
  NodeAudit() = default;
  void note(std::string_view operation);
  void offer(const std::string& checkpoint);

  const Clock* clock_ = nullptr;
  std::filesystem::path directory_;
  std::mutex witness_mutex_;  // the ledger publishes while the witness comes and goes
  std::unique_ptr<NodeWitness> witness_;
  std::unique_ptr<audit::PersonalVault> vault_;
  std::unique_ptr<audit::Ledger> ledger_;
  std::unique_ptr<audit::LogActs> acts_;
  std::unique_ptr<audit::ActSpool> spool_;
  std::unique_ptr<audit::LogServer> log_server_;  // null: the log is not served
  std::unique_ptr<NodeFindings> findings_;
  std::unique_ptr<NodeDetections> detections_;  // null: nobody watches
};

}  // namespace domicile::app
