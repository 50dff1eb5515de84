// A node's configuration: one TOML file, validated whole before anything starts. Every error of the
// file is reported at once with its line and the remedy; unknown keys are errors. Secrets are named
// by file (mode 0600), never written in it. Paths are relative to the file's folder.
//
//   [node]
//     region = "ca-central-1"
//     state_directory = "state"         # snapshot and marks: survives restarts
//   [http]
//     listen = "127.0.0.1:8443"
//     certificate = "door.pem"          # both absent: plain HTTP, on loopback only
//     key = "door.key"
//     client_certificates = "off"       # of clients: "off", "optional" or "required",
//     client_ca = "clients.pem"         # by these authorities
//     client_crl = "clients.crl"        # and on none of these revocation lists; optional
//     loops = 2                         # event loops, one thread each; absent: one per core
//     worker_threads = 4
//     http2 = true                      # false: HTTP/1.1 alone
//     head_ms = 10000                   # deadlines of a client: its request's head,
//     body_idle_ms = 30000              # no byte of the body,
//     idle_ms = 75000                   # no next request
//     drain_notice_ms = 0               # SIGTERM: /readyz says no this long before the door closes
//     drain_ms = 20000                  # and then what is under way has this long
//   [database]
//     dsn_file = "node.dsn"             # the regional store, as a member of domicile_node
//     connections = 4
//   [registry]
//     source = "postgresql"             # the master region; elsewhere "peer"
//     dsn_file = "registry.dsn"         # postgresql
//     url = "https://ca.example.com"    # peer: the master region's door
//   [peers]
//     token_file = "peer.token"         # nodes prove themselves to each other with it
//     ca_file = "ca.pem"                # authorities for the other regions' doors; absent: the system's
//     certificate = "peer.pem"          # and with a certificate that says which region they are; optional
//     key = "peer.key"
//     client_ca = "peers.pem"           # whose certificates the registry's feed demands; absent: none
//     client_crl = "peers.crl"          # optional
//     pepper_file = "pepper"            # for verified domains, the same everywhere; optional
//   [issuer]
//     url = "https://ca.example.com"    # what tokens name as their issuer: this region's door
//     key_file = "issuer.key"           # 32 bytes in hex: seals the signing keys at rest
//     roles = "roles.toml"              # optional
//     external = "external-issuers.toml"   # identity providers whose tokens are exchanged; optional
//   [gateway]
//     routes = "routes.toml"
//     upstream = "127.0.0.1:9000"       # the application; or several that share the work:
//     upstreams = ["10.1.0.5:9000", "10.1.0.6:9000"]
//     connect_ms = 3000                 # deadlines of the application: its connection,
//     response_ms = 60000               # the first byte of its answer,
//     response_idle_ms = 60000          # the next bytes,
//     tunnel_idle_ms = 600000           # a WebSocket without a byte,
//     total_ms = 0                      # a request from head to end; 0: as long as bytes flow
//     authorize_proxies = ["10.2.0.0/16"]        # other proxies that may ask /authorize; absent: nobody
//     authorize_token_file = "authorize.token"   # optional: and only with this in Domicile-Proxy-Token
//   [limits]                            # each absent: none; burst absent: what a second gives
//     organization_per_second = 500     # an organization's requests, over all loops of this node
//     organization_burst = 1000
//     client_per_second = 50            # a user's or service's
//     address_per_second = 100          # from one address (IPv6: one /64), with or without a token
//   [audit]
//     directory = "audit"
//     origin = "ca.example.com/audit"   # the log's name in its checkpoints, for ever; absent: domicile/<region>
//     key_directory = "audit-keys"      # what signs them; absent: audit-keys in the state directory
//     checkpoint_ms = 1000              # how often, while events come
//     listen = "127.0.0.1:8600"         # the log over HTTP, read-only; absent: nowhere. Off loopback with
//     certificate = "log.pem"           # TLS, and only for who shows
//     key = "log.key"
//     client_ca = "auditors.pem"        # a certificate of these authorities
//     client_crl = "auditors.crl"       # that is on none of these lists; optional
//     policy_file = "witnesses.policy"  # who witnesses this log (c2sp.org/tlog-policy); absent: nobody
//     witness_ca_file = "ca.pem"        # authorities for their doors; absent: the peers'
//     witness_absent_ms = 60000         # away for so long, a witness or the quorum is an event
//     witness_logs_file = "logs.keys"   # whose logs this node witnesses: verifier keys, one a line; absent: none
//     witness_name = "ca.example.com/witness"   # absent: domicile/<region>/witness
//     witness_key_file = "witness.pem"  # absent: witness.pem in the key directory; made where it is not there
//     retention_days = 2555             # older entries may be removed (domicile audit retention apply);
//                                       # absent: everything is kept
//     master_key_file = "state/audit-master.key"   # made at the first start; without it no sealed
//                                       # person can be read again: keep a copy apart from the log's
//   [audit_index]                       # audit_index_config.h
//   [trails]                            # trails_config.h
//   [detections]
//     enabled = true
//     rules = "rules"                   # a folder of Sigma rules beside the built-in ones; optional
//   [checks]
//     config = "checks.toml"            # what `domicile check` reads; absent: this node runs no checks
//     every_ms = 86400000               # how often
//   [alerts]
//     receivers = "receivers.toml"      # who is told (receivers_file.h); absent: nobody
//     hold_ms = 900000                  # an alert stays open this long after its last detection
//     resend_ms = 60000                 # how often Alertmanager is told of what is open
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/audit_index_config.h"
#include "app/trails_config.h"
#include "base/result.h"
#include "domain/names.h"
#include "gateway/request_limits.h"
#include "runtime/client_certificate.h"

namespace domicile::app {

struct Endpoint {
  std::string host;
  std::uint16_t port = 0;

  std::string text() const;  // "127.0.0.1:80", "[::1]:80"
};

enum class RegistrySource { postgresql, peer };

// Who witnesses this node's log, and whose logs it witnesses.
struct WitnessConfig {
  std::filesystem::path policy_file;  // empty: nobody is asked
  std::filesystem::path logs_file;    // empty: it witnesses no log
  std::string name;                   // empty: domicile/<region>/witness
  std::filesystem::path key_file;     // never empty once read; made where absent
  std::filesystem::path ca_file;      // empty: the peers', or the system's
  std::chrono::milliseconds absent_ms{60'000};
};

// How the node's log is signed, and where it is served.
struct AuditLogConfig {
  std::string origin;                   // empty: domicile/<region>
  std::filesystem::path key_directory;  // never empty once read
  std::chrono::milliseconds checkpoint_ms{1'000};
  std::optional<Endpoint> listen;  // nullopt: not served
  std::filesystem::path certificate;
  std::filesystem::path key;
  std::filesystem::path client_ca;
  std::filesystem::path client_crl;  // empty: revocation is not looked at
};

struct AuditPersonalConfig {
  std::filesystem::path master_key_file;  // wraps the keys under which persons are sealed
  unsigned retention_days = 0;            // 0: everything is kept
};

struct DetectionConfig {
  bool enabled = true;
  std::filesystem::path rules_directory;  // empty: the built-in rules alone
};

struct ScheduledChecks {
  std::filesystem::path config_file;  // empty: none
  std::chrono::milliseconds every_ms{86'400'000};
};

struct AlertConfig {
  std::filesystem::path receivers_file;  // empty: nobody is told
  std::chrono::milliseconds hold_ms{900'000};
  std::chrono::milliseconds resend_ms{60'000};
};

struct NodeConfig {
  using Path = std::filesystem::path;
  using Milliseconds = std::chrono::milliseconds;

  domain::RegionId region;
  Path state_directory;

  Endpoint listen;
  Path certificate;  // empty: plain HTTP, allowed on loopback only
  Path key;
  runtime::ClientCertificates client_certificates = runtime::ClientCertificates::off;
  Path client_ca;
  Path client_crl;     // empty: revocation is not looked at
  unsigned loops = 0;  // 0: one per core
  unsigned worker_threads = 4;
  bool http2 = true;
  Milliseconds head_ms{10'000};
  Milliseconds body_idle_ms{30'000};
  Milliseconds idle_ms{75'000};
  Milliseconds drain_notice_ms{0};
  Milliseconds drain_ms{20'000};

  Path database_dsn_file;
  unsigned database_connections = 4;

  RegistrySource registry_source = RegistrySource::postgresql;
  Path registry_dsn_file;
  std::string registry_url;
  Path peer_token_file;
  Path pepper_file;       // empty: nobody signs in by e-mail domain
  Path peer_ca_file;      // empty: the system's authorities
  Path peer_certificate;  // this node's, for its peers; empty: none is shown
  Path peer_key;
  Path peer_client_ca;   // empty: peers need no certificate
  Path peer_client_crl;  // empty: revocation is not looked at

  std::string issuer_url;
  Path issuer_key_file;
  Path roles_file;     // empty: built-in roles
  Path external_file;  // empty: no identity provider

  Path routes_file;
  std::vector<Endpoint> upstreams;  // at least one
  Milliseconds connect_ms{3'000};
  Milliseconds response_ms{60'000};
  Milliseconds response_idle_ms{60'000};
  Milliseconds tunnel_idle_ms{600'000};
  Milliseconds total_ms{0};  // 0: any
  std::vector<std::string> authorize_proxies;
  Path authorize_token_file;  // empty: the address is enough

  gateway::RateOptions rates;

  Path reference_dsn_file;  // empty: this node takes no part in the reference sync
  std::optional<int>
      compare_at_minute;  // of the UTC day; nullopt: never. Elsewhere than in the master region

  Milliseconds reference_lag_limit_ms{60'000};
  std::int64_t reference_slot_limit_mib = 1'024;

  Path audit_directory;
  AuditPersonalConfig audit_personal;
  AuditLogConfig audit_log;
  WitnessConfig witness;
  AuditIndexConfig audit_index;
  TrailsConfig trails;
  DetectionConfig detections;
  ScheduledChecks checks;
  AlertConfig alerts;
};

// `folder` resolves relative paths; `name` stands in front of every error.
Result<NodeConfig> parse_node_config(std::string_view text, const std::string& name,
                                     const std::filesystem::path& folder);
Result<NodeConfig> load_node_config(const std::filesystem::path& file);

}  // namespace domicile::app
