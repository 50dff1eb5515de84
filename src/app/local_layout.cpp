#include "app/local_layout.h"

#include <cerrno>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <sys/stat.h>

#include "app/local_certificates.h"
#include "app/local_ports.h"
#include "base/encoding.h"
#include "base/file.h"
#include "crypto/random.h"

namespace domicile::app {
namespace {

using Path = std::filesystem::path;

struct PortKind {
  const char* name;
  std::uint16_t first;
  std::uint16_t LocalRegion::* wanted;
};
constexpr PortKind kPorts[] = {{"door", 8441, &LocalRegion::door_port},
                               {"application", 8541, &LocalRegion::application_port},
                               {"log", 8641, &LocalRegion::log_port},
                               {"postgresql", 5541, &LocalRegion::postgresql_port}};

// Copies when the content differs, so that a running program's file is never written to.
Result<void> copy_file(const Path& from, const Path& to, const Account& owner, unsigned mode) {
  const std::string content = TRY(read_file(from, 512u << 20));
  const auto present = read_file(to, 512u << 20);
  if (present && *present == content) return {};
  return write_owned(to, content, owner, mode);
}

Result<void> secret_file(const Path& file, const Account& owner, const std::string& fresh) {
  if (std::filesystem::exists(file)) return {};
  return write_owned(file, fresh, owner, 0600);
}

}  // namespace

Result<void> check_free_space(const Path& data) {
  constexpr std::uintmax_t kNeeded = 400u << 20;
  Path existing = data;
  std::error_code failed;
  while (!std::filesystem::exists(existing, failed) && existing.has_relative_path())
    existing = existing.parent_path();
  const auto space = std::filesystem::space(existing, failed);
  if (failed || space.available >= kNeeded) return {};
  return fail(Code::unavailable,
              fmt::format("{} has {} MB left and local regions need {} MB; free some, or "
                          "name a folder elsewhere with --data",
                          existing.string(), space.available >> 20, kNeeded >> 20),
              "disk_full");
}

Result<void> prepare_folders(const LocalContext& context) {
  const LocalPaths& paths = context.paths;
  TRY(make_folder(paths.data, context.self, 0755));
  for (const char* name : {"log", "run", "bin", "regions"}) {
    TRY(make_folder(paths.data / name, context.self, 0755));
  }
  TRY(make_folder(paths.application(), context.self, 0755));
  for (const LocalRegion& local : context.config.regions) {
    const Path region = paths.region(local.region.id.text());
    TRY(make_folder(region, context.self, 0755));
    TRY(make_folder(region / "secrets", context.self, 0711));
    TRY(make_folder(region / "node", context.node, 0700));
    TRY(make_folder(region / "node" / "state", context.node, 0700));
    TRY(make_folder(region / "node" / "audit", context.node, 0700));
  }
  return {};
}

Result<void> copy_files(const LocalContext& context) {
  const LocalPaths& paths = context.paths;
  std::error_code failed;
  const Path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed)
    return fail(Code::internal, "cannot tell where this program lies: " + failed.message());
  if (self != paths.binary()) TRY(copy_file("/proc/self/exe", paths.binary(), context.self, 0755));
  const LocalApplication& app = context.config.application;
  for (const Path& file : app.files) {
    TRY(copy_file(file, paths.application() / file.filename(), context.self, 0644));
  }
  TRY(copy_file(app.catalog, paths.data / "domicile.catalog.toml", context.self, 0644));
  TRY(copy_file(app.routes, paths.data / "routes.toml", context.self, 0644));
  if (!app.roles.empty()) TRY(copy_file(app.roles, paths.data / "roles.toml", context.self, 0644));
  return {};
}

Result<void> choose_ports(LocalContext& context) {
  std::set<std::uint16_t> taken;
  // Remembered ports of all regions come first: a new region must not take one of them.
  for (const auto& [id, region] : context.state.regions) {
    for (const auto& [kind, port] : region.ports) taken.insert(port);
  }
  for (const LocalRegion& local : context.config.regions) {
    for (const PortKind& kind : kPorts) {
      std::uint16_t& port = context.of(local).ports[kind.name];
      const std::uint16_t wanted = local.*kind.wanted;
      const std::uint16_t before = port;
      if (port != 0 && (wanted == 0 || wanted == port)) {
        taken.erase(port);
        port = TRY(choose_port(port, taken, context.claims));
      } else {
        port = TRY(choose_port(wanted != 0 ? wanted : kind.first, taken, context.claims));
      }
      const std::uint16_t expected = before != 0 && wanted == 0 ? before : wanted;
      if (expected != 0 && port != expected) {
        context.progress.step(local.region.id.view(),
                              fmt::format("port {} is taken by another program; the {} uses {}",
                                          expected, kind.name, port));
      }
    }
  }
  return save_state(context.paths.data, context.state);
}

namespace {

// The certificate that is there, or a new one where it is nearly over or another authority's.
Result<void> keep_certificate(const LocalContext& context, const Identity& authority,
                              const LocalRegion& local, const std::string& name,
                              Result<Identity> (*make)(const Identity&, const std::string&)) {
  const Path node = context.paths.node(local.region.id.text());
  const auto known = read_file(node / (name + ".pem"));
  const auto signer = read_file(node / (name + ".signer"));  // the authority that signed it
  if (known && valid_for_days(*known, 30) && signer && *signer == authority.certificate) return {};
  const Identity identity = TRY(make(authority, local.region.id.text()));
  TRY(write_owned(node / (name + ".key"), identity.key.reveal(), context.node, 0600));
  TRY(write_owned(node / (name + ".pem"), identity.certificate, context.node, 0644));
  return write_owned(node / (name + ".signer"), authority.certificate, context.node, 0644);
}

}  // namespace

Result<void> make_certificates(const LocalContext& context) {
  const LocalPaths& paths = context.paths;
  Identity authority;
  const auto certificate = read_file(paths.ca_certificate());
  if (certificate && valid_for_days(*certificate, 30) && std::filesystem::exists(paths.ca_key())) {
    authority = {*certificate, TRY(read_secret_file(paths.ca_key()))};
  } else {
    context.progress.note("making a local certificate authority");
    authority = TRY(make_authority("Domicile local regions"));
    TRY(write_owned(paths.ca_key(), authority.key.reveal(), context.self, 0600));
    TRY(write_owned(paths.ca_certificate(), authority.certificate, context.self, 0644));
  }
  for (const LocalRegion& local : context.config.regions) {
    const Path node = paths.node(local.region.id.text());
    TRY(write_owned(node / "ca.pem", authority.certificate, context.node, 0644));
    TRY(keep_certificate(context, authority, local, "door", &make_server_certificate));
    TRY(keep_certificate(context, authority, local, "peer", &make_peer_certificate));
    TRY(secret_file(node / "issuer.key", context.node, to_hex(crypto::random_bytes(32)) + "\n"));
    // What all nodes share: the token that they prove themselves with, the pepper of the registry.
    for (const char* name : {"peer.token", "pepper"}) {
      const Path first = paths.node(context.config.master().region.id.text()) / name;
      TRY(secret_file(first, context.node, crypto::random_text(32) + "\n"));
      const Secret shared = TRY(read_secret_file(first));
      TRY(write_owned(node / name, std::string(shared.reveal()) + "\n", context.node, 0600));
    }
  }
  return {};
}

}  // namespace domicile::app
