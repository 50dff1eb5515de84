// A million organizations in memory: ns per look-up, bytes each, start from the file on disk.
#include <filesystem>
#include <random>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "registry/snapshot_file.h"

namespace {

using namespace domicile;

constexpr int kOrganizations = 1'000'000;

std::string uuid(int n) {
  return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", n * 2654435761u, n & 0xffff,
                     n & 0xfff, n >> 8 & 0xfff, n);
}

std::shared_ptr<const domain::RegistrySnapshot> make(bool uuids) {
  domain::RegistrySnapshot::Builder builder;
  std::vector<domain::Region> regions(2);
  regions[0].id = domain::RegionId("ca-central-1");
  regions[0].jurisdiction = domain::JurisdictionId("CA");
  regions[1].id = domain::RegionId("us-east-1");
  regions[1].jurisdiction = domain::JurisdictionId("US");
  builder.registry_id(std::string(32, 'a')).regions(regions);
  for (int n = 0; n < kOrganizations; ++n) {
    domain::Organization o;
    o.key = domain::OrgKey(uuids ? uuid(n) : std::to_string(n));
    o.slug = domain::Slug(fmt::format("school-number-{}", n));
    o.placement = {.region = regions[static_cast<std::size_t>(n % 2)].id, .epoch = 1};
    o.revision = static_cast<std::uint64_t>(n + 1);
    (void)builder.put(o);
  }
  return builder.build(kOrganizations).value();
}

const domain::RegistrySnapshot& snapshot(bool uuids) {
  static const auto bigint = make(false);
  static const auto uuid_keys = make(true);
  return uuids ? *uuid_keys : *bigint;
}

void lookup(benchmark::State& state, bool uuids, bool slug) {
  const auto& all = snapshot(uuids);
  std::mt19937 random(3);
  std::vector<std::string> wanted(1 << 16);
  for (auto& text : wanted) {
    const int n = static_cast<int>(random() % kOrganizations);
    text = slug ? fmt::format("school-number-{}", n) : uuids ? uuid(n) : std::to_string(n);
  }
  std::size_t i = 0;
  for (auto _ : state) {
    const std::string& text = wanted[i++ & (wanted.size() - 1)];
    benchmark::DoNotOptimize(slug ? all.find_slug(text) : all.find(text));
  }
  state.counters["bytes_each"] = static_cast<double>(all.memory_bytes()) / kOrganizations;
}

void start(benchmark::State& state, bool uuids) {
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("domicile-bench-{}.snapshot", ::getpid());
  if (!registry::save_snapshot(path, snapshot(uuids))) state.SkipWithError("cannot write the file");
  for (auto _ : state) {
    const auto loaded = registry::load_snapshot(path);
    if (!loaded || (*loaded)->size() != kOrganizations) state.SkipWithError("not loaded");
  }
  std::filesystem::remove(path);
}

}  // namespace

BENCHMARK_CAPTURE(lookup, bigint_key, false, false);
BENCHMARK_CAPTURE(lookup, uuid_key, true, false);
BENCHMARK_CAPTURE(lookup, slug, false, true);
BENCHMARK_CAPTURE(start, bigint_key, false)->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK_CAPTURE(start, uuid_key, true)->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK_MAIN();
