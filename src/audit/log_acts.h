// Does the acts on the log (log_act.h), each with its event, and gives a receipt (JSON) of it.
//
// Every act can be repeated: one that a crash cut short is done again, as a whole, at the next start
// (act_spool.h keeps it until then). An erasure that finds nothing left to destroy still records and
// says so.
//
// One act at a time, on one thread. What it is given outlives it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "audit/ledger.h"
#include "audit/log_act.h"
#include "audit/personal_vault.h"
#include "base/clock.h"
#include "base/result.h"

namespace domicile::audit {

struct LogActsOptions {
  std::filesystem::path directory;      // of the log
  std::filesystem::path key_directory;  // log_keys.h; legal holds stand there as well
  std::string origin;                   // of the log's keys
  unsigned retention_days = 0;          // the policy; 0: everything is kept
};

class LogActs {
 public:
  LogActs(LogActsOptions options, Ledger& ledger, PersonalVault& vault, const Clock& clock)
      : options_(std::move(options)), ledger_(ledger), vault_(vault), clock_(clock) {}

  // `by`: who asks, as the system knows them.
  Result<std::string> perform(const LogAct& act, std::string_view by);

 private:
  using Details = std::vector<std::pair<std::string, std::string>>;
  struct Done {
    domain::EventKind kind = domain::EventKind::log_changed;
    std::string operation;
    std::string resource;
    Details details;  // into the event and the receipt
    Details secret;   // into the receipt alone
  };

  Result<Done> erase(const LogAct& act);
  Result<Done> hold(const LogAct& act);
  Result<Done> rotate(const LogAct& act);
  Result<Done> read(const LogAct& act);
  Result<Done> trim(const LogAct& act, std::string_view by);
  Result<std::uint64_t> record(const LogAct& act, const Done& done, std::string_view by);
  void record_refusal(const LogAct& act, const Error& error, std::string_view by);
  std::filesystem::path holds_file() const { return options_.key_directory / "holds.json"; }

  const LogActsOptions options_;
  Ledger& ledger_;
  PersonalVault& vault_;
  const Clock& clock_;
};

}  // namespace domicile::audit
