#include "issuer/discovery.h"

#include <optional>

#include <nlohmann/json.hpp>

namespace domicile::issuer {
namespace {

constexpr std::size_t kBodyBytesMax = 512;

http::Response refuse(std::string_view reason, std::string_view detail,
                      const http::Request& request) {
  return http::problem(400, reason, detail, request);
}

// The only member of the body: its name and its text.
std::optional<std::pair<std::string, std::string>> only_member(std::string_view body) {
  if (body.size() > kBodyBytesMax) return std::nullopt;
  int members = 0;
  const auto count = [&](int, nlohmann::json::parse_event_t event, nlohmann::json&) {
    if (event == nlohmann::json::parse_event_t::key) ++members;  // a duplicate is a second member
    return true;
  };
  const auto object = nlohmann::json::parse(body, count, false);
  if (!object.is_object() || object.size() != 1 || members != 1 || !object.begin()->is_string())
    return std::nullopt;
  return std::pair{object.begin().key(), object.begin()->get<std::string>()};
}

}  // namespace

std::string canonical_domain(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 253 || text.find('.') == std::string_view::npos) return {};
  std::string out;
  std::size_t label = 0;
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (c == '.') {
      if (label == 0 || out.back() == '-') return {};
      label = 0;
    } else if (!(alnum || (c == '-' && label > 0)) || ++label > 63) {
      return {};
    }
    out.push_back(c);
  }
  return label == 0 || out.back() == '-' ? std::string() : out;
}

http::Response discover(const http::Request& request, const domain::RegistrySnapshot& snapshot,
                        const Locator& locator) {
  const auto member = only_member(request.body);
  if (!member || (member->first != "organization" && member->first != "domain")) {
    return refuse("discovery_malformed", "send {\"organization\": slug} or {\"domain\": name}",
                  request);
  }
  const auto& [name, text] = *member;
  if (text.find('@') != std::string::npos) {
    return refuse("discovery_address", "send an organization or a domain, never a person's address",
                  request);
  }
  std::optional<Located> located;
  if (name == "domain") {
    const std::string domain_name = canonical_domain(text);
    if (domain_name.empty())
      return refuse("discovery_malformed", "this is not a domain name", request);
    located = locator.by_domain(snapshot, domain_name);
  } else {
    if (!domain::parse_org_key(text))
      return refuse("discovery_malformed", "this is not an organization's slug", request);
    located = locator.by_name(snapshot, text);
  }
  if (!located) return http::problem(503, "registry_unavailable", "try again in a moment", request);
  return http::json_response(
      200, nlohmann::json{{"region", located->region->id.text()}, {"issuer", located->region->url}}
               .dump());
}

}  // namespace domicile::issuer
