#include "app/node_audit.h"

#include "audit/log_reader.h"
#include "audit/log_retention.h"
#include "base/log.h"

namespace domicile::app {
namespace {

http::ListenerOptions listener_of(const AuditLogConfig& log) {
  http::ListenerOptions listener{.address = log.listen->host, .port = log.listen->port};
  listener.tls = !log.certificate.empty();
  listener.tls_files = {log.certificate.string(), log.key.string()};
  if (!log.client_ca.empty()) {
    listener.client_authorities.clients = runtime::ClientCertificates::required;
    listener.client_authorities.client_ca = log.client_ca.string();
    listener.client_authorities.client_crl = log.client_crl.string();
  }
  return listener;
}

// Whoever reads the log sees how long it is kept.
Result<void> publish_policy(const NodeConfig& config) {
  const unsigned days = config.audit_personal.retention_days;
  if (days == 0) return {};
  auto reader = TRY(audit::LogReader::open(config.audit_directory));
  return audit::publish_retention(config.audit_directory, days, TRY(reader.first()));
}

}  // namespace

audit::LogActsOptions acts_options(const NodeConfig& config) {
  const AuditLogConfig& log = config.audit_log;
  return {.directory = config.audit_directory,
          .key_directory = log.key_directory,
          .origin = log.origin.empty() ? "domicile/" + config.region.text() : log.origin,
          .retention_days = config.audit_personal.retention_days};
}

Result<std::unique_ptr<NodeAudit>> NodeAudit::open(const NodeConfig& config, const Clock& clock) {
  const AuditLogConfig& log = config.audit_log;
  std::unique_ptr<NodeAudit> out(new NodeAudit());
  out->clock_ = &clock;
  out->vault_ =
      TRY(audit::PersonalVault::open({.key_directory = log.key_directory,
                                      .master_file = config.audit_personal.master_key_file,
                                      .clock = &clock}));
  out->directory_ = config.audit_directory;
  out->ledger_ = TRY(audit::Ledger::open(
      {.directory = config.audit_directory,
       .region = config.region,
       .clock = &clock,
       .vault = out->vault_.get(),
       .origin = log.origin,
       .key_directory = log.key_directory,
       .checkpoint_ms = log.checkpoint_ms,
       .on_checkpoint = [audit = out.get()](const auto& note) { audit->offer(note); }}));
  out->acts_ =
      std::make_unique<audit::LogActs>(acts_options(config), *out->ledger_, *out->vault_, clock);
  out->note("log.start");
  TRY(publish_policy(config));
  auto witness = TRY(NodeWitness::create(config, *out->ledger_, clock));
  {
    const std::lock_guard lock(out->witness_mutex_);
    out->witness_ = std::move(witness);
  }
  if (log.listen) {
    out->log_server_ =
        TRY(audit::LogServer::create(listener_of(log), config.audit_directory, clock));
  }
  out->findings_ = TRY(NodeFindings::create(config, clock, *out->ledger_));
  out->detections_ = TRY(NodeDetections::create(config, clock, *out->ledger_, out->vault_.get()));
  return out;
}

// When the log was not written is seen from it: between a stop and the next start, or before a start
// without a stop. A log that cannot take this one tells of itself soon enough.
void NodeAudit::note(std::string_view operation) {
  domain::Event event;
  event.kind = domain::EventKind::log_changed;
  event.outcome = domain::Outcome::allowed;
  event.operation = operation;
  ledger_->submit(std::move(event), [](const Result<std::uint64_t>& recorded) {
    if (!recorded) log_error("audit", recorded.error().message);
  });
}

NodeAudit::~NodeAudit() {
  spool_.reset();  // no act is begun any more
  if (acts_ != nullptr) note("log.stop");
  std::unique_ptr<NodeWitness> leaving;
  {
    const std::lock_guard lock(witness_mutex_);
    leaving = std::move(witness_);
  }
  leaving.reset();  // before the ledger, into which it writes
}

void NodeAudit::offer(const std::string& checkpoint) {
  const std::lock_guard lock(witness_mutex_);
  if (witness_ != nullptr) witness_->offer(checkpoint);
}

Result<void> NodeAudit::start() {
  spool_ = std::make_unique<audit::ActSpool>(
      directory_,
      [this](const audit::LogAct& act, std::string_view by) { return acts_->perform(act, by); },
      [this] {
        if (const auto kept = vault_->housekeep(); !kept) log_error("audit", kept.error().message);
      });
  if (log_server_ != nullptr) TRY(log_server_->start());
  findings_->start();
  if (detections_ != nullptr) detections_->start();
  return {};
}

void NodeAudit::show(http::Metrics& metrics) const {
  using Kind = http::Metrics::Kind;
  using Stats = const audit::LedgerStats&;
  const auto show = [&](std::string_view name, std::string_view help, Kind kind,
                        double (*value)(Stats)) {
    metrics.read(name, help, kind, [this, value] { return value(ledger_->stats()); });
  };
  show("domicile_audit_records_total", "Records of the log that are durable.", Kind::counter,
       [](Stats s) { return static_cast<double>(s.last_sequence); });
  show("domicile_audit_batches_total", "Batches they were written in since the start.",
       Kind::counter, [](Stats s) { return static_cast<double>(s.batches); });
  show("domicile_audit_lost_total", "Events that could not be stored since the start.",
       Kind::counter, [](Stats s) { return static_cast<double>(s.failed + s.refused); });
  show("domicile_audit_queued", "Events that wait to be written.", Kind::gauge,
       [](Stats s) { return static_cast<double>(s.queued); });
  show("domicile_audit_writable", "1 while the last write to the log succeeded.", Kind::gauge,
       [](Stats s) { return s.last_error.empty() ? 1.0 : 0.0; });
  show("domicile_audit_published", "Records that the last checkpoint commits to.", Kind::gauge,
       [](Stats s) { return static_cast<double>(s.published); });
  metrics.read("domicile_audit_unpublished_seconds",
               "How long durable records have waited for a checkpoint.", Kind::gauge, [this] {
                 const auto since = ledger_->stats().unpublished_since;
                 if (since == WallTime{}) return 0.0;
                 return std::chrono::duration<double>(clock_->now() - since).count();
               });
  metrics.read("domicile_audit_disk_used_ratio", "Of the log's file system, 0 to 1.", Kind::gauge,
               [this] { return disk_used(directory_).value_or(0); });
  if (detections_ != nullptr) detections_->show(metrics);
}

}  // namespace domicile::app
