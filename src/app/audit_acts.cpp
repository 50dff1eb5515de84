#include "app/audit_acts.h"

#include <chrono>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/node_audit.h"
#include "audit/act_spool.h"
#include "audit/ledger.h"
#include "audit/log_acts.h"

namespace domicile::app {
namespace {

constexpr std::chrono::seconds kAnswerIn{60};
constexpr std::chrono::seconds kNoteIn{2};

constexpr std::string_view kInUse = "audit_folder_in_use";

bool node_runs(const Error& error) { return error.reason == kInUse; }

// A folder without a lock file never had one; opening it would leave one of our own there.
bool has_writer(const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory / "lock")) return false;
  const auto lock = audit::open_disk_folder(directory);
  return !lock && node_runs(lock.error());
}

const SystemClock& system_clock() {
  static const SystemClock clock;
  return clock;
}

// Everything that waits in the spool, and so this act too. Code::conflict: a node has the log.
Result<void> do_here(const NodeConfig& config) {
  struct stat info{};
  if (::stat(config.audit_directory.c_str(), &info) == 0 && info.st_uid != ::geteuid()) {
    // What this writes the node could not read. It is left to the node, if it runs.
    if (has_writer(config.audit_directory)) {
      return fail(Code::conflict, "the node runs", std::string(kInUse));
    }
    return fail(Code::unavailable,
                fmt::format("the node does not run, and {} belongs to another user: run this as "
                            "that user, or start the node, which does what waits in its spool "
                            "folder",
                            config.audit_directory.string()));
  }
  const AuditLogConfig& log = config.audit_log;
  const auto vault =
      TRY(audit::PersonalVault::open({.key_directory = log.key_directory,
                                      .master_file = config.audit_personal.master_key_file,
                                      .clock = &system_clock()}));
  const auto ledger = TRY(audit::Ledger::open({.directory = config.audit_directory,
                                               .region = config.region,
                                               .clock = &system_clock(),
                                               .vault = vault.get(),
                                               .origin = log.origin,
                                               .key_directory = log.key_directory,
                                               .checkpoint_ms = log.checkpoint_ms}));
  audit::LogActs acts(acts_options(config), *ledger, *vault, system_clock());
  TRY(audit::take_acts(config.audit_directory, [&](const audit::LogAct& act, std::string_view by) {
    return acts.perform(act, by);
  }));
  return {};
}

}  // namespace

Result<std::string> act_on_log(const NodeConfig& config, const audit::LogAct& act) {
  TRY(audit::parse_act(audit::encode_act(act)));  // what the node would refuse, said at once
  const std::string id = TRY(audit::leave_act(config.audit_directory, act));
  const auto done = do_here(config);
  if (!done && !node_runs(done.error())) return std::unexpected(done.error());
  return audit::await_answer(config.audit_directory, id, kAnswerIn);
}

std::string tell_log(const std::filesystem::path& directory, const audit::LogAct& act) {
  const auto id = audit::leave_act(directory, act);
  if (!id) return "not recorded in the log: " + id.error().message;
  if (!has_writer(directory)) {
    return "the log's node does not run: it records this reading at its next start";
  }
  const auto receipt = audit::await_answer(directory, *id, kNoteIn);
  if (receipt) return "recorded in the log";
  return receipt.error().code == Code::timeout ? "the node records this reading when it is able to"
                                               : "not recorded: " + receipt.error().message;
}

}  // namespace domicile::app
