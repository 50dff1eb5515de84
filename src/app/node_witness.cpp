#include "app/node_witness.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"

namespace domicile::app {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::chrono::milliseconds kCallMs{5'000};

// A name of the policy file as a label's value.
std::string label_of(const std::string& name) {
  std::string out;
  for (const char c : name) out += c == '"' || c == '\\' ? '_' : c;
  return fmt::format("witness=\"{}\"", out);
}

Result<tlog::Cosigner> cosigner_of(const std::filesystem::path& key_file, const std::string& name,
                                   crypto::SigningKey key) {
  auto cosigner = tlog::Cosigner::create(name, std::move(key));
  if (!cosigner) return std::unexpected(std::move(cosigner).error().within(key_file.string()));
  return cosigner;
}

Result<std::unique_ptr<audit::Witnesses>> make_witnesses(const NodeConfig& config,
                                                         audit::Ledger& ledger,
                                                         const Clock& clock) {
  const auto& file = config.witness.policy_file;
  auto policy = tlog::Policy::parse(TRY(read_file(file, kFileBytesMax)));
  if (!policy) return std::unexpected(std::move(policy).error().within(file.string()));
  const bool asks_somebody = std::ranges::any_of(
      policy->witnesses(), [](const auto& witness) { return !witness.url.empty(); });
  if (!asks_somebody) {
    return fail(
        Code::invalid,
        fmt::format("{}: no witness has a URL, so nobody would be asked; write it behind the "
                    "witness's key",
                    file.string()));
  }
  audit::WitnessesOptions options{.policy = std::move(*policy),
                                  .log = config.audit_directory,
                                  .region = config.region,
                                  .absent_ms = config.witness.absent_ms};
  options.client = {.ca_file = config.witness.ca_file,
                    .certificate_file = config.peer_certificate,
                    .key_file = config.peer_key,
                    .total_ms = kCallMs};
  return std::make_unique<audit::Witnesses>(
      std::move(options), ledger, clock, [&ledger](std::uint64_t size, const std::string& note) {
        const auto published = ledger.publish_witnessed(size, note);
        if (!published) log_error("witness", published.error().message);
      });
}

Result<std::unique_ptr<audit::WitnessService>> make_service(const NodeConfig& config,
                                                            audit::Ledger& ledger,
                                                            const Clock& clock) {
  const auto& file = config.witness.logs_file;
  auto logs = tlog::parse_key_list(TRY(read_file(file, kFileBytesMax)));
  if (!logs) return std::unexpected(std::move(logs).error().within(file.string()));
  const std::string name = config.witness.name.empty()
                               ? fmt::format("domicile/{}/witness", config.region.text())
                               : config.witness.name;
  auto service = audit::WitnessService::create(
      {config.state_directory / "witness", std::move(*logs), config.region},
      TRY(load_or_make_cosigner(config.witness.key_file, name)), ledger, clock);
  if (!service) return std::unexpected(std::move(service).error().within(file.string()));
  return service;
}

}  // namespace

Result<tlog::Cosigner> load_cosigner(const std::filesystem::path& key_file,
                                     const std::string& name) {
  auto key =
      crypto::SigningKey::from_pem(crypto::Algorithm::eddsa, TRY(read_secret_file(key_file)));
  if (!key) return std::unexpected(std::move(key).error().within(key_file.string()));
  return cosigner_of(key_file, name, std::move(*key));
}

Result<tlog::Cosigner> load_or_make_cosigner(const std::filesystem::path& key_file,
                                             const std::string& name) {
  if (std::filesystem::exists(key_file)) return load_cosigner(key_file, name);
  auto key = TRY(crypto::SigningKey::generate(crypto::Algorithm::eddsa));
  const Secret pem = key.to_pem();
  auto cosigner = TRY(cosigner_of(key_file, name, std::move(key)));
  std::error_code error;
  std::filesystem::create_directories(key_file.parent_path(), error);
  TRY(write_file_atomic(key_file, pem.reveal(), 0600));
  TRY(write_file_atomic(key_file.string() + ".verifier-key", cosigner.verifier_key() + "\n"));
  log_info("witness", fmt::format("made this witness's key: {}", cosigner.verifier_key()));
  return cosigner;
}

Result<std::unique_ptr<NodeWitness>> NodeWitness::create(const NodeConfig& config,
                                                         audit::Ledger& ledger,
                                                         const Clock& clock) {
  std::unique_ptr<NodeWitness> out(new NodeWitness());
  if (!config.witness.logs_file.empty()) {
    out->service_ = TRY(make_service(config, ledger, clock));
  }
  if (!config.witness.policy_file.empty()) {
    out->witnesses_ = TRY(make_witnesses(config, ledger, clock));
    const auto last = read_file(config.audit_directory / "checkpoint", tlog::kNoteBytesMax);
    if (last) out->offer(*last);
  }
  return out;
}

void NodeWitness::offer(const std::string& checkpoint) {
  if (witnesses_ != nullptr) witnesses_->offer(checkpoint);
}

std::optional<http::Handler> NodeWitness::handler() {
  if (service_ == nullptr) return std::nullopt;
  return
      [service = service_.get()](const http::Request& request) { return service->handle(request); };
}

void NodeWitness::show(http::Metrics& metrics) const {
  if (witnesses_ == nullptr) return;
  using Kind = http::Metrics::Kind;
  const auto* witnesses = witnesses_.get();
  metrics.read("domicile_witness_quorum_missing",
               "1 while too few witnesses cosign this node's log.", Kind::gauge,
               [witnesses] { return witnesses->quorum_missing() ? 1.0 : 0.0; });
  metrics.read("domicile_witnessed_entries",
               "Entries of this node's log that its witnesses vouch for.", Kind::gauge,
               [witnesses] { return static_cast<double>(witnesses->witnessed()); });
  const auto now = witnesses->status();
  for (std::size_t i = 0; i < now.size(); ++i) {
    metrics.read(
        "domicile_witness_present", "1 while the witness cosigns this node's log.", Kind::gauge,
        [witnesses, i] {
          return witnesses->status()[i].state == audit::WitnessState::present ? 1.0 : 0.0;
        },
        label_of(now[i].name));
  }
}

}  // namespace domicile::app
