#include "app/registry_verb.h"

#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>

#include "base/file.h"
#include "crypto/random.h"
#include "http/client.h"
#include "registry/postgresql_store.h"
#include "store/registry_domain_hash.h"

namespace domicile::app {
namespace {

constexpr const char* kDsnVariable = "DOMICILE_REGISTRY_DSN";

// What the home's node says: the readiness of GET /v1/organizations/{key}.
Result<std::string> ask_home(http::Client& client, const std::string& url, const Secret& token) {
  const http::Response answer = TRY(client.send({.url = url, .bearer = token}));
  if (answer.status == 401) {
    return fail(Code::unauthenticated,
                "the home region refuses the peer token: is it that of its nodes?");
  }
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  if (answer.status != 200 || !body.is_object() || !body.contains("readiness") ||
      !body["readiness"].is_string()) {
    return fmt::format("status {}", answer.status);
  }
  return body["readiness"].get<std::string>();
}

}  // namespace

void add_registry_options(CLI::App& verb, RegistryOptions& options) {
  verb.add_option("--registry-dsn-file", options.dsn_file,
                  "File with the connection string of the registry's database (mode 0600); or the "
                  "environment "
                  "variable DOMICILE_REGISTRY_DSN holds the string itself")
      ->envname("DOMICILE_REGISTRY_DSN_FILE");
}

void add_pepper_option(CLI::App& verb, RegistryOptions& options) {
  verb.add_option("--pepper-file", options.pepper_file,
                  "File with the registry's pepper, 32 bytes or more (mode 0600): domains are "
                  "hashed with it")
      ->envname("DOMICILE_PEPPER_FILE");
}

void add_change_options(CLI::App& verb, RegistryOptions& options) {
  verb.add_option("--operation-id", options.operation_id,
                  "Names this change, 8 to 64 of A-Z a-z 0-9 _ . : -; the same id does it once, "
                  "however often it is sent");
  verb.add_flag("--dry-run", options.dry_run, "Check, and say what would be done; change nothing");
  verb.add_flag(
      "--wait,!--no-wait", [&options](std::int64_t times) { options.no_wait = times < 0; },
      "Wait until the home region follows (the default)");
  verb.add_option("--wait-seconds", options.wait_s, "How long to wait")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  verb.add_option("--peer-token-file", options.peer_token_file,
                  "File with the nodes' shared token, to ask the home region")
      ->envname("DOMICILE_PEER_TOKEN_FILE");
  verb.add_option("--ca-file", options.ca_file,
                  "Certificate authorities of the regions' doors (PEM)")
      ->envname("DOMICILE_CA_FILE");
}

Result<Secret> registry_dsn(const RegistryOptions& options) {
  if (!options.dsn_file.empty()) return read_secret_file(options.dsn_file);
  if (const char* dsn = std::getenv(kDsnVariable); dsn != nullptr && *dsn != '\0')
    return Secret(std::string(dsn));
  return fail(Code::invalid,
              "where is the registry? give --registry-dsn-file, or set DOMICILE_REGISTRY_DSN_FILE "
              "or DOMICILE_REGISTRY_DSN");
}

Result<std::unique_ptr<registry::RegistryStore>> open_registry(const RegistryOptions& options) {
  return std::make_unique<registry::PostgresqlStore>(
      registry::PostgresqlStore::Options{.dsn = TRY(registry_dsn(options)), .connections = 1});
}

Result<Secret> registry_pepper(registry::RegistryStore& store, const RegistryOptions& options) {
  if (options.pepper_file.empty()) {
    return fail(Code::invalid,
                "domains are kept as keyed hashes: give the registry's pepper with --pepper-file "
                "(every node has it)");
  }
  Secret pepper = TRY(read_secret_file(options.pepper_file));
  TRY(store::registry_pepper_fingerprint(pepper));
  if (!options.dry_run) TRY(store.adopt_pepper(pepper));
  return pepper;
}

std::string operation_id(const RegistryOptions& options) {
  return options.operation_id.empty() ? "cli:" + crypto::random_text(18) : options.operation_id;
}

WaitOutcome wait_for_home(const Cli& cli, const RegistryOptions& options,
                          const domain::Region& home, const domain::OrgKey& key, Awaited awaited) {
  if (options.no_wait) return {.note = "not waited for (--no-wait)"};
  if (options.peer_token_file.empty()) {
    return {.note = "not waited for: give --peer-token-file to see when the home region follows"};
  }
  const auto token = read_secret_file(options.peer_token_file);
  if (!token) return {.note = token.error().message};
  http::Client client({.ca_file = options.ca_file,
                       .connect_ms = std::chrono::milliseconds(3000),
                       .total_ms = std::chrono::milliseconds(10'000)});
  const std::string url = fmt::format("{}/v1/organizations/{}", home.url, key.view());
  const std::string wanted = awaited == Awaited::served ? "ready" : "not_active";
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(options.wait_s);
  WaitOutcome outcome{.waited = true};
  auto pause = std::chrono::milliseconds(50);
  if (!cli.quiet) fmt::print(stderr, "waiting for {} ...\n", home.id.view());
  for (;;) {
    const auto said = ask_home(client, url, *token);
    outcome.note = said ? *said : said.error().message;
    outcome.reached = said && *said == wanted;
    const bool hopeless = !said && said.error().code == Code::unauthenticated;
    if (outcome.reached || hopeless || std::chrono::steady_clock::now() + pause > deadline)
      return outcome;
    ::poll(nullptr, 0, static_cast<int>(pause.count()));  // another machine: no event to wait for
    pause = std::min(pause * 2, std::chrono::milliseconds(1000));
  }
}

}  // namespace domicile::app
