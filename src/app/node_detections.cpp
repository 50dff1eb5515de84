#include "app/node_detections.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/statvfs.h>

#include "app/receivers_file.h"
#include "app/rule_files.h"
#include "audit/log_reader.h"
#include "base/log.h"
#include "http/client.h"

namespace domicile::app {
namespace {

constexpr std::chrono::milliseconds kLookMs{5'000};

}  // namespace

std::optional<double> disk_used(const std::filesystem::path& folder) {
  struct statvfs facts{};
  if (::statvfs(folder.c_str(), &facts) != 0 || facts.f_blocks == 0) return std::nullopt;
  return 1.0 - static_cast<double>(facts.f_bavail) / static_cast<double>(facts.f_blocks);
}

Result<compliance::DetectionPorts> log_ports(const std::filesystem::path& directory,
                                             const audit::Ledger& ledger,
                                             const audit::PersonalVault* vault) {
  compliance::DetectionPorts ports;
  const auto reader = std::make_shared<audit::LogReader>(TRY(audit::LogReader::open(directory)));
  ports.first = [reader] { return reader->first(); };
  ports.read = [reader, vault, &ledger](
                   std::uint64_t from,
                   std::size_t count) -> Result<std::vector<compliance::WatchedEvent>> {
    std::vector<compliance::WatchedEvent> out;
    // What is written and not yet durable may be gone after a crash: its detection would not.
    const std::uint64_t last = ledger.stats().last_sequence;
    if (from > last) return out;
    count = static_cast<std::size_t>(std::min<std::uint64_t>(count, last - from + 1));
    for (auto& entry : TRY(reader->read(from, count))) {
      // A person whose key is erased stays a commitment, which rules can compare as well.
      if (vault != nullptr && !entry.sealed.empty()) {
        if (auto opened = vault->open_event(entry.line, entry.sealed)) {
          entry.line = std::move(opened->line);
        } else {
          log_warning("detections", fmt::format("record {} is looked at without its persons: {}",
                                                entry.sequence, opened.error().message));
        }
      }
      out.push_back({.sequence = entry.sequence, .json = std::move(entry.line)});
    }
    return out;
  };
  return ports;
}

Result<int> send_alert(const compliance::Receiver& receiver, const http::ClientRequest& request) {
  http::Client client(
      {.ca_file = receiver.ca_file,
       .connect_ms = std::chrono::milliseconds(3'000),
       .total_ms = std::chrono::milliseconds(5'000)});  // also how long a stop waits
  return TRY(client.send(request)).status;
}

Result<std::unique_ptr<NodeDetections>> NodeDetections::create(const NodeConfig& config,
                                                               const Clock& clock,
                                                               audit::Ledger& ledger,
                                                               const audit::PersonalVault* vault) {
  if (!config.detections.enabled) return nullptr;
  auto ports = TRY(log_ports(config.audit_directory, ledger, vault));
  ports.send = send_alert;
  ports.events = &ledger;
  ports.clock = &clock;
  compliance::DetectionOptions options;
  options.region = config.region;
  options.state_file = config.state_directory / "detections.json";
  options.start_after = ledger.stats().last_sequence;
  options.book.hold_ms = config.alerts.hold_ms;
  options.delivery.origin = {config.region.text(), config.issuer_url};
  options.delivery.resend_ms = config.alerts.resend_ms;
  if (!config.alerts.receivers_file.empty()) {
    options.delivery.receivers = TRY(load_receivers(config.alerts.receivers_file));
  }
  std::unique_ptr<NodeDetections> out(new NodeDetections(config, clock, ledger));
  out->service_ = TRY(compliance::DetectionService::create(
      TRY(load_rules(config.detections.rules_directory.string())), std::move(ports),
      std::move(options)));
  return out;
}

NodeDetections::~NodeDetections() { stop(); }

void NodeDetections::start() {
  service_->start();
  thread_ = std::thread([this] { look_forever(); });
}

void NodeDetections::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (service_ != nullptr) service_->stop();
}

void NodeDetections::look_forever() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    look();
    lock.lock();
    wake_.wait_for(lock, kLookMs, [this] { return stopping_; });
  }
}

// The log's own word first; where it takes none, the alert goes out without it.
void NodeDetections::look() {
  const auto stats = ledger_.stats();
  const compliance::LedgerSigns signs{.disk_used = disk_used(config_.audit_directory),
                                      .lost = stats.failed + stats.refused,
                                      .write_error = stats.last_error,
                                      .unpublished_since = stats.unpublished_since,
                                      .publish_error = stats.publish_error};
  for (const auto& sign : watch_.look(signs, clock_.now())) {
    log_warning("audit", sign.observed);
    const auto stored = ledger_.record(compliance::event_of(sign, config_.region, clock_.now()));
    if (!stored) service_->raise(sign.rule, sign.operation);
  }
}

void NodeDetections::show(http::Metrics& metrics) const {
  using Kind = http::Metrics::Kind;
  using Stats = const compliance::DetectionStats&;
  const auto show = [&](std::string_view name, std::string_view help, Kind kind,
                        double (*value)(Stats)) {
    metrics.read(name, help, kind, [this, value] { return value(service_->stats()); });
  };
  show("domicile_detections_position", "The last record of the log that the rules have looked at.",
       Kind::gauge, [](Stats s) { return static_cast<double>(s.position); });
  show("domicile_detections_events_total", "Records that the rules have looked at.", Kind::counter,
       [](Stats s) { return static_cast<double>(s.events); });
  show("domicile_detections_total", "What the rules have found.", Kind::counter,
       [](Stats s) { return static_cast<double>(s.detections); });
  show("domicile_detections_missed_total", "Records that were gone before the rules saw them.",
       Kind::counter, [](Stats s) { return static_cast<double>(s.missed + s.unreadable); });
  show("domicile_detections_groups_given_up_total",
       "Groups of correlations that were given up to keep memory bounded.", Kind::counter,
       [](Stats s) { return static_cast<double>(s.groups_given_up); });
  show("domicile_alerts_open", "Alerts that are open now.", Kind::gauge,
       [](Stats s) { return static_cast<double>(s.alerts_open); });
  show("domicile_alerts_folded_total", "Detections that went into an alert for further ones.",
       Kind::counter, [](Stats s) { return static_cast<double>(s.alerts_folded); });
  const auto of_receivers = [&](std::string_view name, std::string_view help, Kind kind,
                                double (*value)(const compliance::ReceiverStats&)) {
    const auto receivers = service_->stats().receivers;
    for (std::size_t i = 0; i < receivers.size(); ++i) {
      metrics.read(
          name, help, kind, [this, value, i] { return value(service_->stats().receivers[i]); },
          fmt::format("receiver=\"{}\"", receivers[i].name));
    }
  };
  using Receiver = const compliance::ReceiverStats&;
  of_receivers("domicile_alert_messages_waiting", "Messages that a receiver is still to get.",
               Kind::gauge, [](Receiver r) { return static_cast<double>(r.waiting); });
  of_receivers("domicile_alert_messages_delivered_total", "Messages that a receiver took.",
               Kind::counter, [](Receiver r) { return static_cast<double>(r.delivered); });
  of_receivers("domicile_alert_messages_failed_total", "Attempts that failed.", Kind::counter,
               [](Receiver r) { return static_cast<double>(r.failed); });
  of_receivers("domicile_alert_messages_dead_total", "Messages that nobody took.", Kind::counter,
               [](Receiver r) { return static_cast<double>(r.dead); });
}

}  // namespace domicile::app
