#include "app/local_node.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/local_databases.h"
#include "base/file.h"

namespace domicile::app {
namespace {

using Path = std::filesystem::path;

// A connected socket on the loopback interface, or -1.
int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const timeval patience{2, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

bool accepts(std::uint16_t port) {
  const int fd = connect_to(port);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

// The application's own health answer, over plain HTTP on the loopback interface.
bool answers_well(std::uint16_t port, const std::string& path) {
  const int fd = connect_to(port);
  if (fd < 0) return false;
  const std::string request =
      fmt::format("GET {} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n\r\n", path, port);
  char head[16] = {};
  std::size_t have = 0;
  bool sent = ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(request.size());
  while (sent && have < 12) {
    const ssize_t n = ::recv(fd, head + have, 12 - have, 0);
    if (n <= 0) break;
    have += static_cast<std::size_t>(n);
  }
  ::close(fd);
  return have == 12 && std::string_view(head, 7) == "HTTP/1." && head[9] == '2';
}

std::map<std::string, std::string> placeholders(LocalContext& context, const LocalRegion& region,
                                                const std::string& dsn) {
  return {{"port", std::to_string(context.port(region, "application"))},
          {"region", region.region.id.text()},
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

Result<void> write_node_files(LocalContext& context, const LocalRegion& local,
                              const LocalPostgres& server) {
  const std::string id = local.region.id.text();
  const Path folder = context.paths.node(id);
  const std::string role = context.role("node");
  TRY(write_owned(folder / "node.dsn", server.dsn(context.config.application.name, role) + "\n",
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
  const std::string text = fmt::format(
      "# Written by domicile up before every start.\n"
      "[node]\nregion = \"{}\"\nstate_directory = \"state\"\n\n"
      "[http]\nlisten = \"127.0.0.1:{}\"\ncertificate = \"door.pem\"\nkey = \"door.key\"\n\n"
      "[database]\ndsn_file = \"node.dsn\"\n\n"
      "[registry]\n{}\n"
      "[peers]\ntoken_file = \"peer.token\"\nca_file = \"ca.pem\"\n\n"
      "[issuer]\nurl = \"{}\"\nkey_file = \"issuer.key\"\n{}\n"
      "[gateway]\nroutes = \"../../../routes.toml\"\nupstream = \"127.0.0.1:{}\"\n\n"
      "[audit]\ndirectory = \"audit\"\n",
      id, context.port(local, "door"), registry, context.url(local), roles,
      context.port(local, "application"));
  return write_owned(folder / "node.toml", text, context.node, 0600);
}

Service node_service(LocalContext& context, const LocalRegion& local) {
  const std::string id = local.region.id.text();
  const std::uint16_t port = context.port(local, "door");
  Service service;
  service.name = id + "-node";
  service.region = id;
  service.what = "node";
  service.program.command = {context.paths.binary().string(), "serve", "--config",
                             (context.paths.node(id) / "node.toml").string()};
  service.program.account = context.node;
  service.program.folder = context.paths.node(id);
  service.program.log = context.paths.log(service.name);
  service.ready = [port] { return accepts(port); };
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
    return path.empty() ? accepts(port) : answers_well(port, path);
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
