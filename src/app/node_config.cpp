#include "app/node_config.h"

#include <charconv>

#include <fmt/format.h>

#include "app/toml_reader.h"
#include "base/file.h"
#include "gateway/address_list.h"
#include "tlog/text.h"

namespace domicile::app {
namespace {

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  Endpoint endpoint{std::string(host), 0};
  const auto [end, error] = std::from_chars(port.begin(), port.end(), endpoint.port);
  if (error != std::errc{} || end != port.end() || host.empty()) return std::nullopt;
  return endpoint;
}

// "03:00" as minutes of the day.
std::optional<int> parse_time_of_day(std::string_view text) {
  int hour = 0, minute = 0;
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto [h, e1] = std::from_chars(text.begin(), text.begin() + 2, hour);
  const auto [m, e2] = std::from_chars(text.begin() + 3, text.end(), minute);
  const bool whole =
      e1 == std::errc{} && e2 == std::errc{} && h == text.begin() + 2 && m == text.end();
  if (!whole || hour < 0 || hour > 23 || minute < 0 || minute > 59) return std::nullopt;
  return hour * 60 + minute;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

class Loader {
 public:
  Loader(TomlReader& reader, const std::filesystem::path& folder)
      : reader_(reader), folder_(folder) {}

  NodeConfig load() {
    node();
    http();
    stores();
    doors();
    config_.audit_index = read_audit_index(reader_, folder_);
    config_.trails = read_trails(reader_, folder_);
    config_.rates = {
        .address = rate("address"), .client = rate("client"), .organization = rate("organization")};
    return std::move(config_);
  }

 private:
  std::filesystem::path path(std::string_view key, std::string_view remedy) {
    const std::string text = reader_.required_text(key, remedy);
    return text.empty() ? std::filesystem::path() : folder_ / text;
  }
  std::filesystem::path optional_path(std::string_view key) {
    const auto text = reader_.text(key);
    return text ? folder_ / *text : std::filesystem::path();
  }
  Endpoint endpoint(std::string_view key, std::string_view example) {
    const std::string text =
        reader_.required_text(key, fmt::format("write host:port, such as \"{}\"", example));
    const auto parsed = parse_endpoint(text);
    if (!text.empty() && !parsed) {
      reader_.error(key, fmt::format("is not host:port; write it as \"{}\"", example));
    }
    return parsed.value_or(Endpoint{});
  }
  unsigned number(std::string_view key, unsigned otherwise, std::int64_t most) {
    return static_cast<unsigned>(reader_.integer(key, 1, most).value_or(otherwise));
  }
  void duration(std::string_view key, std::chrono::milliseconds& out, std::int64_t least) {
    constexpr std::int64_t kHourMs = 3'600'000;
    if (const auto given = reader_.integer(key, least, kHourMs)) {
      out = std::chrono::milliseconds(*given);
    }
  }
  std::string base_url(std::string_view key, std::string_view remedy) {
    const std::string text = reader_.required_text(key, remedy);
    if (text.empty()) return text;
    const bool secure = text.starts_with("https://");
    const bool local = text.starts_with("http://127.0.0.1") || text.starts_with("http://localhost");
    if ((!secure && !local) || text.ends_with('/')) {
      reader_.error(key, "must be an https:// address without a slash at the end");
    }
    return text;
  }

  void node() {
    const std::string region =
        reader_.required_text("node.region", "name the region this node serves");
    if (!region.empty()) {
      const auto parsed = domain::parse_region_id(region);
      if (parsed)
        config_.region = *parsed;
      else
        reader_.error("node.region", parsed.error().message);
    }
    config_.state_directory =
        path("node.state_directory", "a folder that only this node writes to");
  }

  void http() {
    config_.listen = endpoint("http.listen", "127.0.0.1:8443");
    config_.certificate = optional_path("http.certificate");
    config_.key = optional_path("http.key");
    if (config_.certificate.empty() != config_.key.empty()) {
      reader_.error("http", "needs both certificate and key, or neither");
    }
    if (config_.certificate.empty() && !config_.listen.host.empty() &&
        !is_loopback(config_.listen.host)) {
      reader_.error("http.listen",
                    "is not a loopback address: give http.certificate and http.key for TLS");
    }
    client_certificates();
    config_.loops = number("http.loops", 0, 256);
    config_.worker_threads = number("http.worker_threads", 4, 256);
    config_.http2 = reader_.boolean("http.http2").value_or(true);
    duration("http.head_ms", config_.head_ms, 100);
    duration("http.body_idle_ms", config_.body_idle_ms, 100);
    duration("http.idle_ms", config_.idle_ms, 100);
    duration("http.drain_notice_ms", config_.drain_notice_ms, 0);
    duration("http.drain_ms", config_.drain_ms, 100);
  }

  void client_certificates() {
    using runtime::ClientCertificates;
    const std::string mode = reader_.text("http.client_certificates").value_or("off");
    config_.client_ca = optional_path("http.client_ca");
    config_.client_crl = optional_path("http.client_crl");
    if (mode == "optional") {
      config_.client_certificates = ClientCertificates::optional;
    } else if (mode == "required") {
      config_.client_certificates = ClientCertificates::required;
    } else if (mode != "off") {
      reader_.error("http.client_certificates", "must be \"off\", \"optional\" or \"required\"");
      return;
    }
    const bool off = config_.client_certificates == ClientCertificates::off;
    if (!off && config_.certificate.empty()) {
      reader_.error("http.client_certificates", "needs TLS: give http.certificate and http.key");
    }
    if (!off && config_.client_ca.empty()) {
      reader_.error("http.client_certificates", "needs http.client_ca: whose certificates count?");
    }
    if (off && !(config_.client_ca.empty() && config_.client_crl.empty())) {
      reader_.error("http.client_ca",
                    "has no effect: write http.client_certificates = \"optional\" or \"required\"");
    }
  }

  // Two kinds of authorities on one listener: OpenSSL looks at revocation for all of them or none.
  void peer_certificates() {
    config_.peer_certificate = optional_path("peers.certificate");
    config_.peer_key = optional_path("peers.key");
    config_.peer_client_ca = optional_path("peers.client_ca");
    config_.peer_client_crl = optional_path("peers.client_crl");
    if (config_.peer_certificate.empty() != config_.peer_key.empty()) {
      reader_.error("peers", "needs both certificate and key, or neither");
    }
    if (!config_.peer_client_ca.empty() && config_.certificate.empty()) {
      reader_.error("peers.client_ca", "needs TLS: give http.certificate and http.key");
    }
    if (config_.peer_client_ca.empty() && !config_.peer_client_crl.empty()) {
      reader_.error("peers.client_crl", "has no effect without peers.client_ca");
    }
    if (!config_.client_ca.empty() && !config_.peer_client_ca.empty() &&
        config_.client_crl.empty() != config_.peer_client_crl.empty()) {
      reader_.error("peers.client_crl",
                    "and http.client_crl: give both or neither (an empty list is one)");
    }
  }

  void stores() {
    config_.database_dsn_file =
        path("database.dsn_file", "a file (mode 0600) with the regional store's address");
    config_.database_connections = number("database.connections", 4, 64);
    const std::string source =
        reader_.required_text("registry.source", "write \"postgresql\" or \"peer\"");
    config_.peer_token_file =
        path("peers.token_file", "a file (mode 0600) with the token nodes share");
    config_.pepper_file = optional_path("peers.pepper_file");
    config_.peer_ca_file = optional_path("peers.ca_file");
    peer_certificates();
    if (source == "peer") {
      config_.registry_source = RegistrySource::peer;
      config_.registry_url = base_url("registry.url", "the master region's door, https://...");
    } else if (source == "postgresql") {
      config_.registry_dsn_file =
          path("registry.dsn_file", "a file (mode 0600) with the registry's address");
    } else if (!source.empty()) {
      reader_.error("registry.source", "must be \"postgresql\" (master region) or \"peer\"");
    }
    audit_log();
    witness();
    audit_personal();
    detections();
    reference();
  }

  void audit_personal() {
    config_.audit_personal.master_key_file = optional_path("audit.master_key_file");
    if (config_.audit_personal.master_key_file.empty()) {
      config_.audit_personal.master_key_file = config_.state_directory / "audit-master.key";
    }
    if (reader_.has("audit.retention_days")) {
      config_.audit_personal.retention_days = number("audit.retention_days", 0, 36'500);
    }
  }

  void detections() {
    config_.detections.enabled = reader_.boolean("detections.enabled").value_or(true);
    config_.detections.rules_directory = optional_path("detections.rules");
    config_.checks.config_file = optional_path("checks.config");
    duration("checks.every_ms", config_.checks.every_ms, 1'000);
    config_.alerts.receivers_file = optional_path("alerts.receivers");
    duration("alerts.hold_ms", config_.alerts.hold_ms, 1'000);
    duration("alerts.resend_ms", config_.alerts.resend_ms, 1'000);
    if (!config_.detections.enabled && !config_.alerts.receivers_file.empty()) {
      reader_.error("alerts.receivers", "hear of nothing while detections.enabled is false");
    }
  }

  void audit_log() {
    config_.audit_directory = path("audit.directory", "a folder for the region's events");
    AuditLogConfig& log = config_.audit_log;
    log.origin = reader_.text("audit.origin").value_or("");
    log.key_directory = optional_path("audit.key_directory");
    if (log.key_directory.empty()) log.key_directory = config_.state_directory / "audit-keys";
    duration("audit.checkpoint_ms", log.checkpoint_ms, 10);
    if (reader_.has("audit.listen")) log.listen = endpoint("audit.listen", "127.0.0.1:8600");
    log.certificate = optional_path("audit.certificate");
    log.key = optional_path("audit.key");
    log.client_ca = optional_path("audit.client_ca");
    log.client_crl = optional_path("audit.client_crl");
    if (log.certificate.empty() != log.key.empty()) {
      reader_.error("audit", "needs both certificate and key, or neither");
    }
    if (log.certificate.empty() && !log.client_ca.empty()) {
      reader_.error("audit.client_ca", "needs TLS: give audit.certificate and audit.key");
    }
    if (log.listen && !is_loopback(log.listen->host) && log.client_ca.empty()) {
      reader_.error(
          "audit.listen",
          "is not a loopback address: entries do not leave the region, so give "
          "audit.certificate, audit.key and audit.client_ca (whose certificates may read)");
    }
  }

  void witness() {
    WitnessConfig& witness = config_.witness;
    witness.policy_file = optional_path("audit.policy_file");
    witness.logs_file = optional_path("audit.witness_logs_file");
    witness.name = reader_.text("audit.witness_name").value_or("");
    witness.key_file = optional_path("audit.witness_key_file");
    if (witness.key_file.empty()) {
      witness.key_file = config_.audit_log.key_directory / "witness.pem";
    }
    witness.ca_file = optional_path("audit.witness_ca_file");
    if (witness.ca_file.empty()) witness.ca_file = config_.peer_ca_file;
    duration("audit.witness_absent_ms", witness.absent_ms, 100);
    if (!witness.name.empty() && !tlog::is_key_name(witness.name)) {
      reader_.error("audit.witness_name", "names a key: it may not hold a space or a '+'");
    }
  }

  // Reference data travels between nodes that have proved who they are; which side this node is, the registry says.
  void reference() {
    config_.reference_dsn_file = optional_path("reference.dsn_file");
    const std::string at = reader_.text("reference.compare_at").value_or("03:00");
    config_.compare_at_minute = parse_time_of_day(at);
    if (!config_.compare_at_minute && at != "off") {
      reader_.error("reference.compare_at",
                    "must be a time of the UTC day such as \"03:00\", or \"off\"");
    }
    duration("reference.lag_limit_ms", config_.reference_lag_limit_ms, 100);
    config_.reference_slot_limit_mib = reader_.integer("reference.slot_limit_mib", 1, 1 << 20)
                                           .value_or(config_.reference_slot_limit_mib);
    if (config_.reference_dsn_file.empty()) return;
    const bool master = config_.registry_source == RegistrySource::postgresql;
    if (master && config_.peer_client_ca.empty()) {
      reader_.error("reference.dsn_file",
                    "needs peers.client_ca: reference data is given over mutual TLS only");
    }
    if (!master && config_.peer_certificate.empty()) {
      reader_.error(
          "reference.dsn_file",
          "needs peers.certificate and peers.key: reference data is given over mutual TLS only");
    }
  }

  void doors() {
    config_.issuer_url = base_url("issuer.url", "the address that tokens name as their issuer");
    config_.issuer_key_file =
        path("issuer.key_file", "a file (mode 0600) with 32 random bytes in hex");
    config_.roles_file = optional_path("issuer.roles");
    config_.external_file = optional_path("issuer.external");
    config_.routes_file = path("gateway.routes", "the application's route file");
    upstreams();
    duration("gateway.connect_ms", config_.connect_ms, 10);
    duration("gateway.response_ms", config_.response_ms, 10);
    duration("gateway.response_idle_ms", config_.response_idle_ms, 10);
    duration("gateway.tunnel_idle_ms", config_.tunnel_idle_ms, 100);
    duration("gateway.total_ms", config_.total_ms, 0);
    config_.authorize_proxies = reader_.texts("gateway.authorize_proxies");
    const auto proxies = gateway::AddressList::parse(config_.authorize_proxies);
    if (!proxies) reader_.error("gateway.authorize_proxies", proxies.error().message);
    config_.authorize_token_file = optional_path("gateway.authorize_token_file");
    if (!config_.authorize_token_file.empty() && config_.authorize_proxies.empty()) {
      reader_.error("gateway.authorize_token_file", "needs gateway.authorize_proxies as well");
    }
  }

  void upstreams() {
    const std::vector<std::string> several = reader_.texts("gateway.upstreams");
    if (several.empty()) {
      config_.upstreams = {endpoint("gateway.upstream", "127.0.0.1:9000")};
      return;
    }
    if (reader_.has("gateway.upstream")) {
      (void)reader_.text("gateway.upstream");
      reader_.error("gateway.upstreams", "stands beside gateway.upstream: write one of them");
    }
    for (const std::string& text : several) {
      if (const auto parsed = parse_endpoint(text); parsed && parsed->port != 0) {
        config_.upstreams.push_back(*parsed);
      } else {
        reader_.error("gateway.upstreams", "holds what is not host:port; write \"127.0.0.1:9000\"");
      }
    }
  }

  gateway::Rate rate(std::string_view of) {
    constexpr std::int64_t kMost = 1'000'000;
    const std::string each = fmt::format("limits.{}_per_second", of);
    const std::string burst = fmt::format("limits.{}_burst", of);
    gateway::Rate out;
    out.per_second = static_cast<unsigned>(reader_.integer(each, 1, kMost).value_or(0));
    out.burst = static_cast<unsigned>(reader_.integer(burst, 1, kMost).value_or(0));
    if (out.per_second == 0 && out.burst != 0 && !reader_.has(each)) {
      reader_.error(burst, fmt::format("needs {} as well", each));
    }
    return out;
  }

  TomlReader& reader_;
  const std::filesystem::path& folder_;
  NodeConfig config_;
};

}  // namespace

std::string Endpoint::text() const {
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<NodeConfig> parse_node_config(std::string_view text, const std::string& name,
                                     const std::filesystem::path& folder) {
  TomlReader reader = TRY(TomlReader::parse(text, name));
  NodeConfig config = Loader(reader, folder).load();
  TRY(reader.finish());
  return config;
}

Result<NodeConfig> load_node_config(const std::filesystem::path& file) {
  const std::string text = TRY(read_file(file, 1u << 20));
  return parse_node_config(text, file.string(), file.parent_path());
}

}  // namespace domicile::app
