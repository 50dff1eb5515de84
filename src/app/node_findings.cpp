#include "app/node_findings.h"

#include <array>
#include <charconv>

#include <fmt/format.h>
#include <unistd.h>

#include "app/node_detections.h"
#include "base/file.h"
#include "base/log.h"
#include "compliance/check_run.h"
#include "compliance/finding_feed.h"
#include "registry/snapshot_file.h"

namespace domicile::app {
namespace {

constexpr std::size_t kRoundEvents = 500;
constexpr std::chrono::milliseconds kPollMs{500};
constexpr std::int64_t kExpireEverySeconds = 60;

// Which log of the region's nodes this is.
std::string log_name(const std::filesystem::path& directory) {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  std::error_code error;
  return fmt::format("{}:{}", host.data(), std::filesystem::absolute(directory, error).string());
}

// When the checks ran last; 0: they never did.
std::int64_t last_run(const std::filesystem::path& mark) {
  const auto text = read_file(mark, 64);
  std::int64_t seconds = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), seconds);
  return seconds;
}

// What the configuration names as the registry's word; null: nothing.
Result<std::shared_ptr<const domain::RegistrySnapshot>> checked_registry(
    const compliance::CheckConfig& config) {
  if (config.registry_snapshot.empty()) {
    return std::shared_ptr<const domain::RegistrySnapshot>();
  }
  return registry::load_snapshot(config.registry_snapshot);
}

}  // namespace

Result<std::unique_ptr<NodeFindings>> NodeFindings::create(const NodeConfig& config,
                                                           const Clock& clock,
                                                           audit::Ledger& ledger) {
  std::unique_ptr<NodeFindings> out(
      new NodeFindings(config, clock, ledger, TRY(read_secret_file(config.database_dsn_file))));
  // Persons stay sealed: no finding is about one.
  out->ports_ = TRY(log_ports(config.audit_directory, ledger, nullptr));
  out->log_ = log_name(config.audit_directory);
  if (!config.checks.config_file.empty()) {
    out->checks_ = TRY(compliance::load_check_config(config.checks.config_file));
  }
  return out;
}

NodeFindings::~NodeFindings() { stop(); }

void NodeFindings::start() {
  feeding_ = std::thread([this] { feed_forever(); });
  if (!checks_.regions.empty()) checking_ = std::thread([this] { check_forever(); });
}

void NodeFindings::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (feeding_.joinable()) feeding_.join();
  if (checking_.joinable()) checking_.join();
}

bool NodeFindings::wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !wake_.wait_for(lock, time, [this] { return stopping_; });
}

void NodeFindings::feed_forever() {
  std::string said;
  std::int64_t expired_s = 0;
  do {
    auto read = compliance::follow_findings(store_, ports_, log_, kRoundEvents);
    while (read && *read == kRoundEvents && wait(std::chrono::milliseconds(0))) {
      read = compliance::follow_findings(store_, ports_, log_, kRoundEvents);
    }
    Result<void> done = read ? Result<void>() : std::unexpected(read.error());
    if (done && clock_.unix_seconds() - expired_s >= kExpireEverySeconds) {
      expired_s = clock_.unix_seconds();
      if (const auto expired = store_.expire(); !expired) done = std::unexpected(expired.error());
    }
    const std::string problem = done ? std::string() : done.error().message;
    if (!problem.empty() && problem != said) log_warning("findings", problem);
    said = problem;
  } while (wait(said.empty() ? kPollMs : kPollMs * 10));
}

void NodeFindings::check_forever() {
  const auto mark = config_.state_directory / "checks.last";
  do {
    const auto every = config_.checks.every_ms.count() / 1000;
    if (clock_.unix_seconds() - last_run(mark) < every) continue;
    const auto ran = run_checks();
    if (!ran) log_error("checks", ran.error().message);
    const auto kept = write_file_atomic(mark, std::to_string(clock_.unix_seconds()), 0600);
    if (!kept) log_error("checks", kept.error().message);
  } while (wait(std::chrono::milliseconds(1'000)));
}

// What is about another region belongs into that region's log: its own node writes it there.
Result<void> NodeFindings::run_checks() {
  const auto report = TRY(compliance::run_checks(
      checks_, {.clock = &clock_, .registry = TRY(checked_registry(checks_))}));
  for (const auto& result : report.results) {
    if (result.region != config_.region.text()) continue;
    TRY(ledger_.record(compliance::finding_event(result, report.finished, config_.region)));
  }
  const auto sum = report.summary();
  log_info("checks", fmt::format("{} passed, {} failed, {} accepted, {} without evidence",
                                 sum.passed, sum.failed, sum.accepted, sum.errors + sum.not_run));
  return {};
}

}  // namespace domicile::app
