// Routing over HTTP, as a client sees it: the probe's request goes to every region's door.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "compliance/cross_checks.h"
#include "http/client.h"

namespace domicile::compliance {
namespace {

std::string form_encode(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += static_cast<char>(c);
    } else {
      out += fmt::format("%{:02X}", c);
    }
  }
  return out;
}

http::Client client_for(const CheckedRegion& region) {
  http::ClientOptions options;
  options.ca_file = region.ca_file;
  return http::Client(options);
}

// The probe's access token: from its file, or from the home region's issuer.
Result<Secret> token_of(const Probe& probe, const CheckedRegion& home) {
  if (!probe.token_file.empty()) return read_secret_file(probe.token_file);
  const Secret secret = TRY(read_secret_file(probe.client_secret_file));
  http::Client client = client_for(home);
  http::ClientRequest request;
  request.method = "POST";
  request.url = home.url + "/oauth2/token";
  request.headers = {{"content-type", "application/x-www-form-urlencoded"}};
  request.body = fmt::format("grant_type=client_credentials&client_id={}&client_secret={}",
                             form_encode(probe.client_id), form_encode(secret.reveal()));
  const http::Response answer = TRY(client.send(request));
  if (answer.status != 200) {
    return fail(Code::unauthenticated, fmt::format("{} gives no token to client {}: it answers {}",
                                                   home.url, probe.client_id, answer.status));
  }
  const auto json = nlohmann::json::parse(answer.body, nullptr, false);
  if (json.is_discarded() || !json.is_object() || !json.contains("access_token") ||
      !json["access_token"].is_string()) {
    return fail(Code::invalid, fmt::format("{} answers without an access_token", request.url));
  }
  return Secret(json["access_token"].get<std::string>());
}

std::string header(const http::Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

void probe_home(const Probe& probe, RegionUnderCheck& home, const http::Response& answer) {
  const std::string resource = "organization " + probe.organization.text();
  if (answer.status >= 200 && answer.status < 300) {
    home.findings->pass("DOM-RTE-001", resource,
                        fmt::format("{} answers {}", probe.path, answer.status), 1);
  } else {
    home.findings->fail("DOM-RTE-001", resource,
                        fmt::format("{} answers {} at home", probe.path, answer.status));
  }
}

void probe_abroad(const Probe& probe, const CheckedRegion& home, RegionUnderCheck& abroad,
                  const http::Response& answer) {
  const std::string resource =
      fmt::format("organization {} of {}", probe.organization.text(), home.name.text());
  const std::string location = header(answer, "location");
  const bool redirected = answer.status == 307 || answer.status == 308;
  if (answer.status != 421 && !redirected) {
    abroad.findings->fail(
        "DOM-RTE-002", resource,
        fmt::format("{} answers {}, not 307, 308 or 421", probe.path, answer.status));
  } else if ((redirected || !location.empty()) && !location.starts_with(home.url + "/")) {
    abroad.findings->fail(
        "DOM-RTE-002", resource,
        fmt::format("{} sends it to {}, not to {}", answer.status, location, home.url));
  } else {
    abroad.findings->pass(
        "DOM-RTE-002", resource,
        fmt::format("answers {}{}", answer.status, location.empty() ? "" : " to " + home.url), 1);
  }
}

void run_probe(const Probe& probe, RegionUnderCheck& home, std::vector<RegionUnderCheck>& regions) {
  const std::string resource = "organization " + probe.organization.text();
  const auto token = token_of(probe, *home.config);
  if (!token) {
    home.findings->error("DOM-RTE-001", resource, token.error().message);
    for (auto& region : regions) {
      if (region.config != home.config)
        region.findings->error("DOM-RTE-002", resource, "no token: " + token.error().message);
    }
    return;
  }
  for (auto& region : regions) {
    const bool at_home = region.config == home.config;
    if (region.config->url.empty()) continue;
    http::Client client = client_for(*region.config);
    http::ClientRequest request;
    request.url = region.config->url + probe.path;
    request.bearer = *token;
    const auto answer = client.send(request);
    if (!answer) {
      region.findings->error(at_home ? "DOM-RTE-001" : "DOM-RTE-002", resource,
                             answer.error().message);
    } else if (at_home) {
      probe_home(probe, home, *answer);
    } else {
      probe_abroad(probe, *home.config, region, *answer);
    }
  }
}

}  // namespace

void check_routing(std::vector<RegionUnderCheck>& regions) {
  for (auto& home : regions) {
    for (const auto& probe : home.config->probes) run_probe(probe, home, regions);
  }
  for (auto& region : regions) {
    if (region.config->url.empty()) {
      for (const char* id : {"DOM-RTE-001", "DOM-RTE-002"})
        region.findings->not_run(id, "the region's url is not configured");
      continue;
    }
    if (!region.findings->said("DOM-RTE-001")) {
      region.findings->not_run("DOM-RTE-001",
                               "no probe for an organization of this region: add [[region.probe]]");
    }
    if (!region.findings->said("DOM-RTE-002")) {
      region.findings->not_run("DOM-RTE-002",
                               regions.size() < 2
                                   ? "there is no other region"
                                   : "no other region has a probe: add [[region.probe]] there");
    }
  }
}

}  // namespace domicile::compliance
