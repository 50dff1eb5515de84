#include <cmath>
#include <ctime>

#include <fmt/format.h>

#include "app/doctor_checks.h"
#include "base/file.h"
#include "http/client.h"
#include "registry/postgresql_store.h"
#include "registry/registry_source.h"
#include "registry/snapshot_file.h"

namespace domicile::app {
namespace {

using std::chrono::milliseconds;
using Snapshot = std::shared_ptr<const domain::RegistrySnapshot>;

Result<http::Response> get(const NodeConfig& config, const std::string& url) {
  http::Client client({.ca_file = config.peer_ca_file,
                       .connect_ms = milliseconds(2'000),
                       .total_ms = milliseconds(5'000)});
  return client.send({.url = url});
}

// Seconds by which a server's Date differs from ours; 0 where it says none.
double clock_off(const http::Response& answer, const Clock& clock) {
  for (const auto& [name, value] : answer.headers) {
    std::tm time{};
    if (name != "date" || ::strptime(value.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time) == nullptr)
      continue;
    return static_cast<double>(::timegm(&time) - clock.unix_seconds());
  }
  return 0;
}

Result<store::RegistryHead> registry_head(const NodeConfig& config) {
  if (config.registry_source == RegistrySource::postgresql) {
    registry::PostgresqlStore store(
        {.dsn = TRY(read_secret_file(config.registry_dsn_file)), .connections = 1});
    return store.head();
  }
  registry::PeerSource source({.url = config.registry_url,
                               .peer_token = TRY(read_secret_file(config.peer_token_file)),
                               .ca_file = config.peer_ca_file,
                               .region = config.region.text(),
                               .certificate_file = config.peer_certificate,
                               .key_file = config.peer_key});
  store::RegistryHead head;
  for (;;) {  // a delta may be cut short
    auto delta = TRY(source.changes(head, 10'000, milliseconds(0)));
    head = delta.head;
    if (!delta.more) return head;
  }
}

Snapshot examine_registry(const NodeConfig& config, DoctorReport& report) {
  const auto head = registry_head(config);
  if (!head) {
    report.fail(Check::registry, head.error().message,
                config.registry_source == RegistrySource::postgresql
                    ? "Is the registry's database running, and registry.dsn_file right?"
                    : "Is the master region's door running, registry.url right, and the peer token "
                      "the same in both regions?");
  } else {
    report.ok(Check::registry, fmt::format("reached, revision {}", head->revision));
  }
  const auto file = config.state_directory / "registry.snapshot";
  auto snapshot = registry::load_snapshot(file);
  if (!snapshot) {
    report.warn(Check::snapshot, snapshot.error().message,
                "A node that reaches the registry writes it within seconds; without it a start "
                "while the registry is away serves nobody.");
    return domain::RegistrySnapshot::empty();
  }
  const std::uint64_t have = (*snapshot)->revision();
  if (head && head->registry_id != (*snapshot)->registry_id()) {
    report.fail(Check::snapshot, "the snapshot is of another registry than the one that is reached",
                "Correct the registry's address; only when the registry was made anew: remove the "
                "state folder of every node.");
  } else if (head && have > head->revision) {
    report.fail(
        Check::snapshot,
        fmt::format("the snapshot is at revision {}, the registry at {}: the registry went back",
                    have, head->revision),
        "The registry was restored from a backup: repeat the changes that are missing before "
        "anything else (docs/registry.md).");
  } else if (head && have < head->revision) {
    report.warn(
        Check::snapshot,
        fmt::format("the snapshot is at revision {}, the registry at {}", have, head->revision),
        "The node is not running, or does not follow: look at its log for \"follower\".");
  } else {
    report.ok(Check::snapshot,
              fmt::format("revision {}, {} organizations", have, (*snapshot)->size()));
  }
  return *snapshot;
}

void examine_door(const NodeConfig& config, DoctorReport& report) {
  const auto answer = get(config, config.issuer_url + "/readyz");
  if (!answer) {
    report.fail(
        Check::node_ready,
        fmt::format("{} is not answered: {}", config.issuer_url, answer.error().message),
        "Start the node (domicile serve), or correct what leads from issuer.url to http.listen.");
  } else if (answer->status != 200) {
    std::string what = answer->body.substr(0, 100);
    while (what.ends_with('\n')) what.pop_back();
    report.fail(Check::node_ready,
                fmt::format("the node answers {}, and is not ready: {}", answer->status, what),
                "What it names is among these findings, or in the node's log.");
  } else {
    report.ok(Check::node_ready, config.issuer_url + " is ready");
  }
}

void examine_upstream(const NodeConfig& config, DoctorReport& report) {
  for (const Endpoint& upstream : config.upstreams) {
    const std::string where = upstream.text();
    const auto answer = get(config, "http://" + where + "/");
    if (answer) {
      report.ok(Check::upstream, fmt::format("the application answers at {}", where));
    } else {
      report.fail(Check::upstream,
                  fmt::format("the application at {}: {}", where, answer.error().message),
                  "Start it, or correct gateway.upstream: requests get 502 until then.");
    }
  }
}

void examine_peers(const NodeConfig& config, const Clock& clock,
                   const domain::RegistrySnapshot& snapshot, DoctorReport& report) {
  for (const domain::Region& region : snapshot.regions()) {
    if (region.id == config.region) {
      if (region.url != config.issuer_url) {
        report.fail(Check::peers,
                    fmt::format("the registry says this region is at {}, issuer.url is {}",
                                region.url, config.issuer_url),
                    "Both must be the same address: other regions trust tokens of the registry's.");
      }
      continue;
    }
    const auto answer = get(config, region.url + "/.well-known/jwks.json");
    if (!answer || answer->status != 200) {
      report.warn(Check::peers,
                  fmt::format("{} at {}: {}", region.id.view(), region.url,
                              answer ? fmt::format("its keys answer with {}", answer->status)
                                     : answer.error().message),
                  "Without its keys, people of that region are told 401 here instead of the way "
                  "home. Its node, its certificate "
                  "(peers.ca_file) or the network between them.");
      continue;
    }
    report.ok(Check::peers, fmt::format("{} answers", region.id.view()));
    if (const double off = clock_off(*answer, clock); std::abs(off) > 10) {
      report.warn(
          Check::clock_peers,
          fmt::format("the clock of {} is {:+.0f} s from this machine's", region.id.view(), off),
          "Run NTP on both: tokens count 30 s to either side.");
    } else {
      report.ok(Check::clock_peers, fmt::format("{} has the same time", region.id.view()));
    }
  }
}

}  // namespace

void examine_network(const NodeConfig& config, const Clock& clock, DoctorReport& report) {
  const Snapshot snapshot = examine_registry(config, report);
  examine_door(config, report);
  examine_upstream(config, report);
  examine_peers(config, clock, *snapshot, report);
}

}  // namespace domicile::app
