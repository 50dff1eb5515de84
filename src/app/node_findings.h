// The node's part in findings: carries what the log says into the region's database, lets acceptances
// expire, and runs the checks of a configuration once in a while, whose results go into the log first.
// Two threads; both go on when the database was away.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "app/node_config.h"
#include "audit/ledger.h"
#include "base/clock.h"
#include "base/secret.h"
#include "compliance/check_config.h"
#include "compliance/detection_service.h"
#include "store/finding_store.h"

namespace domicile::app {

class NodeFindings {
 public:
  // Everything outlives it. Code::invalid when the checks' configuration cannot be used.
  static Result<std::unique_ptr<NodeFindings>> create(const NodeConfig& config, const Clock& clock,
                                                      audit::Ledger& ledger);
  ~NodeFindings();

  void start();
  void stop();

 private:
  NodeFindings(const NodeConfig& config, const Clock& clock, audit::Ledger& ledger, Secret dsn)
      : config_(config), clock_(clock), ledger_(ledger), store_(std::move(dsn)) {}
  void feed_forever();
  void check_forever();
  Result<void> run_checks();
  bool wait(std::chrono::milliseconds time);  // false: it is time to stop

  const NodeConfig& config_;
  const Clock& clock_;
  audit::Ledger& ledger_;
  store::FindingStore store_;  // the feeding thread's
  compliance::DetectionPorts ports_;
  std::string log_;
  compliance::CheckConfig checks_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread feeding_, checking_;
};

}  // namespace domicile::app
