// Durable, individually acknowledged events per second through the Ledger as a node runs it, with
// personal fields sealed, the tree and its checkpoints behind it, against a bare loop that writes
// the same bytes in batches of the same size with one fdatasync each, on the same disk, in
// alternating rounds. Prints one line of JSON a round for bench/audit.py.
//   bench_audit events DIRECTORY PRODUCERS MILLISECONDS ROUNDS
// Or makes a log of that many events, for verification:
//   bench_audit fill DIRECTORY EVENTS
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
#include "audit/ledger.h"
#include "audit/personal_vault.h"
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
  double behind_s = 0;  // until the last event was under a checkpoint
};

double percentile(std::vector<double>& sorted, double share) {
  return sorted[static_cast<std::size_t>(static_cast<double>(sorted.size() - 1) * share)];
}

// A ledger with everything that a node's has.
struct Log {
  explicit Log(const std::filesystem::path& folder) {
    vault = audit::PersonalVault::open({.key_directory = folder / "keys",
                                        .master_file = folder / "master.key",
                                        .clock = &clock})
                .value();
    audit::LedgerOptions options;
    options.directory = folder;
    options.region = domain::RegionId("ca-central-1");
    options.clock = &clock;
    options.vault = vault.get();
    ledger = audit::Ledger::open(std::move(options)).value();
  }
  SystemClock clock;
  std::unique_ptr<audit::PersonalVault> vault;
  std::unique_ptr<audit::Ledger> ledger;
};

// `depth` events are under way at any time, as in a door whose requests wait for their event.
Measure run_ledger(const std::filesystem::path& folder, unsigned depth,
                   std::chrono::milliseconds span) {
  std::filesystem::create_directories(folder);
  auto log = std::make_unique<Log>(folder);
  audit::Ledger* ledger = log->ledger.get();
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
  const auto ended = Time::now();
  log.reset();  // publishes what is left
  return {.events_per_s = static_cast<double>(latencies_us.size()) / seconds,
          .batch = static_cast<double>(stats.records) / static_cast<double>(stats.batches),
          .p50_us = percentile(latencies_us, 0.5),
          .p99_us = percentile(latencies_us, 0.99),
          .behind_s = std::chrono::duration<double>(Time::now() - ended).count()};
}

// What a batch of the ledger's size costs when nothing is done but writing it.
Measure run_bare(const std::filesystem::path& folder, double batch,
                 std::chrono::milliseconds span) {
  std::filesystem::create_directories(folder);
  std::string bytes;
  const auto events = static_cast<std::uint64_t>(std::max(1.0, batch));
  {
    const Log log(folder);
    for (std::uint64_t i = 1; i <= events; ++i) {
      for (const auto& record : audit::to_ocsf(request(i), log.vault.get()).value()) {
        audit::append_line(bytes, record, 1'000'000 + i, 1'000'000);
      }
    }
  }
  const int fd = ::open((folder / "bare").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  CHECK(fd >= 0);
  std::vector<double> batches_us;
  const auto begin = Time::now();
  for (auto at = begin; at - begin < span;) {
    CHECK(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    CHECK(::fdatasync(fd) == 0);
    const auto now = Time::now();
    batches_us.push_back(std::chrono::duration<double, std::micro>(now - at).count());
    at = now;
  }
  const double seconds = std::chrono::duration<double>(Time::now() - begin).count();
  ::close(fd);
  std::ranges::sort(batches_us);
  return {.events_per_s = static_cast<double>(batches_us.size() * events) / seconds,
          .batch = static_cast<double>(events),
          .p50_us = percentile(batches_us, 0.5),
          .p99_us = percentile(batches_us, 0.99)};
}

int events(const std::filesystem::path& folder, unsigned depth, std::chrono::milliseconds span,
           long long rounds) {
  for (long long round = 0; round < rounds; ++round) {
    // A folder each: without a journal, ext4 looks long for inodes that were not just removed.
    const Measure ledger = run_ledger(folder / fmt::format("ledger-{}", round), depth, span);
    const Measure bare = run_bare(folder / fmt::format("bare-{}", round), ledger.batch, span);
    fmt::print(
        "{{\"producers\":{},\"ledger\":{:.0f},\"bare\":{:.0f},\"batch\":{:.1f},\"p50_us\":{:.0f},"
        "\"p99_us\":{:.0f},\"bare_p50_us\":{:.0f},\"bare_p99_us\":{:.0f},\"behind_s\":{:.2f}}}\n",
        depth, ledger.events_per_s, bare.events_per_s, ledger.batch, ledger.p50_us, ledger.p99_us,
        bare.p50_us, bare.p99_us, ledger.behind_s);
    std::fflush(stdout);
  }
  std::filesystem::remove_all(folder);
  return 0;
}

int fill(const std::filesystem::path& folder, std::uint64_t count) {
  std::filesystem::create_directories(folder);
  const Log log(folder);
  for (std::uint64_t i = 1; i <= count; ++i) {
    if (i % 4096 == 0 || i == count) {
      CHECK(log.ledger->record(request(i)).has_value());
    } else {
      log.ledger->submit(request(i), [](Result<std::uint64_t> done) { CHECK(done.has_value()); });
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "events" && argc == 6) {
    return events(argv[2], static_cast<unsigned>(std::atoll(argv[3])),
                  std::chrono::milliseconds(std::atoll(argv[4])), std::atoll(argv[5]));
  }
  if (what == "fill" && argc == 4) return fill(argv[2], std::strtoull(argv[3], nullptr, 10));
  fmt::print(stderr,
             "usage: bench_audit events DIRECTORY PRODUCERS MILLISECONDS ROUNDS\n"
             "       bench_audit fill DIRECTORY EVENTS\n");
  return 2;
}
