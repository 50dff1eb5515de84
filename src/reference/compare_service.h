// The comparisons of all replica regions, in the master region's node. A run that nobody asks about for two
// minutes is over; a region has one run at a time.
#pragma once

#include <map>

#include "reference/compare_run.h"

namespace domicile::reference {

class CompareService final : public CompareMaster {
 public:
  static constexpr std::size_t kRunsMax = 8;
  struct Options {
    CompareRunOptions run;
    std::chrono::milliseconds idle_ms{120'000};
  };
  explicit CompareService(Options options);
  ~CompareService() override;
  // Nobody waits in open() any more: the node is about to stop. From any thread.
  void stop() { stopping_.request_stop(); }

  Result<CompareOpened> open(const CompareOpen& request) override;
  Result<ScanProgress> progress(const std::string& run, std::chrono::milliseconds at_most) override;
  Result<std::uint64_t> rows_of(const std::string& run, std::size_t table) override;
  Result<std::vector<digest::Symbol>> symbols(const std::string& run, std::size_t table,
                                              std::uint64_t first, std::size_t count) override;
  Result<Digests> keys(const std::string& run, std::size_t table, const Digests& rows) override;
  Result<Digests> current(const std::string& run, std::size_t table, const Digests& rows) override;
  Result<std::vector<MasterRow>> rows(const std::string& run, std::size_t table,
                                      const Digests& rows) override;
  Result<void> close(const std::string& run) override;

 private:
  Result<std::shared_ptr<CompareRun>> find(const std::string& run);
  void reap(const std::stop_token& stop);

  Options options_;
  std::stop_source stopping_;
  std::mutex mutex_;
  std::condition_variable_any nobody_;
  std::map<std::string, std::shared_ptr<CompareRun>> runs_;
  std::jthread reaper_;
};

}  // namespace domicile::reference
