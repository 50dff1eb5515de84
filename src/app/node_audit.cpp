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
  if (log_server_ == nullptr) return {};
  return log_server_->start();
}

}  // namespace domicile::app
