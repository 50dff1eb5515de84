// Fills an index of the log for bench/audit_query.py, with events of the real encoder:
//
//   bench_audit_query load DSN FROM COUNT DAYS   as the node's loader does, from the lines of the log
//   bench_audit_query copy DSN FROM COUNT DAYS   the same rows, made beforehand, by COPY alone
//
// Prints a JSON object with the seconds that loading took; making the events is not counted.
#include <chrono>
#include <cstdlib>
#include <random>

#include <fmt/format.h>

#include "audit/event_line.h"
#include "audit/ocsf.h"
#include "logindex/index_store.h"
#include "logindex/row.h"

namespace {

using namespace domicile;
using Seconds = std::chrono::duration<double>;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 4'096;
constexpr std::int64_t kFirstMs = 1'793'491'200'000;  // 2026-11-01

domain::Event event_at(std::uint64_t sequence, std::uint64_t count, unsigned days) {
  std::mt19937_64 dice(sequence);
  const auto one_in = [&](unsigned n) { return dice() % n == 0; };
  domain::Event event;
  event.kind = domain::EventKind::request;
  event.outcome = domain::Outcome::allowed;
  event.activity = one_in(5) ? domain::Activity::update : domain::Activity::read;
  event.time = WallTime(std::chrono::milliseconds(
      kFirstMs + static_cast<std::int64_t>(sequence * (std::uint64_t{86'400'000} * days / count))));
  event.region = domain::RegionId("ca-central-1");
  const auto organization = dice() % 500;
  event.organization = domain::OrgKey(std::to_string(organization));
  event.actor = domain::UserId(fmt::format("user-{}-{}", organization, dice() % 400));
  event.actor_role = one_in(4) ? "teacher" : "student";
  event.source_ip = fmt::format("203.0.{}.{}", dice() % 114, dice() % 256);
  event.request_id = fmt::format("{:016x}", dice());
  event.operation = fmt::format("courses.route{}", dice() % 40);
  event.resource = fmt::format("/orgs/{{org}}/courses/{}", dice() % 40);
  if (one_in(50)) {
    event.kind = domain::EventKind::sign_in;
    if (one_in(8)) event.outcome = domain::Outcome::denied, event.reason = "bad_password";
  } else if (one_in(60)) {
    event.outcome = domain::Outcome::denied;
    event.reason = one_in(2) ? "no_permission" : "organization_mismatch";
  } else if (one_in(500)) {
    event.kind = domain::EventKind::sql_session;
    event.details = {{"bypass", "true"}, {"user", "eve"}, {"database", "app"}};
  }
  return event;
}

std::string line_of(std::uint64_t sequence, std::uint64_t count, unsigned days) {
  std::string line;
  const auto records = audit::to_ocsf(event_at(sequence, count, days));
  audit::append_line(line, records.front(), sequence, sequence);
  line.pop_back();
  return line;
}

struct Work {
  std::uint64_t from = 1, count = 0;
  unsigned days = 1;
  std::uint64_t end() const { return from + count; }
};

Result<double> load(logindex::IndexStore& store, const Work& work) {
  Seconds making{};
  const auto begun = SteadyClock::now();
  const logindex::Feed feed = [&](std::uint64_t next,
                                  std::size_t most) -> Result<std::vector<audit::LogEntry>> {
    const auto before = SteadyClock::now();
    std::vector<audit::LogEntry> out;
    for (; next < work.end() && out.size() < most; ++next) {
      out.push_back({.sequence = next, .line = line_of(next, work.count, work.days), .sealed = {}});
    }
    making += SteadyClock::now() - before;
    return out;
  };
  const auto far = std::chrono::sys_days(std::chrono::year(2027) / 1 / 1);
  for (std::size_t taken = kBatch; taken > 0;) {
    taken = TRY(store.load(feed, [](const auto& entry) { return entry.line; }, kBatch, far));
  }
  return (Seconds(SteadyClock::now() - begun) - making).count();
}

Result<double> copy(logindex::IndexStore& store, const Work& work) {
  Seconds copying{};
  for (unsigned day = 0; day <= work.days; ++day) {
    TRY(store.connection().query("SELECT domicile_index.ensure_day('2026-11-01'::date + $1::int)",
                                 {std::to_string(day)}));
  }
  for (std::uint64_t next = work.from; next < work.end();) {
    std::optional<std::string> rows = std::string();
    for (std::size_t i = 0; i < kBatch && next < work.end(); ++i, ++next) {
      logindex::append_row(*rows, 1, next, line_of(next, work.count, work.days));
    }
    const auto before = SteadyClock::now();
    TRY(store.connection().copy_in(
        fmt::format("COPY domicile_index.event ({}) FROM STDIN", logindex::kCopyColumns),
        [&rows] { return std::exchange(rows, std::nullopt); }));
    copying += SteadyClock::now() - before;
  }
  return copying.count();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) return 2;
  const std::string mode = arguments[1];
  const Work work{.from = std::strtoull(arguments[3], nullptr, 10),
                  .count = std::strtoull(arguments[4], nullptr, 10),
                  .days = static_cast<unsigned>(std::strtoul(arguments[5], nullptr, 10))};
  auto store = logindex::IndexStore::open(arguments[2], "bench");
  const auto done = !store           ? Result<double>(std::unexpected(store.error()))
                    : mode == "load" ? load(*store, work)
                                     : copy(*store, work);
  if (!done) {
    fmt::print(stderr, "{}\n", done.error().message);
    return 1;
  }
  fmt::print("{{\"events\":{},\"seconds\":{:.3f}}}\n", work.count, *done);
  return 0;
}
