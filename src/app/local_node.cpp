#include "app/local_node.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/local_databases.h"
#include "app/local_witnesses.h"
#include "base/encoding.h"
#include "base/file.h"
#include "crypto/random.h"
#include "http/client.h"

namespace domicile::app {
namespace {

using Path = std::filesystem::path;
using std::chrono::milliseconds;

bool accepts(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connected =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connected;
}

// Whether GET answers 200; `ca` for https.
bool answers_well(const std::string& url, const Path& ca = {}) {
  http::Client client(
      {.ca_file = ca, .connect_ms = milliseconds(500), .total_ms = milliseconds(3000)});
  http::ClientRequest request;
  request.url = url;
  const auto answer = client.send(request);
  return answer && answer->status == 200;
}

std::map<std::string, std::string> placeholders(LocalContext& context, const LocalRegion& region,
                                                const std::string& dsn) {
  return {{"port", std::to_string(context.port(region, "application"))},
          {"region", region.region.id.text()},
          {"master", region.region.master ? "true" : "false"},
          {"folder", context.paths.application().string()},
          {"dsn", dsn}};
}

Program application_program(LocalContext& context, const LocalRegion& region,
                            const std::vector<std::string>& command, const std::string& dsn) {
  const auto values = placeholders(context, region, dsn);
  Program program;
  program.account = context.application;
  program.folder = context.paths.application();
  for (const std::string& part : command) program.command.push_back(fill_in(part, values));
  for (const auto& [name, value] : context.config.application.environment) {
    program.environment.emplace_back(name, fill_in(value, values));
  }
  program.environment.emplace_back("PYTHONDONTWRITEBYTECODE", "1");
  return program;
}

}  // namespace

namespace {

// Who is told of alerts, and the secret that their signatures are made with. The section of the
// node's file, or nothing.
Result<std::string> write_receivers(LocalContext& context, const LocalRegion& local) {
  if (local.alert_webhook.empty()) return std::string();
  const Path folder = context.paths.node(local.region.id.text());
  const Path secret = folder / "webhook.secret";
  if (!std::filesystem::exists(secret)) {
    TRY(write_owned(secret, "whsec_" + to_base64(crypto::random_bytes(32)) + "\n", context.node,
                    0600));
  }
  TRY(write_owned(folder / "receivers.toml",
                  fmt::format("[[webhook]]\nname = \"local\"\nurl = \"{}\"\nsecret_file = "
                              "\"webhook.secret\"\n",
                              local.alert_webhook),
                  context.node, 0600));
  return "\n[alerts]\nreceivers = \"receivers.toml\"\n";
}

}  // namespace

Result<void> write_node_files(LocalContext& context, const LocalRegion& local,
                              const LocalPostgres& server) {
  const std::string id = local.region.id.text();
  const Path folder = context.paths.node(id);
  const std::string role = context.role("node");
  TRY(write_owned(folder / "node.dsn", server.dsn(context.config.application.name, role) + "\n",
                  context.node, 0600));
  TRY(write_owned(
      folder / "reference.dsn",
      server.dsn(context.config.application.name, reference_role(context, local)) + "\n",
      context.node, 0600));
  std::string registry;
  if (local.region.master) {
    TRY(write_owned(folder / "registry.dsn", server.dsn(kRegistryDatabase, role) + "\n",
                    context.node, 0600));
    registry = "source = \"postgresql\"\ndsn_file = \"registry.dsn\"\n";
  } else {
    registry =
        fmt::format("source = \"peer\"\nurl = \"{}\"\n", context.url(context.config.master()));
  }
  const std::string roles =
      context.config.application.roles.empty() ? "" : "roles = \"../../../roles.toml\"\n";
  std::string external;
  if (!local.external_issuers.empty()) {
    TRY(write_owned(folder / "external-issuers.toml",
                    TRY(read_file(local.external_issuers, 1u << 20)), context.node, 0600));
    external = "external = \"external-issuers.toml\"\n";
  }
  const std::string text = fmt::format(
      "# Written by domicile up before every start.\n"
      "[node]\nregion = \"{}\"\nstate_directory = \"state\"\n\n"
      "[http]\nlisten = \"127.0.0.1:{}\"\ncertificate = \"door.pem\"\nkey = \"door.key\"\n"
      "loops = 1\n\n"
      "[database]\ndsn_file = \"node.dsn\"\n\n"
      "[registry]\n{}\n"
      "[reference]\ndsn_file = \"reference.dsn\"\ncompare_at = \"03:00\"\n\n"
      "[peers]\ntoken_file = \"peer.token\"\nca_file = \"ca.pem\"\n"
      "certificate = \"peer.pem\"\nkey = \"peer.key\"\nclient_ca = \"ca.pem\"\npepper_file = "
      "\"pepper\"\n\n"
      "[issuer]\nurl = \"{}\"\nkey_file = \"issuer.key\"\n{}{}\n"
      "[gateway]\nroutes = \"../../../routes.toml\"\nupstream = \"127.0.0.1:{}\"\n\n"
      "[audit]\ndirectory = \"audit\"\nlisten = \"127.0.0.1:{}\"\n{}{}",
      id, context.port(local, "door"), registry, context.url(local), roles, external,
      context.port(local, "application"), context.port(local, "log"), witness_lines(context),
      TRY(write_receivers(context, local)));
  return write_owned(folder / "node.toml", text, context.node, 0600);
}

Service node_service(LocalContext& context, const LocalRegion& local) {
  const std::string id = local.region.id.text();
  Service service;
  service.name = id + "-node";
  service.region = id;
  service.what = "node";
  service.program.command = {context.paths.binary().string(), "serve", "--config",
                             (context.paths.node(id) / "node.toml").string()};
  service.program.account = context.node;
  service.program.folder = context.paths.node(id);
  service.program.log = context.paths.log(service.name);
  // Ready means: it has a snapshot of the registry, a database and a ledger.
  service.ready = [url = context.url(local) + "/readyz", ca = context.paths.ca_certificate()] {
    return answers_well(url, ca);
  };
  return service;
}

Service application_service(LocalContext& context, const LocalRegion& local,
                            const LocalPostgres& server) {
  const std::string id = local.region.id.text();
  const LocalApplication& app = context.config.application;
  Service service;
  service.name = id + "-application";
  service.region = id;
  service.what = "application";
  service.program =
      application_program(context, local, app.command, server.dsn(app.name, context.role("pool")));
  service.program.log = context.paths.log(service.name);
  service.ready = [port = context.port(local, "application"), path = app.health_path] {
    return path.empty() ? accepts(port)
                        : answers_well(fmt::format("http://127.0.0.1:{}{}", port, path));
  };
  return service;
}

Result<void> run_prepare(LocalContext& context, const LocalRegion& local,
                         const LocalPostgres& server) {
  const LocalApplication& app = context.config.application;
  if (app.prepare.empty()) return {};
  // The owner's password, for this run only, where the application's user can read it.
  const std::string id = local.region.id.text();
  const Secret password = TRY(password_of(context.paths, id, context.role("owner")));
  const Path lent = context.paths.secret(id, "prepare");
  TRY(write_owned(lent, fmt::format("*:*:*:*:{}\n", password.reveal()), context.application, 0600));
  const std::string dsn =
      fmt::format("host=127.0.0.1 port={} dbname={} user={} passfile={}", server.port(), app.name,
                  context.role("owner"), quote_dsn_value(lent.string()));
  const auto done =
      run_checked(application_program(context, local, app.prepare, dsn), context.signals,
                  std::chrono::minutes(30), id + ": preparing the application's data");
  std::error_code ignored;
  std::filesystem::remove(lent, ignored);
  if (!done) return std::unexpected(done.error());
  return {};
}

}  // namespace domicile::app
