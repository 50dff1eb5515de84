#include "app/doctor_report.h"

#include <algorithm>
#include <array>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace domicile::app {
namespace {

constexpr std::array kNames = {"configuration",
                               "secret_files",
                               "routes",
                               "roles",
                               "node_role",
                               "database",
                               "database_region",
                               "database_region_open",
                               "server_version",
                               "durability",
                               "clock_database",
                               "certificate",
                               "certificate_name",
                               "certificate_chain",
                               "certificate_key",
                               "event_log_space",
                               "event_log",
                               "registry",
                               "snapshot",
                               "node_ready",
                               "upstream",
                               "peers",
                               "clock_peers",
                               "reference_login",
                               "reference_log",
                               "reference_stream",
                               "database_tls",
                               "pooler",
                               "application_role",
                               "application_pooling",
                               "statement_logging",
                               "prepared_transactions",
                               "idle_transactions",
                               "event_triggers"};
static_assert(kNames.size() == static_cast<std::size_t>(Check::event_triggers) + 1);

std::size_t count(const std::vector<DoctorFinding>& findings, Health health) {
  return static_cast<std::size_t>(std::ranges::count(findings, health, &DoctorFinding::health));
}

}  // namespace

std::string_view to_string(Health health) {
  switch (health) {
    case Health::ok: return "ok";
    case Health::warn: return "warn";
    case Health::fail: return "fail";
  }
  return "fail";
}

std::string_view to_string(Check check) { return kNames[static_cast<std::size_t>(check)]; }

void DoctorReport::ok(Check check, std::string seen) {
  findings_.push_back({check, Health::ok, std::move(seen), ""});
}
void DoctorReport::warn(Check check, std::string seen, std::string remedy) {
  findings_.push_back({check, Health::warn, std::move(seen), std::move(remedy)});
}
void DoctorReport::fail(Check check, std::string seen, std::string remedy) {
  findings_.push_back({check, Health::fail, std::move(seen), std::move(remedy)});
}

std::vector<DoctorFinding> DoctorReport::findings() const {
  auto sorted = findings_;
  std::ranges::sort(sorted, [](const DoctorFinding& a, const DoctorFinding& b) {
    return a.health != b.health ? a.health > b.health
                                : std::tie(a.check, a.seen) < std::tie(b.check, b.seen);
  });
  return sorted;
}

int DoctorReport::exit_code() const {
  return count(findings_, Health::fail) > 0 ? 2 : count(findings_, Health::warn) > 0 ? 1 : 0;
}

std::string DoctorReport::text() const {
  std::string out;
  for (const DoctorFinding& finding : findings()) {
    out += fmt::format("{:<5} {:<22} {}\n", to_string(finding.health), to_string(finding.check),
                       finding.seen);
    if (!finding.remedy.empty()) out += fmt::format("{:>28} -> {}\n", "", finding.remedy);
  }
  return out + fmt::format("{} to fix, {} to look at, {} in order", count(findings_, Health::fail),
                           count(findings_, Health::warn), count(findings_, Health::ok));
}

std::string DoctorReport::json() const {
  auto list = nlohmann::ordered_json::array();
  for (const DoctorFinding& finding : findings()) {
    list.push_back({{"check", to_string(finding.check)},
                    {"health", to_string(finding.health)},
                    {"seen", finding.seen},
                    {"remedy", finding.remedy}});
  }
  const nlohmann::ordered_json all = {{"exit_code", exit_code()}, {"findings", list}};
  return all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace domicile::app
