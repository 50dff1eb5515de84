// The thread of a replica region's node that compares: it takes jobs from domicile.reference_job one at a
// time, and makes the daily one. Of several nodes of a region one works, the one that holds a lock in the
// database; when it dies, another takes the lock, and the job that was left as running from its start.
#pragma once

#include <optional>
#include <thread>

#include "reference/compare_job.h"

namespace domicile::reference {

class CompareWorker {
 public:
  struct Options {
    std::string dsn;  // of the applier's login
    domain::RegionId region;
    std::filesystem::path folder;  // for the hashes of rows: the node's state directory
    std::optional<std::chrono::minutes>
        compare_at;  // after midnight UTC, with repair; nullopt: never
    std::function<std::unique_ptr<CompareMaster>()> master;  // a new connection for each job
    std::chrono::milliseconds poll_ms{500};
  };
  // `sink` and `clock` outlive the worker.
  CompareWorker(Options options, domain::EventSink& sink, const Clock& clock);
  ~CompareWorker();  // a job under way is left for the next start
  void start();

 private:
  void run(const std::stop_token& stop);
  Result<void> work(pg::Connection& connection, const std::stop_token& stop);
  Result<void> schedule(pg::Connection& connection);
  Result<bool> take_one(pg::Connection& connection, const std::stop_token& stop);
  Result<void> carry_out(pg::Connection& connection, const CompareJob& job,
                         const std::stop_token& stop);

  Options options_;
  domain::EventSink& sink_;
  const Clock& clock_;
  std::jthread thread_;
};

}  // namespace domicile::reference
