// The numbers a node shows at /metrics, in the Prometheus text format (version 0.0.4). A Counter
// has one writer, a loop, and any number of readers; several counters of one name and label set are
// summed when the page is written, so that loops share nothing. Labels never name an organization
// or a person.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace domicile::http {

class Counter {
 public:
  // Only the owning thread.
  void add(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Metrics {
 public:
  enum class Kind { counter, gauge };

  // A new counter of its own, shown under `name{labels}` together with all others of that name and
  // those labels. `labels` is empty or `code="200"`. It lives as long as this registry.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = "",
                   Kind kind = Kind::counter);
  // A number that is read when the page is written; `read` must be thread-safe.
  void read(std::string_view name, std::string_view help, Kind kind, std::function<double()> read,
            std::string_view labels = "");

  std::string page() const;

 private:
  struct Series {
    std::string name, help, labels;
    Kind kind;
    std::unique_ptr<Counter> counter;
    std::function<double()> read;
  };
  mutable std::mutex mutex_;
  std::vector<Series> series_;
};

}  // namespace domicile::http
