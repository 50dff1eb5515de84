#include "app/node_audit.h"

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

}  // namespace

Result<std::unique_ptr<NodeAudit>> NodeAudit::open(const NodeConfig& config, const Clock& clock) {
  const AuditLogConfig& log = config.audit_log;
  std::unique_ptr<NodeAudit> out(new NodeAudit());
  out->vault_ =
      TRY(audit::PersonalVault::open({.key_directory = log.key_directory,
                                      .master_file = config.audit_personal.master_key_file,
                                      .clock = &clock}));
  out->ledger_ = TRY(audit::Ledger::open(
      {.directory = config.audit_directory,
       .region = config.region,
       .clock = &clock,
       .vault = out->vault_.get(),
       .origin = log.origin,
       .key_directory = log.key_directory,
       .checkpoint_ms = log.checkpoint_ms,
       .on_checkpoint = [audit = out.get()](const auto& note) { audit->offer(note); }}));
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

NodeAudit::~NodeAudit() {
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
  if (log_server_ == nullptr) return {};
  return log_server_->start();
}

}  // namespace domicile::app
