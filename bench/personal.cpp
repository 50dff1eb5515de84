// What sealing persons costs: an event's record without and with it, opening it again, a person who
// is new, and what a million persons take.
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "audit/event_line.h"
#include "audit/personal_vault.h"

using namespace domicile;

namespace {

const SystemClock kClock;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/domicile-bench-personal-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::unique_ptr<audit::PersonalVault> open() const {
    return audit::PersonalVault::open({.key_directory = path_ / "keys",
                                       .master_file = path_ / "master.key",
                                       .clock = &kClock})
        .value();
  }

 private:
  std::filesystem::path path_;
};

domain::Event request(std::uint64_t person) {
  domain::Event event;
  event.outcome = domain::Outcome::allowed;
  event.activity = domain::Activity::read;
  event.time = WallTime(std::chrono::milliseconds(1'767'225'600'123));
  event.region = domain::RegionId("ca-central-1");
  event.organization = domain::OrgKey(std::to_string(person % 1000));
  event.actor = domain::UserId(fmt::format("u_{:020}", person));
  event.source_ip = "203.0.113.7";
  event.request_id = "4bf92f3577b34da6";
  event.operation = "courses.list";
  event.resource = "/organizations/{org}/courses";
  return event;
}

void plain(benchmark::State& state) {
  std::uint64_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(audit::to_ocsf(request(i++ % 10'000)));
}

void sealed(benchmark::State& state) {
  const Folder folder;
  const auto vault = folder.open();
  for (std::uint64_t i = 0; i < 10'000; ++i) (void)audit::to_ocsf(request(i), vault.get());
  if (!vault->flush()) std::abort();
  std::uint64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(audit::to_ocsf(request(i++ % 10'000), vault.get()).value());
  }
}

void opened(benchmark::State& state) {
  const Folder folder;
  const auto vault = folder.open();
  auto record = audit::to_ocsf(request(7), vault.get()).value().front();
  if (!vault->flush()) std::abort();
  const std::string text = std::exchange(record.sealed, {});
  std::string line;
  audit::append_line(line, record, 41, 40);
  line.pop_back();
  for (auto _ : state) benchmark::DoNotOptimize(vault->open_event(line, text).value());
}

// The first event of a person, its key durable with a hundred others.
void new_person(benchmark::State& state) {
  const Folder folder;
  const auto vault = folder.open();
  std::uint64_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(audit::to_ocsf(request(i++), vault.get()).value());
    if (i % 100 == 0 && !vault->flush()) state.SkipWithError("the disk");
  }
}

void million(benchmark::State& state) {
  constexpr std::uint64_t kPersons = 1'000'000;
  const Folder folder;
  {
    const auto vault = folder.open();
    for (std::uint64_t i = 0; i < kPersons; ++i) {
      auto event = request(i);
      if (!vault->hide(event) || (i % 10'000 == 0 && !vault->flush())) std::abort();
    }
    if (!vault->flush()) std::abort();
  }
  for (auto _ : state) {
    const auto vault = folder.open();
    state.counters["persons"] = static_cast<double>(vault->keys().stats().persons);
    state.counters["bytes_each"] =
        static_cast<double>(vault->keys().stats().memory_bytes) / static_cast<double>(kPersons);
  }
}

BENCHMARK(plain);
BENCHMARK(sealed);
BENCHMARK(opened);
BENCHMARK(new_person);
BENCHMARK(million)
    ->Name("start with a million persons")
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
