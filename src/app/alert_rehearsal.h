// Fires every rule through its real path: the events of its probe go into a scratch log by the real
// encoder, are read by the real reader, and what the rules find goes to the real receivers, marked as
// a test. The node's own log is not touched.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "compliance/alert_delivery.h"
#include "detect/rule_set.h"

namespace domicile::app {

struct AlertTestOptions {
  std::shared_ptr<const detect::RuleSet> rules;
  std::vector<compliance::Receiver> receivers;  // empty: nobody is told
  std::vector<std::string> only;                // names or ids; empty: every rule
  std::string region;
  std::string url;
};

struct AlertTestReport {
  struct Rule {
    std::string name, level, why;
    bool fired = false;
  };
  struct ReceiverOutcome {
    std::string name, error;
    std::uint64_t delivered = 0, dead = 0;
    std::size_t waiting = 0;
    std::size_t wanted = 0;  // alerts of its level and above
  };
  std::vector<Rule> rules;
  std::vector<ReceiverOutcome> receivers;
};

// Code::not_found: `only` names a rule that there is not.
Result<AlertTestReport> run_alert_test(const AlertTestOptions& options);

}  // namespace domicile::app
