// The thread that turns PostgreSQL's own trail into events: it follows the server's log and looks at
// the catalogs every so often. Each look is a session of its own, and a server whose log does not tell
// of that session by the next look is silent: `log_changed`, operation `trail.silent`.
//
// Each record of the log becomes an event once, also after kill -9: the position in the log is kept in
// a file after the events of a batch are durable, with the sequence that the batch began at; what a
// crash left between the two is found in the audit log by the records' own numbers.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/secret.h"
#include "domain/event.h"
#include "trail/catalog_scan.h"
#include "trail/log_folder.h"
#include "trail/server_events.h"

namespace domicile::trail {

struct PostgresqlWatchOptions {
  std::filesystem::path log_folder;  // empty: only the catalogs
  std::filesystem::path state_file;
  Secret dsn;
  std::set<std::string> expected_logins;
  std::chrono::seconds scan_every{60};
  std::chrono::milliseconds poll_ms{500};
  // The last durable sequence of the audit log, and the request ids from a sequence on that begin with
  // "pg:" (at most some thousands).
  std::function<std::uint64_t()> last_sequence;
  std::function<Result<std::set<std::string>>(std::uint64_t after)> recorded_after;
};

class PostgresqlWatch {
 public:
  // `events` and `clock` outlive it.
  PostgresqlWatch(PostgresqlWatchOptions options, domain::EventSink& events, const Clock& clock);
  ~PostgresqlWatch();
  void start();

 private:
  void run(const std::stop_token& stop);
  Result<void> restore();
  Result<std::size_t> follow();
  Result<void> scan();
  Result<void> judge(const CatalogScan& found);
  Result<void> note_sessions(const CatalogScan& found);
  Result<void> note_settings(const CatalogScan& found);
  Result<void> note_silence(const CatalogScan& found);
  Result<void> finding(const std::string& control, const std::string& title, bool bad,
                       const std::string& observed, const std::string& remedy);
  Result<void> problem(const FolderProblem& problem, std::size_t times);
  Result<void> store(std::vector<domain::Event> events, std::uint64_t before);
  Result<void> save(std::optional<std::uint64_t> batch_from);
  domain::Event event(domain::EventKind kind, const std::string& operation) const;

  PostgresqlWatchOptions options_;
  domain::EventSink& events_;
  const Clock& clock_;
  std::optional<LogFolder> folder_;
  std::set<std::string> recorded_;  // of a batch that a crash cut off
  Expectations expected_;
  std::map<std::string, std::string> findings_;  // control -> what was last observed
  std::map<std::string, WallTime> found_at_;
  std::set<std::string> sessions_;               // "pid started", of the last scan
  std::map<std::string, std::string> settings_;  // of the last scan
  bool scanned_ = false;
  std::optional<std::uint64_t> awaited_pid_;  // the log must tell of it
  bool silent_ = false;
  bool caught_up_ = true;               // with the log: only then is a session missing in it
  std::set<std::uint64_t> heard_pids_;  // since the last scan; bounded
  std::optional<SteadyTime> scanned_at_;
  std::string said_;
  std::jthread thread_;
};

}  // namespace domicile::trail
