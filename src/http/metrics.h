// The numbers a node shows at /metrics, in the Prometheus text format (version 0.0.4). A Counter
// has one writer, a loop, and any number of readers; several counters of one name and label set are
// summed when the page is written, so that loops share nothing. Labels never name an organization
// or a person.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
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

// How long something took, in cumulative buckets from a millisecond to ten seconds. One writer, as a
// Counter.
class Histogram {
 public:
  static constexpr std::array<std::chrono::microseconds::rep, 13> kBoundsUs = {
      1'000,   2'500,   5'000,     10'000,    25'000,    50'000,    100'000,
      250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};

  void observe(std::chrono::microseconds took);

 private:
  friend class Metrics;
  std::array<Counter, kBoundsUs.size() + 1> buckets_;  // the last holds all
  Counter sum_us_;
};

class Metrics {
 public:
  enum class Kind { counter, gauge, histogram };

  // A new counter of its own, shown under `name{labels}` together with all others of that name and
  // those labels. `labels` is empty or `code="200"`. It lives as long as this registry.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = "",
                   Kind kind = Kind::counter);
  // A new histogram of its own, shown as `name`_bucket, _sum (seconds) and _count.
  Histogram& histogram(std::string_view name, std::string_view help);
  // A number that is read when the page is written; `read` must be thread-safe.
  void read(std::string_view name, std::string_view help, Kind kind, std::function<double()> read,
            std::string_view labels = "");

  std::string page() const;

 private:
  struct Series {
    std::string name, help, labels;
    Kind kind;
    std::string suffix;  // of a histogram's lines
    std::unique_ptr<Counter> counter;
    std::function<double()> read;
  };
  mutable std::mutex mutex_;
  std::vector<Series> series_;
  std::vector<std::unique_ptr<Histogram>> histograms_;
};

}  // namespace domicile::http
