// The route file: which requests the application may receive, and what each of them needs. Deny by
// default: what no route matches is refused. Reviewed by people, so the parser is strict: every
// unknown key, malformed value and ambiguous pair of patterns is an error with its line and remedy,
// and all errors are reported at once. docs/routes.md is the format's reference.
//
// match() walks a trie of path segments: no allocation, no lock. A literal segment is preferred to
// a {parameter}, a parameter to a {rest...}; two routes whose patterns overlap, with neither a
// special case of the other, are refused at load. Immutable after parse(); any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/event.h"
#include "domain/names.h"

namespace domicile::policy {

enum class Method : std::uint8_t { get, head, post, put, patch, remove, options };
std::string_view to_string(Method method);
std::optional<Method> parse_method(std::string_view text);  // exact upper-case names

// Where the request says which organization it is about. Never the query: queries are logged,
// cached and shared.
enum class OrganizationPlace {
  path,    // a {parameter} of the pattern
  header,  // one header, by name
  token,   // the principal's own organization
  none,    // public routes about no organization
};

enum class AuditStrictness {
  strict,   // no event, no request: refused when the event cannot be stored
  bounded,  // may wait in a queue of stated size
};

struct RouteRule {
  std::string name;  // unique; the operation in events: "courses.read"
  std::vector<Method> methods;
  std::string path;  // the pattern as written
  OrganizationPlace place = OrganizationPlace::token;
  std::string organization_header;       // lower case, for OrganizationPlace::header
  std::size_t organization_segment = 0;  // index of the path segment, for OrganizationPlace::path
  domain::Permission permission;  // empty: none needed (public routes, or `permission = "none"`)
  std::vector<domain::RoleName> roles;  // sorted; one of them is needed; empty: any role
  domain::Activity activity = domain::Activity::other;
  AuditStrictness audit = AuditStrictness::strict;
  bool is_public = false;   // needs no principal
  bool websocket = false;   // a WebSocket handshake may become a tunnel
  std::string upstream;     // name of the upstream, "app" unless the file says otherwise
  std::uint32_t index = 0;  // position in rules()
  std::uint32_t line = 0;   // in the file, for messages
};

enum class MatchOutcome { found, no_route, method_not_allowed };

// Views live as long as the policy and the request's path.
struct RouteMatch {
  MatchOutcome outcome = MatchOutcome::no_route;
  const RouteRule* rule = nullptr;        // when found
  std::string_view organization_in_path;  // for OrganizationPlace::path
};

class RoutePolicy {
 public:
  // `name` is shown in errors ("routes.toml:12: ..."). Code::invalid with all findings, one a line.
  static Result<std::shared_ptr<const RoutePolicy>> parse(std::string_view toml,
                                                          std::string_view name);
  ~RoutePolicy();
  RoutePolicy(const RoutePolicy&) = delete;
  RoutePolicy& operator=(const RoutePolicy&) = delete;

  // `path` is the normalized path of wire's codec, without query.
  RouteMatch match(std::string_view method, std::string_view path) const;

  std::span<const RouteRule> rules() const;
  // Distinct upstream names, sorted: the gateway must have an address for each.
  std::span<const std::string> upstreams() const;

  struct Tables;  // internal: policy/route_tables.h

 private:
  explicit RoutePolicy(std::unique_ptr<const Tables> tables);
  std::unique_ptr<const Tables> tables_;
};

}  // namespace domicile::policy
