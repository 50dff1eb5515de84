// The thread that turns CloudTrail's files into events of the log. A file is looked through whole
// before its first record counts, so that one that is still being copied, or damaged, leaves nothing;
// then each record is an event once, also after kill -9: while a file is under way a mark says where
// the audit log was when it began, and what is found there with a record's id is not recorded again.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "base/clock.h"
#include "domain/event.h"
#include "trail/cloudtrail_folder.h"

namespace domicile::trail {

struct CloudtrailWatchOptions {
  std::filesystem::path folder;
  std::filesystem::path state_file;  // and the mark beside it, .batch
  std::chrono::milliseconds poll_ms{5'000};
  // As PostgresqlWatchOptions has them; the ids begin with "ct:".
  std::function<std::uint64_t()> last_sequence;
  std::function<Result<std::set<std::string>>(std::uint64_t after)> recorded_after;
};

class CloudtrailWatch {
 public:
  // `events` and `clock` outlive it.
  CloudtrailWatch(CloudtrailWatchOptions options, domain::EventSink& events, const Clock& clock);
  ~CloudtrailWatch();
  void start();

 private:
  void run(const std::stop_token& stop);
  Result<void> restore();
  Result<std::size_t> look(const std::stop_token& stop);
  Result<void> take(const CloudFile& file);
  Result<void> record(const CloudFile& file);
  Result<void> tell(const std::string& what, const std::string& file, const std::string& observed);
  Result<void> finish(const CloudFile& file);
  std::filesystem::path mark_file() const;

  CloudtrailWatchOptions options_;
  domain::EventSink& events_;
  const Clock& clock_;
  std::optional<CloudtrailFolder> folder_;
  std::set<std::string> recorded_;  // of a file that a crash cut off
  std::string said_;
  std::jthread thread_;
};

}  // namespace domicile::trail
