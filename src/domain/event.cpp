#include "domain/event.h"

#include <future>

namespace domicile::domain {

Result<std::uint64_t> EventSink::record(Event event) {
  std::promise<Result<std::uint64_t>> promise;
  auto future = promise.get_future();
  submit(std::move(event),
         [&promise](Result<std::uint64_t> result) { promise.set_value(std::move(result)); });
  return future.get();
}

}  // namespace domicile::domain
