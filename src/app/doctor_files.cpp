#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "app/doctor_checks.h"
#include "app/roles_file.h"
#include "audit/log_verifier.h"
#include "base/encoding.h"
#include "base/file.h"
#include "crypto/certificate.h"
#include "policy/route_policy.h"

namespace domicile::app {
namespace {

using Path = std::filesystem::path;
constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::int64_t kDay = 86'400;

// One secret: there, readable by us, by nobody else, and of the right content. True when in order.
bool examine_secret(const Path& file, std::string_view what, DoctorReport& report) {
  struct stat facts{};
  if (::stat(file.c_str(), &facts) != 0) {
    report.fail(Check::secret_files,
                fmt::format("{} ({}): {}", file.string(), what, std::strerror(errno)),
                "Put the file there (mode 600), or correct its name in the configuration.");
    return false;
  }
  if ((facts.st_mode & 077) != 0) {
    const std::string_view then = what == "issuer key"
                                      ? "replace it as docs/identity.md says under Keys"
                                      : "replace its content";
    report.fail(Check::secret_files,
                fmt::format("{} ({}) has mode {:03o}: others can read it", file.string(), what,
                            facts.st_mode & 0777),
                fmt::format("chmod 600 {}; if others may have read it, {}", file.string(), then));
    return false;
  }
  const auto content = read_secret_file(file);
  if (!content) {
    report.fail(Check::secret_files,
                fmt::format("{} ({}): {}", file.string(), what, content.error().message),
                "Make it readable for the node's user.");
    return false;
  }
  const std::string_view text = content->reveal();
  const bool token = what == "peer token" || what == "proxies' token";
  if (token && text.size() < 32) {
    report.fail(Check::secret_files,
                fmt::format("{} ({}) is shorter than 32 characters", file.string(), what),
                "openssl rand -hex 32, the same in every region");
    return false;
  }
  if (what == "issuer key" && (text.size() != 64 || !from_hex(text))) {
    report.fail(Check::secret_files,
                fmt::format("{} ({}) is not 64 hex digits", file.string(), what),
                "Bring the former file back: the signing keys are sealed with it. A new region: "
                "openssl rand -hex 32.");
    return false;
  }
  return true;
}

void examine_writable(const Path& file, DoctorReport& report) {
  struct stat facts{};
  if (::stat(file.c_str(), &facts) != 0 || (facts.st_mode & 022) == 0) return;
  report.fail(Check::secret_files,
              fmt::format("{} has mode {:03o}: others can change what the node obeys",
                          file.string(), facts.st_mode & 0777),
              fmt::format("chmod go-w {}", file.string()));
}

std::string host_of(std::string url) {
  url = url.substr(url.find("://") + 3);
  if (url.starts_with('[')) return url.substr(1, url.find(']') - 1);
  return url.substr(0, url.find_first_of(":/"));
}

}  // namespace

void examine_files(const NodeConfig& config, const Path& config_file, DoctorReport& report) {
  std::vector<std::pair<Path, std::string_view>> secrets = {
      {config.database_dsn_file, "database address"},
      {config.registry_dsn_file, "registry address"},
      {config.reference_dsn_file, "reference address"},
      {config.audit_index.dsn_file, "index address"},
      {config.peer_token_file, "peer token"},
      {config.pepper_file, "pepper"},
      {config.issuer_key_file, "issuer key"},
      {config.authorize_token_file, "proxies' token"},
      {config.key, "certificate's key"},
      {config.peer_key, "peer certificate's key"}};
  std::erase_if(secrets, [](const auto& entry) { return entry.first.empty(); });
  const auto good = std::ranges::count_if(secrets, [&](const auto& entry) {
    return examine_secret(entry.first, entry.second, report);
  });
  if (good == std::ssize(secrets)) {
    report.ok(Check::secret_files, fmt::format("{} files, readable by their owner alone", good));
  }
  for (const Path& file :
       {config_file, config.routes_file, config.roles_file, config.peer_ca_file, config.client_ca,
        config.client_crl, config.peer_client_ca, config.peer_client_crl}) {
    if (!file.empty()) examine_writable(file, report);
  }
  const auto text = read_file(config.routes_file, 4u << 20);
  const auto policy =
      text ? policy::RoutePolicy::parse(*text, config.routes_file.string())
           : Result<std::shared_ptr<const policy::RoutePolicy>>(std::unexpected(text.error()));
  if (!policy) {
    report.fail(Check::routes, policy.error().message,
                "Correct it: the node does not start on it (docs/routes.md).");
  } else {
    const auto open = std::ranges::count_if((*policy)->rules(), &policy::RouteRule::is_public);
    report.ok(Check::routes,
              fmt::format("{} routes, {} of them public", (*policy)->rules().size(), open));
  }
  const auto roles = load_roles_file(config.roles_file);
  if (!roles) {
    report.fail(Check::roles, roles.error().message, "Correct it (docs/identity.md).");
  } else {
    report.ok(Check::roles, fmt::format("{} roles", roles->roles().size()));
  }
}

void examine_certificate(const NodeConfig& config, std::int64_t now_s, DoctorReport& report) {
  if (config.certificate.empty()) {
    report.ok(Check::certificate, "plain HTTP on loopback: no certificate");
    return;
  }
  const auto pem = read_file(config.certificate, kMiB);
  const auto certificate = pem ? crypto::Certificate::from_pem(*pem)
                               : Result<crypto::Certificate>(std::unexpected(pem.error()));
  if (!certificate) {
    report.fail(
        Check::certificate,
        fmt::format("{}: {}", config.certificate.string(), certificate.error().message),
        "Put a certificate in PEM there, the node's own first, then those up to its authority.");
    return;
  }
  const std::int64_t left = certificate->not_after() - now_s;
  const std::string until = fmt::format("{} ends in {} days", certificate->subject(), left / kDay);
  const std::string renew =
      "Renew it, then send the node SIGHUP: it takes the new one without a restart.";
  if (left <= 0) {
    report.fail(Check::certificate,
                fmt::format("{} ended {} days ago", certificate->subject(), -left / kDay), renew);
  } else if (certificate->not_before() > now_s) {
    report.fail(Check::certificate, fmt::format("{} does not count yet", certificate->subject()),
                "Set this machine's clock, or wait for its first day.");
  } else if (left < 14 * kDay) {
    report.warn(Check::certificate, until, renew);
  } else {
    report.ok(Check::certificate, until);
  }
  const std::string host = host_of(config.issuer_url);
  if (certificate->is_for(host)) {
    report.ok(Check::certificate_name, fmt::format("it is for {}", host));
  } else {
    report.fail(Check::certificate_name,
                fmt::format("it is not for {}, the host of issuer.url", host),
                "Clients and other regions will refuse it: get one with that name among its "
                "subject alternative names.");
  }
  const auto chain = crypto::verify_chain(*pem, config.peer_ca_file, now_s);
  if (chain) {
    report.ok(Check::certificate_chain, config.peer_ca_file.empty()
                                            ? "the system's authorities vouch for it"
                                            : "peers.ca_file vouches for it");
  } else if (left > 0) {
    report.warn(Check::certificate_chain, chain.error().message,
                "Put the intermediate certificates behind the node's own in http.certificate, or "
                "name the private authority "
                "in peers.ca_file of every region.");
  }
  const auto key = read_secret_file(config.key);
  if (!key) return;  // told with the secret files
  if (certificate->has_key(*key)) {
    report.ok(Check::certificate_key, "http.key is the certificate's");
  } else {
    report.fail(
        Check::certificate_key,
        fmt::format("{} is not the key of {}", config.key.string(), config.certificate.string()),
        "Put the pair that was issued together there.");
  }
}

namespace {

// Every byte against the checkpoint, by the keys that this node signs with.
Result<audit::LogReport> verified(const NodeConfig& config) {
  const Path keys = config.audit_log.key_directory / "verifier-keys";
  audit::VerifyOptions options;
  if (std::filesystem::exists(keys)) {
    options.policy = tlog::Policy::of_logs(TRY(tlog::parse_key_list(TRY(read_file(keys)))));
  }
  options.trimmed_max = UINT64_MAX;  // whether retention was right to is for `audit verify`
  auto source = TRY(audit::open_log_source(config.audit_directory.string(), {}));
  return audit::verify_log(*source, options);
}

void examine_log(const NodeConfig& config, DoctorReport& report) {
  const auto log = verified(config);
  if (!log) {
    report.fail(Check::event_log, log.error().message,
                "domicile audit verify, as the node's user.");
  } else if (!log->problems.empty()) {
    report.fail(
        Check::event_log,
        fmt::format("{} problems in {} published entries; the first: {}",
                    log->problems.size() + log->problems_more, log->entries, log->problems.front()),
        fmt::format("Keep the folder as evidence; domicile audit verify {}",
                    config.audit_directory.string()));
  } else {
    report.ok(Check::event_log,
              fmt::format("{} published entries, whole and as they were signed", log->entries));
  }
}

}  // namespace

void examine_event_log(const NodeConfig& config, DoctorReport& report) {
  struct statvfs disk{};
  Path folder = config.audit_directory;
  while (!folder.empty() && !std::filesystem::exists(folder) && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  if (::statvfs(folder.c_str(), &disk) != 0) {
    report.fail(Check::event_log_space,
                fmt::format("{}: {}", folder.string(), std::strerror(errno)),
                "Make the folder reachable for the node's user.");
  } else {
    const std::uint64_t free_mib = disk.f_bavail * disk.f_frsize / kMiB;
    const double share = disk.f_blocks == 0 ? 0
                                            : 100.0 * static_cast<double>(disk.f_bavail) /
                                                  static_cast<double>(disk.f_blocks);
    const std::string seen = fmt::format("{} has {} MiB free ({:.0f}%)",
                                         config.audit_directory.string(), free_mib, share);
    const std::string remedy =
        "Enlarge the disk, or keep less: audit.retention_days and domicile audit retention apply. "
        "When it is full, strict requests get 503.";
    if (free_mib < 100) {
      report.fail(Check::event_log_space, seen, remedy);
    } else if (free_mib < 1024 || share < 5) {
      report.warn(Check::event_log_space, seen, remedy);
    } else {
      report.ok(Check::event_log_space, seen);
    }
  }
  struct stat facts{};
  if (::stat(config.audit_directory.c_str(), &facts) != 0) {
    report.warn(
        Check::event_log, config.audit_directory.string() + " is not there yet",
        "The node makes it when it first starts; if it has run already, events are missing.");
    return;
  }
  if ((facts.st_mode & 077) != 0) {
    report.warn(Check::event_log,
                fmt::format("{} has mode {:03o}: others can read or change events",
                            config.audit_directory.string(), facts.st_mode & 0777),
                fmt::format("chmod 700 {}", config.audit_directory.string()));
    return;
  }
  examine_log(config, report);
}

}  // namespace domicile::app
