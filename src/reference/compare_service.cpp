#include "reference/compare_service.h"

#include <algorithm>

namespace domicile::reference {

CompareService::CompareService(Options options)
    : options_(std::move(options)), reaper_([this](const std::stop_token& stop) { reap(stop); }) {}

CompareService::~CompareService() {
  reaper_.request_stop();
  reaper_.join();
}

void CompareService::reap(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<CompareRun>>
        over;  // destroyed without the lock: they join their threads
    std::unique_lock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    for (auto at = runs_.begin(); at != runs_.end();) {
      if (now - at->second->asked_at() < options_.idle_ms) {
        ++at;
        continue;
      }
      over.push_back(std::move(at->second));
      at = runs_.erase(at);
    }
    nobody_.wait_for(lock, stop, options_.idle_ms / 8, [] { return false; });
    lock.unlock();
  }
}

Result<std::shared_ptr<CompareRun>> CompareService::find(const std::string& run) {
  const std::lock_guard lock(mutex_);
  const auto found = runs_.find(run);
  if (found == runs_.end())
    return fail(Code::not_found, "this comparison is over in the master region; begin another",
                "compare_run");
  return found->second;
}

Result<CompareOpened> CompareService::open(const CompareOpen& request) {
  std::vector<std::shared_ptr<CompareRun>> over;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(runs_, [&](auto& entry) {
      if (entry.second->region() != request.region) return false;
      over.push_back(std::move(entry.second));
      return true;
    });
    if (runs_.size() >= kRunsMax)
      return fail(Code::unavailable,
                  "the master region's node compares with other regions; try later",
                  "compare_busy");
  }
  over.clear();
  std::shared_ptr<CompareRun> run =
      TRY(CompareRun::open(options_.run, request, stopping_.get_token()));
  const std::lock_guard lock(mutex_);
  runs_[run->opened().run] = run;
  return run->opened();
}

Result<ScanProgress> CompareService::progress(const std::string& run,
                                              std::chrono::milliseconds at_most) {
  return TRY(find(run))->progress(at_most);
}

Result<std::uint64_t> CompareService::rows_of(const std::string& run, std::size_t table) {
  return TRY(find(run))->rows_of(table);
}

Result<std::vector<digest::Symbol>> CompareService::symbols(const std::string& run,
                                                            std::size_t table, std::uint64_t first,
                                                            std::size_t count) {
  return TRY(find(run))->symbols(table, first, count);
}

Result<Digests> CompareService::keys(const std::string& run, std::size_t table,
                                     const Digests& rows) {
  return TRY(find(run))->keys(table, rows);
}

Result<Digests> CompareService::current(const std::string& run, std::size_t table,
                                        const Digests& rows) {
  Digests out;
  for (const MasterRow& row : TRY(TRY(find(run))->current(table, rows, false)))
    out.push_back(row.hash);
  return out;
}

Result<std::vector<MasterRow>> CompareService::rows(const std::string& run, std::size_t table,
                                                    const Digests& rows) {
  return TRY(find(run))->current(table, rows, true);
}

Result<void> CompareService::close(const std::string& run) {
  std::shared_ptr<CompareRun> over;
  const std::lock_guard lock(mutex_);
  if (const auto found = runs_.find(run); found != runs_.end()) {
    over = std::move(found->second);
    runs_.erase(found);
  }
  return {};
}

}  // namespace domicile::reference
