#include "app/alert_rehearsal.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "app/node_detections.h"
#include "audit/ledger.h"
#include "audit/ocsf.h"
#include "audit/personal_vault.h"

namespace domicile::app {
namespace {

using detect::ProbeEvent;
using detect::RuleHead;

// A folder that goes away.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make() {
    std::string path =
        (std::filesystem::temp_directory_path() / "domicile-alert-test-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) {
      return fail(Code::unavailable, fmt::format("cannot make a folder {}", path));
    }
    return ScratchFolder(path);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

template <typename Value, typename Name>
Result<Value> named(const auto& values, const std::string& name, Value otherwise, Name name_of,
                    std::string_view what) {
  if (name.empty()) return otherwise;
  for (const Value value : values) {
    if (name_of(value) == name) return value;
  }
  return fail(Code::invalid, fmt::format("\"{}\" is no {} of an event", name, what));
}

std::string_view activity_name(domain::Activity activity) {
  switch (activity) {
    case domain::Activity::create: return "create";
    case domain::Activity::read: return "read";
    case domain::Activity::update: return "update";
    case domain::Activity::remove: return "remove";
    case domain::Activity::other: return "other";
  }
  return "other";
}

Result<domain::Event> event_of(const ProbeEvent& probe, unsigned number) {
  using domain::Activity;
  using domain::Outcome;
  domain::Event event;
  event.kind = TRY(named<domain::EventKind>(
      audit::kEventKinds, probe.kind, domain::EventKind::request,
      [](auto kind) { return audit::to_string(kind); }, "kind"));
  event.outcome = TRY(named<Outcome>(
      std::array{Outcome::allowed, Outcome::denied, Outcome::failed}, probe.outcome,
      Outcome::allowed, [](auto outcome) { return audit::to_string(outcome); }, "outcome"));
  event.activity =
      TRY(named<Activity>(std::array{Activity::create, Activity::read, Activity::update,
                                     Activity::remove, Activity::other},
                          probe.activity, Activity::other, activity_name, "activity"));
  const auto varied = [&](const char* field, const std::string& value) {
    return probe.vary == field ? fmt::format("{}{}", value, number) : value;
  };
  event.operation = varied("operation", probe.operation);
  event.resource = varied("resource", probe.resource);
  event.reason = probe.reason;
  event.severity = probe.severity;
  event.organization = domain::OrgKey(varied("organization", probe.organization));
  event.acting_organization = domain::OrgKey(probe.acting_organization);
  event.actor = domain::UserId(varied("actor", probe.actor));
  event.attempted_by = event.actor.text();
  event.actor_role = probe.actor_role;
  event.source_ip = varied("source_ip", probe.source_ip);
  event.request_id = "alert-test";
  event.details = probe.details;
  return event;
}

// The probe's events end now; each lies `apart_ms` before the next.
Result<void> submit_probe(const RuleHead& rule, const domain::RegionId& region, WallTime now,
                          audit::Ledger& ledger) {
  std::int64_t before_ms = 0;
  for (const ProbeEvent& probe : rule.probe) before_ms += probe.apart_ms * probe.repeat;
  for (const ProbeEvent& probe : rule.probe) {
    for (unsigned i = 0; i < probe.repeat; ++i) {
      auto event = event_of(probe, i);
      if (!event) return std::unexpected(std::move(event.error()).within(rule.file));
      event->region = region;
      event->time = now - std::chrono::milliseconds(before_ms);
      before_ms -= probe.apart_ms;
      TRY(ledger.record(std::move(*event)));
    }
  }
  return {};
}

Result<std::vector<const RuleHead*>> chosen(const AlertTestOptions& options) {
  const auto heads = options.rules->heads();
  if (options.only.empty()) return heads;
  std::vector<const RuleHead*> out;
  for (const std::string& name : options.only) {
    const RuleHead* head = options.rules->find(name);
    if (head == nullptr || std::ranges::find(heads, head) == heads.end()) {
      return fail(Code::not_found, fmt::format("no rule that detects bears the name or id \"{}\": "
                                               "domicile rule list shows them",
                                               name));
    }
    out.push_back(head);
  }
  return out;
}

}  // namespace

Result<AlertTestReport> run_alert_test(const AlertTestOptions& options) {
  const auto rules = TRY(chosen(options));
  const auto scratch = TRY(ScratchFolder::make());
  const SystemClock clock;
  const domain::RegionId region(options.region);
  const auto vault = TRY(audit::PersonalVault::open({.key_directory = scratch.path() / "keys",
                                                     .master_file = scratch.path() / "master.key",
                                                     .clock = &clock}));
  auto ledger = TRY(audit::Ledger::open({.directory = scratch.path() / "audit",
                                         .region = region,
                                         .clock = &clock,
                                         .durability = audit::Durability::none,
                                         .vault = vault.get(),
                                         .key_directory = scratch.path() / "keys"}));
  for (const RuleHead* rule : rules) TRY(submit_probe(*rule, region, clock.now(), *ledger));

  auto ports = TRY(log_ports(scratch.path() / "audit", *ledger, vault.get()));
  ports.send = send_alert;
  ports.events = ledger.get();
  ports.clock = &clock;
  compliance::DetectionOptions detection;
  detection.region = region;
  detection.state_file = scratch.path() / "detections.json";
  detection.delivery.receivers = options.receivers;
  detection.delivery.origin = {options.region, options.url};
  detection.test = true;
  auto service = TRY(
      compliance::DetectionService::create(options.rules, std::move(ports), std::move(detection)));
  const std::uint64_t last = ledger->stats().last_sequence;
  while (service->stats().position < last) TRY(service->follow());

  AlertTestReport report;
  const auto alerts = service->alerts();
  for (const RuleHead* rule : rules) {
    const bool fired = std::ranges::any_of(
        alerts, [&](const compliance::Alert& alert) { return alert.rule_id == rule->id; });
    const char* why = rule->probe.empty() ? "it has no probe" : "its probe does not match";
    report.rules.push_back({.name = rule->name.empty() ? rule->id : rule->name,
                            .level = std::string(detect::to_string(rule->level)),
                            .why = fired ? "" : why,
                            .fired = fired});
  }
  for (std::size_t i = 0; i < options.receivers.size(); ++i) {
    service->deliver(i);
    const auto stats = service->stats().receivers[i];
    const auto wanted = std::ranges::count_if(
        rules, [&](const RuleHead* rule) { return rule->level >= options.receivers[i].least; });
    report.receivers.push_back({.name = stats.name,
                                .error = stats.last_error,
                                .delivered = stats.delivered,
                                .dead = stats.dead,
                                .waiting = stats.waiting,
                                .wanted = static_cast<std::size_t>(wanted)});
  }
  return report;
}

}  // namespace domicile::app
