// Durable, individually acknowledged events per second through the Ledger, against a bare loop that
// writes the same bytes in batches of the same size with one fdatasync each, on the same disk, in
// alternating rounds. Prints one line of JSON a round for bench/ledger.py.
//   bench_ledger DIRECTORY PRODUCERS MILLISECONDS ROUNDS
#include "audit/ledger.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "audit/event_line.h"
#include "base/check.h"

namespace {

using namespace domicile;
using Time = std::chrono::steady_clock;

domain::Event request(std::uint64_t number) {
  domain::Event event;
  event.outcome = domain::Outcome::allowed;
  event.activity = domain::Activity::read;
  event.region = domain::RegionId("ca-central-1");
  event.organization = domain::OrgKey(std::to_string(number % 1000));
  event.actor = domain::UserId("u-" + std::to_string(number % 50'000));
  event.source_ip = "203.0.113.7";
  event.request_id = fmt::format("{:016x}", number);
  event.operation = "courses.list";
  event.resource = "/organizations/{org}/courses";
  event.epoch = 3;
  return event;
}

struct Measure {
  double events_per_s = 0;
  double batch = 0;  // events a flush
  double p50_us = 0;
  double p99_us = 0;
};

// `depth` events are under way at any time, as in a door whose requests wait for their event.
Measure run_ledger(const std::filesystem::path& folder, unsigned depth,
                   std::chrono::milliseconds span) {
  std::filesystem::remove_all(folder);
  static const SystemClock clock;
  audit::LedgerOptions options;
  options.directory = folder;
  options.region = domain::RegionId("ca-central-1");
  options.clock = &clock;
  auto ledger = audit::Ledger::open(std::move(options)).value();
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<double> latencies_us;
  unsigned under_way = 0;
  std::uint64_t submitted = 0;
  const auto begin = Time::now();
  std::unique_lock lock(mutex);
  while (Time::now() - begin < span) {
    wake.wait(lock, [&] { return under_way < depth; });
    const unsigned free = depth - under_way;
    under_way = depth;
    lock.unlock();
    for (unsigned i = 0; i < free; ++i) {
      const auto at = Time::now();
      ledger->submit(request(++submitted), [&, at](Result<std::uint64_t> done) {
        CHECK(done.has_value());
        const double us = std::chrono::duration<double, std::micro>(Time::now() - at).count();
        const std::lock_guard inner(mutex);
        latencies_us.push_back(us);
        --under_way;
        wake.notify_one();
      });
    }
    lock.lock();
  }
  wake.wait(lock, [&] { return under_way == 0; });
  const double seconds = std::chrono::duration<double>(Time::now() - begin).count();
  std::ranges::sort(latencies_us);
  const auto stats = ledger->stats();
  return {.events_per_s = static_cast<double>(latencies_us.size()) / seconds,
          .batch = static_cast<double>(stats.records) / static_cast<double>(stats.batches),
          .p50_us = latencies_us[latencies_us.size() / 2],
          .p99_us = latencies_us[latencies_us.size() * 99 / 100]};
}

double run_bare(const std::filesystem::path& folder, double batch, std::chrono::milliseconds span) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::string bytes;
  const auto events = static_cast<std::uint64_t>(std::max(1.0, batch));
  for (std::uint64_t i = 1; i <= events; ++i) {
    for (const auto& record : audit::to_ocsf(request(i)))
      audit::append_line(bytes, record, 1'000'000 + i, 1'000'000);
  }
  const int fd = ::open((folder / "bare").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  CHECK(fd >= 0);
  std::uint64_t written = 0;
  const auto begin = Time::now();
  while (Time::now() - begin < span) {
    CHECK(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    CHECK(::fdatasync(fd) == 0);
    written += events;
  }
  const double seconds = std::chrono::duration<double>(Time::now() - begin).count();
  ::close(fd);
  return static_cast<double>(written) / seconds;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: bench_ledger DIRECTORY PRODUCERS MILLISECONDS ROUNDS\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  const auto depth = static_cast<unsigned>(std::atoll(argv[2]));
  const std::chrono::milliseconds span(std::atoll(argv[3]));
  for (long long round = 0; round < std::atoll(argv[4]); ++round) {
    const Measure ledger = run_ledger(folder / "ledger", depth, span);
    const double bare = run_bare(folder / "bare", ledger.batch, span);
    fmt::print(
        "{{\"producers\":{},\"ledger\":{:.0f},\"bare\":{:.0f},\"batch\":{:.1f},\"p50_us\":{:.0f},"
        "\"p99_us\":{:.0f}}}\n",
        depth, ledger.events_per_s, bare, ledger.batch, ledger.p50_us, ledger.p99_us);
    std::fflush(stdout);
  }
  std::filesystem::remove_all(folder / "ledger");
  std::filesystem::remove_all(folder / "bare");
  return 0;
}
