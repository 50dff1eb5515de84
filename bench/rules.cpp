// What looking at one event of the log costs: its JSON alone, the built-in rules, and ten times as many.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "audit/ocsf.h"
#include "detect/detector.h"

using namespace domicile;

namespace {

// A request as the door records it.
std::string event() {
  domain::Event event;
  event.kind = domain::EventKind::request;
  event.outcome = domain::Outcome::allowed;
  event.activity = domain::Activity::read;
  event.time = WallTime(std::chrono::milliseconds(1'767'225'600'123));
  event.region = domain::RegionId("ca-central-1");
  event.organization = domain::OrgKey("4711");
  event.actor = domain::UserId("u_8d2f6a1c");
  event.source_ip = "203.0.113.9";
  event.request_id = "5f2c8d0e9a7b4c61";
  event.operation = "courses.list";
  event.resource = "/organizations/{org}/courses";
  auto record = audit::to_ocsf(event).front();
  std::string text = record.text;
  text.insert(record.sequence_at, "42");
  return text + R"("batch":40,"xxh3":"0123456789abcdef"}})";
}

// Rules of people: `count` of them, each about another route, so that each looks at every request.
std::vector<detect::RuleFile> own_rules(int count) {
  auto files = detect::built_in_rules();
  for (int i = 0; i < count; ++i) {
    files.push_back({fmt::format("own-{}.yml", i), fmt::format(R"(title: Own {0}
id: 00000000-0000-4000-8000-{0:012}
level: low
logsource: {{product: domicile, service: audit}}
detection:
  s:
    metadata.event_code: request
    api.operation: route{0}.*
    actor.user.uid|startswith: svc_
  condition: s
)",
                                                               i)});
  }
  return files;
}

void json_alone(benchmark::State& state) {
  const detect::FieldIndex none;
  detect::EventDocument document(none);
  const std::string text = event();
  for (auto _ : state) benchmark::DoNotOptimize(document.load(text).has_value());
}
BENCHMARK(json_alone);

void rules(benchmark::State& state) {
  const auto set = detect::RuleSet::create(own_rules(static_cast<int>(state.range(0)))).value();
  detect::Detector detector(*set);
  const std::string text = event();
  std::uint64_t sequence = 0;
  for (auto _ : state) benchmark::DoNotOptimize(detector.feed(++sequence, text)->size());
}
BENCHMARK(rules)->Arg(0)->Arg(20)->Arg(200);

}  // namespace

BENCHMARK_MAIN();
