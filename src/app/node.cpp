#include "app/node.h"

#include <algorithm>

#include <fmt/format.h>

#include "app/external_issuers.h"
#include "app/node_audit.h"
#include "app/node_audit_index.h"
#include "app/node_compare.h"
#include "app/node_files.h"
#include "app/node_handlers.h"
#include "app/node_metrics.h"
#include "app/node_trails.h"
#include "app/peer_certificates.h"
#include "app/roles_file.h"
#include "base/encoding.h"
#include "base/file.h"
#include "base/log.h"
#include "crypto/hmac.h"
#include "gateway/http_gateway.h"
#include "issuer/issuer.h"
#include "issuer/remote_keys.h"
#include "reference/applier.h"
#include "reference/compare_http.h"
#include "reference/publisher.h"
#include "registry/feed_handler.h"
#include "registry/follower.h"
#include "registry/home_keeper.h"
#include "registry/pg_home_store.h"
#include "registry/postgresql_store.h"
#include "registry/region_watch.h"
#include "runtime/cores.h"
#include "store/directory_pg.h"
#include "store/registry_domain_hash.h"

namespace domicile::app {
namespace {

// What the files hold, read before anything starts.
struct Secrets {
  Secret database_dsn;
  Secret registry_dsn;  // master region only
  Secret peer_token;
  Secret pepper;           // may be empty
  Secret issuer_key;       // 32 bytes
  Secret authorize_token;  // may be empty
  Secret reference_dsn;    // may be empty
};

Result<Secrets> read_secrets(const NodeConfig& config) {
  Secrets secrets;
  secrets.database_dsn = TRY(read_secret_file(config.database_dsn_file));
  if (config.registry_source == RegistrySource::postgresql) {
    secrets.registry_dsn = TRY(read_secret_file(config.registry_dsn_file));
  }
  secrets.peer_token = TRY(read_secret_file(config.peer_token_file));
  if (secrets.peer_token.reveal().size() < 32) {
    return fail(Code::invalid, fmt::format("{}: a peer token has at least 32 characters",
                                           config.peer_token_file.string()));
  }
  if (!config.pepper_file.empty()) secrets.pepper = TRY(read_secret_file(config.pepper_file));
  if (!config.reference_dsn_file.empty()) {
    secrets.reference_dsn = TRY(read_secret_file(config.reference_dsn_file));
  }
  secrets.authorize_token = TRY(load_authorize_token(config));
  const Secret key = TRY(read_secret_file(config.issuer_key_file));
  auto bytes = from_hex(key.reveal());
  if (!bytes || bytes->size() != 32) {
    return fail(Code::invalid,
                fmt::format("{}: must hold 32 bytes as 64 lower-case hex digits; make one with: "
                            "openssl rand -hex 32",
                            config.issuer_key_file.string()));
  }
  secrets.issuer_key = Secret(std::move(*bytes));
  return secrets;
}

std::function<Result<token::ContextSigner>()> signer_maker(const store::ContextKey& key) {
  return [key] {
    return token::ContextSigner::create({.kid = key.kid, .key = key.key}, key.database_id);
  };
}

// Regions whose pulls of reference data may wait at the same time, without a worker less for others.
constexpr unsigned kWaitingRegions = 8;

issuer::DomainHasher domain_hasher(const Secret& pepper) {
  if (pepper.empty()) return {};
  return [pepper](std::string_view domain) -> std::optional<domain::DomainHash> {
    const auto hash = store::registry_domain_hash(pepper, domain);
    return hash ? std::optional(*hash) : std::nullopt;
  };
}

}  // namespace

// In the order of construction; destroyed in reverse, so that nobody outlives what it stands on.
struct Node::Parts {
  NodeConfig config;
  const Clock& clock;
  std::unique_ptr<NodeAudit> audit;
  std::unique_ptr<logindex::Follower> index;  // with [audit_index]
  std::unique_ptr<NodeTrails> trails;
  std::unique_ptr<registry::RegionWatch> watch;
  std::unique_ptr<registry::PgHomeStore> home_store;
  std::unique_ptr<store::PgDirectory> directory;
  std::unique_ptr<registry::RegistryStore> registry_store;  // master region only
  std::unique_ptr<registry::RegistrySource> source;
  std::unique_ptr<registry::Follower> follower;
  std::unique_ptr<registry::HomeKeeper> keeper;
  std::unique_ptr<reference::Publisher> publisher;           // master region, with [reference]
  std::unique_ptr<reference::Applier> applier;               // elsewhere, with [reference]
  std::unique_ptr<reference::CompareService> comparisons;    // master region, with [reference]
  std::unique_ptr<reference::CompareWorker> compare_worker;  // elsewhere, with [reference]
  std::unique_ptr<issuer::Issuer> issuer;
  std::unique_ptr<gateway::HttpGateway> door;
  std::unique_ptr<issuer::RemoteKeys> peer_keys;
  std::unique_ptr<issuer::RemoteKeys> external_keys;  // of identity providers; null without

  Parts(NodeConfig c, const Clock& k) : config(std::move(c)), clock(k) {}

  Result<void> open_database(const Secrets& secrets) {
    watch = TRY(registry::RegionWatch::create(
        {.dsn = secrets.database_dsn, .region = config.region, .directory = config.state_directory},
        clock));
    home_store = std::make_unique<registry::PgHomeStore>(
        registry::PgHomeStore::Options{.dsn = secrets.database_dsn}, clock);
    directory = std::make_unique<store::PgDirectory>(
        store::PgDirectory::Options{.dsn = std::string(secrets.database_dsn.reveal()),
                                    .connections = config.database_connections});
    return {};
  }

  void open_registry(const Secrets& secrets) {
    if (config.registry_source == RegistrySource::postgresql) {
      registry_store = std::make_unique<registry::PostgresqlStore>(
          registry::PostgresqlStore::Options{.dsn = secrets.registry_dsn, .connections = 4});
      source = std::make_unique<registry::StoreSource>(*registry_store);
    } else {
      source = std::make_unique<registry::PeerSource>(
          registry::PeerSource::Options{.url = config.registry_url,
                                        .peer_token = secrets.peer_token,
                                        .ca_file = config.peer_ca_file,
                                        .region = config.region.text(),
                                        .certificate_file = config.peer_certificate,
                                        .key_file = config.peer_key});
    }
    follower = std::make_unique<registry::Follower>(
        *source, clock, registry::Follower::Options{.directory = config.state_directory});
    keeper = std::make_unique<registry::HomeKeeper>(
        registry::HomeKeeperOptions{.region = config.region}, *home_store, audit->ledger(), clock);
  }

  void make_reference(const Secrets& secrets) {
    if (secrets.reference_dsn.empty()) return;
    if (config.registry_source == RegistrySource::postgresql) {
      publisher = std::make_unique<reference::Publisher>(
          reference::PublisherOptions{.dsn = secrets.reference_dsn,
                                      .region = config.region,
                                      .gate = peer_gate(secrets),
                                      .slot_limit_bytes = config.reference_slot_limit_mib << 20},
          audit->ledger(), clock);
      comparisons = make_compare_service(config, secrets.reference_dsn);
      return;
    }
    compare_worker = make_compare_worker(config, secrets.reference_dsn, secrets.peer_token,
                                         audit->ledger(), clock);
    applier = std::make_unique<reference::Applier>(
        reference::ApplierOptions{.dsn = secrets.reference_dsn,
                                  .region = config.region,
                                  .peer = {.url = config.registry_url,
                                           .token = secrets.peer_token,
                                           .region = config.region,
                                           .ca_file = config.peer_ca_file,
                                           .certificate_file = config.peer_certificate,
                                           .key_file = config.peer_key},
                                  .lag_limit = config.reference_lag_limit_ms},
        audit->ledger(), clock);
  }

  Result<void> make_issuer(const Secrets& secrets) {
    const std::string_view shared =
        secrets.pepper.empty() ? secrets.peer_token.reveal() : secrets.pepper.reveal();
    crypto::HmacSha256 derive{Secret(std::string(shared))};
    crypto::HmacSha256 derive_form{secrets.issuer_key};
    issuer = TRY(issuer::Issuer::create(
        {.region = config.region,
         .url = config.issuer_url,
         .locator_key = Secret(std::string(crypto::view(derive.mac("domicile locator")))),
         .form_key = Secret(std::string(crypto::view(derive_form.mac("domicile sign-in form"))))},
        {.directory = *directory,
         .sign_ins = *directory,
         .events = audit->ledger(),
         .clock = clock,
         .snapshot = [this] { return follower->current(); },
         .hash_domain = domain_hasher(secrets.pepper)},
        TRY(load_roles_file(config.roles_file)), TRY(load_external_issuers(config.external_file)),
        TRY(crypto::SealingKey::create(secrets.issuer_key))));
    return {};
  }

  Result<gateway::HttpGatewayOptions> door_options(const Secrets& secrets) const {
    gateway::HttpGatewayOptions options;
    options.listener.address = config.listen.host == "localhost" ? "127.0.0.1" : config.listen.host;
    options.listener.port = config.listen.port;
    options.listener.loops = config.loops != 0 ? config.loops : runtime::available_cores();
    options.listener.tls = !config.certificate.empty();
    options.listener.tls_files = {config.certificate.string(), config.key.string()};
    options.listener.client_authorities = {
        config.client_certificates, config.client_ca.string(), config.client_crl.string(),
        config.peer_client_ca.string(), config.peer_client_crl.string()};
    options.region = config.region;
    for (const Endpoint& upstream : config.upstreams) {
      options.upstreams.emplace_back("app", "http://" + upstream.text());
    }
    options.rates = config.rates;
    // A region that follows holds one of them most of the time.
    options.workers = config.worker_threads + (publisher != nullptr ? kWaitingRegions : 0);
    options.limits.http2.offered = config.http2;
    options.limits.head_ms = config.head_ms;
    options.limits.body_idle_ms = config.body_idle_ms;
    options.limits.idle_ms = config.idle_ms;
    options.connect_ms = config.connect_ms;
    options.upstream_response_ms = config.response_ms;
    options.upstream_idle_ms = config.response_idle_ms;
    options.tunnel_idle_ms = config.tunnel_idle_ms;
    options.total_ms = config.total_ms;
    options.authorize_proxies = TRY(gateway::AddressList::parse(config.authorize_proxies));
    options.authorize_token = secrets.authorize_token;
    return options;
  }

  // For what only the nodes of other regions may ask.
  http::PeerGate peer_gate(const Secrets& secrets) {
    return {.token = secrets.peer_token,
            .certificates = !config.peer_client_ca.empty(),
            .knows_region = [this](std::string_view region) -> std::optional<bool> {
              const auto snapshot = follower->current();
              if (snapshot->revision() == 0) return std::nullopt;
              return std::ranges::any_of(snapshot->regions(), [&](const auto& known) {
                return known.id.view() == region;
              });
            },
            .on_refused = note_refused_peer(audit->ledger(), clock, config.region)};
  }

  std::vector<std::pair<std::string, http::Handler>> handlers(const Secrets& secrets) {
    const http::Handler issuing = [this](const http::Request& request) {
      return issuer->handle(request);
    };
    std::vector<std::pair<std::string, http::Handler>> out = {
        {"/.well-known/", issuing},
        {"/oauth2/", issuing},
        {"/v1/discovery", issuing},
        {"/v1/organizations/", organization_handler(*follower, *keeper, secrets.peer_token)},
    };
    if (registry_store != nullptr) {
      out.emplace_back(
          "/v1/registry/changes",
          registry::feed_handler(
              *registry_store,
              {.gate = peer_gate(secrets),
               .wait_past = [this](std::uint64_t revision, std::chrono::milliseconds at_most) {
                 return follower->wait_past(revision, at_most);
               }}));
    }
    if (auto witnessing = audit->witness().handler()) {
      out.emplace_back(audit::kAddCheckpointPath, std::move(*witnessing));
    }
    if (publisher != nullptr) {
      out.emplace_back("/v1/reference/",
                       [this](const http::Request& request) { return publisher->handle(request); });
      out.emplace_back(reference::kComparePrefix,
                       reference::compare_handler(*comparisons, peer_gate(secrets)));
    }
    return out;
  }

  Result<void> make_door(const Secrets& secrets) {
    door = TRY(gateway::HttpGateway::create(
        TRY(door_options(secrets)),
        {.clock = clock,
         .events = audit->ledger(),
         .policy = TRY(load_routes(config)).policy,
         .snapshot = follower->current(),
         .make_verifier = [] { return token::TokenVerifier({}, {}); },
         .make_signer = signer_maker(watch->first_key()),
         .handlers = handlers(secrets),
         .readiness = {{"database", [this] { return watch->healthy(); }},
                       {"organizations", [this] { return keeper->settled(); }},
                       {"issuer",
                        [this]() -> Result<void> {
                          if (issuer->ready()) return {};
                          return fail(Code::unavailable, "no signing keys yet");
                        }}},
         .on_unknown_key =
             [this](std::string_view name) {
               if (peer_keys != nullptr) peer_keys->unknown_key(name);
             }}));
    audit->show(door->metrics());
    if (applier != nullptr) show_reference(door->metrics(), *applier);
    audit->witness().show(door->metrics());
    return {};
  }

  std::vector<issuer::KeySource> other_issuers() const {
    std::vector<issuer::KeySource> out;
    for (const domain::Region& region : follower->current()->regions()) {
      if (region.id != config.region)
        out.push_back({region.url, region.url + "/.well-known/jwks.json"});
    }
    return out;
  }

  void connect() {
    issuer->on_keys([this](std::shared_ptr<const token::KeySet> keys) {
      door->trust_issuer({config.issuer_url, config.region, std::move(keys)});
    });
    issuer->on_revocations([this](issuer::RevocationList::Set revoked) {
      door->update_revocations(std::move(revoked));
    });
    const issuer::RemoteKeysOptions fetching{.client = {.ca_file = config.peer_ca_file}};
    peer_keys = std::make_unique<issuer::RemoteKeys>(
        fetching, clock, [this] { return other_issuers(); },
        [this](const std::string& name, std::shared_ptr<const token::KeySet> keys) {
          for (const domain::Region& region : follower->current()->regions()) {
            if (keys != nullptr && region.url == name)
              return door->trust_issuer({name, region.id, std::move(keys)});
          }
          door->distrust_issuer(name);
        });
    if (const auto providers = issuer->external().sources(); !providers.empty()) {
      external_keys = std::make_unique<issuer::RemoteKeys>(
          issuer::RemoteKeysOptions{}, clock, [providers] { return providers; },
          [this](const std::string& name, std::shared_ptr<const token::KeySet> keys) {
            issuer->external().set_keys(name, std::move(keys));
          });
      issuer->external().on_unknown_key(
          [this](std::string_view name) { external_keys->unknown_key(name); });
    }
    follower->subscribe([this](const registry::Follower::Snapshot& snapshot) {
      door->update_snapshot(snapshot);
      keeper->update(snapshot);
      peer_keys->sources_changed();
    });
  }
};

Node::Node(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Node::~Node() { stop(); }

Result<std::unique_ptr<Node>> Node::create(const NodeConfig& config, const Clock& clock) {
  const Secrets secrets = TRY(read_secrets(config));
  (void)TRY(load_routes(config));  // before anything is opened: a bad route file changes nothing
  TRY(load_roles_file(config.roles_file));
  TRY(load_external_issuers(config.external_file));
  TRY(check_peer_certificate(config, clock));
  std::error_code error;
  std::filesystem::create_directories(config.state_directory, error);
  if (error) {
    return fail(Code::unavailable, fmt::format("cannot make the folder {}: {}",
                                               config.state_directory.string(), error.message()));
  }
  auto parts = std::make_unique<Parts>(config, clock);
  parts->audit = TRY(NodeAudit::open(parts->config, clock));
  parts->index = TRY(make_audit_index(config, *parts->audit, clock));
  parts->trails = NodeTrails::create(config, secrets.database_dsn, parts->audit->ledger(), clock);
  TRY(parts->open_database(secrets));
  parts->open_registry(secrets);
  parts->make_reference(secrets);
  TRY(parts->make_issuer(secrets));
  TRY(parts->make_door(secrets));
  return std::unique_ptr<Node>(new Node(std::move(parts)));
}

Result<void> Node::start() {
  TRY(parts_->audit->start());
  TRY(parts_->door->start());
  parts_->connect();
  parts_->issuer->start();
  parts_->watch->start([this](const store::ContextKey& key) {
    const auto updated = parts_->door->update_signer(signer_maker(key));
    if (!updated) log_error("node", updated.error().message);
  });
  parts_->follower->start();
  if (parts_->publisher != nullptr) parts_->publisher->start();
  if (parts_->applier != nullptr) parts_->applier->start();
  if (parts_->compare_worker != nullptr) parts_->compare_worker->start();
  if (parts_->index != nullptr) parts_->index->start();
  parts_->trails->start();
  return {};
}

std::uint16_t Node::port() const { return parts_->door->port(); }

void Node::reload() {
  Parts& p = *parts_;
  const auto note = [&p](std::string_view part, const std::filesystem::path& file,
                         const Result<void>& outcome, std::string_view sha256 = "") {
    note_reload(p.audit->ledger(), p.clock, p.config, part, file, outcome, sha256);
  };
  if (!p.config.certificate.empty()) {
    note("certificate", p.config.certificate, p.door->reload_certificate());
  }
  if (!p.config.peer_certificate.empty()) {
    note("peer_certificate", p.config.peer_certificate, check_peer_certificate(p.config, p.clock));
    p.source->renew();
  }
  auto routes = load_routes(p.config);
  if (routes) {
    note("routes", p.config.routes_file, p.door->update_policy(std::move(routes->policy)),
         routes->sha256);
  } else {
    note("routes", p.config.routes_file, std::unexpected(std::move(routes).error()));
  }
  if (p.config.authorize_token_file.empty()) return;
  auto token = load_authorize_token(p.config);
  if (token) p.door->update_authorize_token(std::move(*token));
  note("authorize_token", p.config.authorize_token_file,
       token ? Result<void>() : std::unexpected(std::move(token).error()));
}

void Node::announce_drain() { parts_->door->announce_drain(); }

std::size_t Node::drain() {
  parts_->follower->release_waiting();  // peers that wait for news are under way as well
  if (parts_->publisher != nullptr) parts_->publisher->stop();
  if (parts_->comparisons != nullptr) parts_->comparisons->stop();
  return parts_->door->drain(parts_->config.drain_ms);
}

void Node::stop() {
  if (parts_ == nullptr) return;
  // Whoever calls the door ends before the door does.
  parts_->compare_worker.reset();
  if (parts_->applier != nullptr) parts_->applier->stop();
  if (parts_->publisher != nullptr) parts_->publisher->stop();
  if (parts_->comparisons != nullptr) parts_->comparisons->stop();
  if (parts_->follower != nullptr) parts_->follower->stop();
  parts_->peer_keys.reset();
  parts_->external_keys.reset();
  if (parts_->issuer != nullptr) parts_->issuer->stop();
  parts_->watch.reset();
  if (parts_->door != nullptr) parts_->door->stop();
  parts_->keeper.reset();
  parts_.reset();
}

}  // namespace domicile::app
