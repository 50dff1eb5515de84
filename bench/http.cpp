// A door as bench/http.py and the system tests drive it: the real HttpGateway with a real Ledger, a
// thousand organizations and tokens made on the spot, in a process of its own whose CPU can be read.
// Writes the tokens to a file, prints the port, and serves until standard input ends.
#include <csignal>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "audit/ledger.h"
#include "audit/personal_vault.h"
#include "base/file.h"
#include "crypto/signing_key.h"
#include "gateway/http_gateway.h"
#include "token/token_signer.h"

using namespace domicile;

namespace {

constexpr std::string_view kHere = "ca-central-1";

std::string routes(std::string_view audit) {
  return fmt::format(R"(version = 1
[[route]]
name = "courses.read"
methods = ["GET", "HEAD"]
path = "/orgs/{{org}}/courses"
organization = "path:org"
permission = "courses:read"
audit = "{0}"

[[route]]
name = "courses.live"
methods = ["GET"]
path = "/orgs/{{org}}/live"
organization = "path:org"
permission = "courses:read"
audit = "{0}"
websocket = true

[[route]]
name = "courses.create"
methods = ["POST"]
path = "/orgs/{{org}}/courses"
organization = "path:org"
permission = "courses:write"
audit = "{0}"
)",
                     audit);
}

std::shared_ptr<const domain::RegistrySnapshot> make_snapshot(unsigned organizations) {
  domain::RegistrySnapshot::Builder builder;
  builder.regions(
      {{domain::RegionId(kHere), domain::JurisdictionId("CA"), {}, "http://127.0.0.1", true},
       {domain::RegionId("us-east-1"), domain::JurisdictionId("US"), {}, "http://us.test", false}});
  for (unsigned i = 1; i <= organizations; ++i) {
    // Every organization beyond the first thousand lives elsewhere.
    const auto home = domain::RegionId(i <= 1000 ? kHere : "us-east-1");
    if (auto put = builder.put({domain::OrgKey(std::to_string(i)),
                                domain::Slug("org-" + std::to_string(i)),
                                {home, 1, domain::PlacementState::active},
                                1});
        !put) {
      throw std::runtime_error(put.error().message);
    }
  }
  return builder.build(1).value();
}

template <typename T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

void write_tokens(const std::string& path, const crypto::SigningKey& key, unsigned count,
                  std::int64_t now_s) {
  const token::TokenSigner signer("bench", key);
  std::ofstream out(path);
  for (unsigned i = 0; i < count; ++i) {
    token::AccessClaims claims;
    claims.issuer = "https://ca.test";
    claims.client_id = "bench";
    claims.subject = domain::UserId("user-" + std::to_string(i));
    claims.organization = domain::OrgKey(std::to_string(i % 1000 + 1));
    claims.region = domain::RegionId(kHere);
    claims.epoch = 1;
    claims.roles = {domain::RoleName("instructor")};
    claims.permissions = {domain::Permission("courses:read"), domain::Permission("courses:write")};
    claims.token_id = "token-" + std::to_string(i);
    claims.issued_at = now_s;
    claims.expires_at = now_s + 3600;
    out << i % 1000 + 1 << ' ' << must(signer.sign(claims)) << '\n';
  }
}

struct Flags {
  std::vector<std::string> upstreams;
  std::string tokens, audit_directory, key_path, algorithm = "RS256", audit = "bounded";
  std::string certificate, certificate_key;
  std::vector<std::string> authorize_proxies;
  std::string authorize_token, routes, client_ca, client_crl;
  bool client_required = false;
  unsigned loops = 1, token_count = 1, cache = 16384, organizations = 1000;
  std::uint16_t port = 0;
  unsigned organization_rate = 0, organization_burst = 0, client_rate = 0;
  int head_ms = 10'000, body_ms = 30'000;
};

crypto::Algorithm algorithm_of(const std::string& name) {
  if (name == "ES256") return crypto::Algorithm::es256;
  return name == "EdDSA" ? crypto::Algorithm::eddsa : crypto::Algorithm::rs256;
}

// What a door costs without its events.
class NoEvents final : public domain::EventSink {
 public:
  void submit(domain::Event, Completion done) override { done(1); }
};

// As a node keeps it: persons sealed, checkpoints signed.
struct Log {
  Log(const std::filesystem::path& folder, const Clock& clock) {
    vault = must(audit::PersonalVault::open(
        {.key_directory = folder / "keys", .master_file = folder / "master.key", .clock = &clock}));
    audit::LedgerOptions options;
    options.directory = folder;
    options.vault = vault.get();
    options.region = domain::RegionId(kHere);
    options.clock = &clock;
    ledger = must(audit::Ledger::open(std::move(options)));
  }
  std::unique_ptr<audit::PersonalVault> vault;
  std::unique_ptr<audit::Ledger> ledger;
};

int serve(const Flags& flags) {
  NoEvents nothing;
  SystemClock clock;
  const Log log(flags.audit_directory, clock);
  const auto algorithm = algorithm_of(flags.algorithm);
  const auto key =
      must(crypto::SigningKey::from_pem(algorithm, must(read_secret_file(flags.key_path))));
  const auto keys = must(token::KeySet::create({{"bench", key.public_key()}}));
  write_tokens(flags.tokens, key, flags.token_count, clock.unix_seconds());

  gateway::HttpGatewayOptions options;
  options.listener.port = flags.port;
  options.listener.loops = flags.loops;
  options.listener.tls = !flags.certificate.empty();
  options.listener.tls_files = {flags.certificate, flags.certificate_key};
  if (!flags.client_ca.empty()) {
    using runtime::ClientCertificates;
    options.listener.client_authorities = {
        flags.client_required ? ClientCertificates::required : ClientCertificates::optional,
        flags.client_ca, flags.client_crl, "", ""};
  }
  options.region = domain::RegionId(kHere);
  for (const std::string& url : flags.upstreams) options.upstreams.emplace_back("app", url);
  options.rates.organization = {flags.organization_rate, flags.organization_burst};
  options.rates.client = {flags.client_rate, flags.client_rate};
  options.authorize_proxies = must(gateway::AddressList::parse(flags.authorize_proxies));
  options.authorize_token = Secret(flags.authorize_token);
  options.token_cache.capacity = flags.cache;
  options.limits.head_ms = std::chrono::milliseconds(flags.head_ms);
  options.limits.body_idle_ms = std::chrono::milliseconds(flags.body_ms);
  options.bounded_events_max = 60'000;
  const auto gateway = must(gateway::HttpGateway::create(
      options,
      {.clock = clock,
       .events = flags.audit == "none" ? static_cast<domain::EventSink&>(nothing) : *log.ledger,
       .policy = must(policy::RoutePolicy::parse(
           flags.routes.empty() ? routes(flags.audit == "none" ? "bounded" : flags.audit)
                                : must(read_file(flags.routes)),
           "routes")),
       .snapshot = make_snapshot(flags.organizations),
       .make_verifier =
           [&] {
             return token::TokenVerifier({}, {{"https://ca.test", domain::RegionId(kHere), keys}});
           },
       .make_signer =
           [] {
             return token::ContextSigner::create({"k1", Secret(std::string(32, 'k'))}, "ab12");
           },
       .handlers = {{"/v1/echo", [](const http::Request& request) {
                       return http::Response{200, {{"content-type", "text/plain"}}, request.body};
                     }}}}));
  must(gateway->start());
  std::cout << gateway->port() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "drain") gateway->drain(std::chrono::seconds(10));
    std::string said = "done";
    if (line == "reload") {
      if (auto read = gateway->reload_certificate(); !read) said = read.error().message;
    }
    std::cout << said << std::endl;
  }
  gateway->drain(std::chrono::seconds(5));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("The HTTP door for benchmarks and tests");
  Flags flags;
  app.add_option("--upstream", flags.upstreams)->required();
  app.add_option("--tokens", flags.tokens)->required();
  app.add_option("--audit-directory", flags.audit_directory)->required();
  app.add_option("--key", flags.key_path)->required();
  app.add_option("--algorithm", flags.algorithm);
  app.add_option("--audit", flags.audit);
  app.add_option("--loops", flags.loops);
  app.add_option("--port", flags.port);
  app.add_option("--token-count", flags.token_count);
  app.add_option("--cache", flags.cache);
  app.add_option("--organizations", flags.organizations);
  app.add_option("--certificate", flags.certificate);
  app.add_option("--certificate-key", flags.certificate_key);
  app.add_option("--organization-rate", flags.organization_rate);
  app.add_option("--organization-burst", flags.organization_burst);
  app.add_option("--routes", flags.routes);
  app.add_option("--client-ca", flags.client_ca);
  app.add_option("--client-crl", flags.client_crl);
  app.add_flag("--client-required", flags.client_required);
  app.add_option("--client-rate", flags.client_rate);
  app.add_option("--authorize-proxy", flags.authorize_proxies);
  app.add_option("--authorize-token", flags.authorize_token);
  app.add_option("--head-ms", flags.head_ms);
  app.add_option("--body-ms", flags.body_ms);
  CLI11_PARSE(app, argc, argv);
  try {
    return serve(flags);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
