#include "trail/store_events.h"

#include <condition_variable>
#include <mutex>
#include <optional>

namespace domicile::trail {

Result<void> store_events(domain::EventSink& sink, std::vector<domain::Event> events,
                          std::set<std::string>& stored) {
  std::mutex mutex;
  std::condition_variable all_told;
  std::size_t waiting = events.size();
  std::optional<Error> failed;
  for (domain::Event& event : events) {
    std::string id = event.request_id;
    sink.submit_unhurried(std::move(event), [&, id = std::move(id)](Result<std::uint64_t> done) {
      const std::scoped_lock lock(mutex);
      if (done) {
        stored.insert(id);
      } else {
        failed = std::move(done).error();
      }
      if (--waiting == 0) all_told.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  all_told.wait(lock, [&] { return waiting == 0; });
  if (failed) return std::unexpected(*failed);
  return {};
}

}  // namespace domicile::trail
