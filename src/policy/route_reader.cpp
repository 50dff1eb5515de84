#include "policy/route_reader.h"

#include <algorithm>

#include <toml++/toml.h>

namespace domicile::policy {
namespace {

bool flag_at(const toml::table& table, std::string_view key, Findings& findings) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return false;
  if (const auto* flag = node->as_boolean()) return flag->get();
  findings.add(line_of(*node), fmt::format("'{}' must be true or false", key));
  return false;
}

std::vector<std::string> texts_at(const toml::table& table, std::string_view key,
                                  Findings& findings) {
  std::vector<std::string> out;
  const toml::node* node = table.get(key);
  if (node == nullptr) return out;
  const auto* array = node->as_array();
  bool ok = array != nullptr && !array->empty();
  if (ok) {
    for (const auto& item : *array) {
      if (const auto* text = item.as_string()) {
        out.push_back(text->get());
      } else {
        ok = false;
      }
    }
  }
  if (!ok)
    findings.add(line_of(*node),
                 fmt::format("'{}' must be a list of strings, such as {} = [\"...\"]", key, key));
  return out;
}

bool is_token(std::string_view text) {  // RFC 9110 section 5.6.2, lower case
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

domain::Activity activity_of(Method method) {
  switch (method) {
    case Method::get:
    case Method::head:
    case Method::options: return domain::Activity::read;
    case Method::post: return domain::Activity::create;
    case Method::put:
    case Method::patch: return domain::Activity::update;
    case Method::remove: return domain::Activity::remove;
  }
  return domain::Activity::other;
}

}  // namespace

std::uint32_t line_of(const toml::node& node) { return node.source().begin.line; }

void refuse_unknown_keys(const toml::table& table, std::initializer_list<std::string_view> known,
                         std::string_view where, Findings& findings) {
  for (const auto& [key, value] : table) {
    if (std::ranges::find(known, key.str()) != known.end()) continue;
    std::string list;
    for (const auto name : known) list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
    findings.add(key.source().begin.line,
                 fmt::format("unknown key '{}' in {}; known: {}", key.str(), where, list));
  }
}

// The string at `key`; empty and silent when absent.
std::string text_at(const toml::table& table, std::string_view key, Findings& findings) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return {};
  if (const auto* text = node->as_string(); text != nullptr && !text->get().empty())
    return text->get();
  findings.add(line_of(*node), fmt::format("'{}' must be a non-empty string", key));
  return {};
}

bool is_label(std::string_view text) { return static_cast<bool>(domain::parse_role_name(text)); }

std::optional<AuditStrictness> parse_audit(const toml::table& table, Findings& findings) {
  const std::string text = text_at(table, "audit", findings);
  if (text == "strict") return AuditStrictness::strict;
  if (text == "bounded") return AuditStrictness::bounded;
  if (!text.empty())
    findings.add(line_of(*table.get("audit")), "'audit' is \"strict\" or \"bounded\"");
  return std::nullopt;
}

RouteReader::RouteReader(const toml::table& table, const Defaults& defaults, Findings& findings)
    : table_(table), findings_(findings) {
  rule_.line = line_of(table);
  rule_.audit = defaults.audit;
  rule_.upstream = defaults.upstream;
}

void RouteReader::read() {
  refuse_unknown_keys(table_,
                      {"name", "methods", "path", "organization", "permission", "roles", "activity",
                       "audit", "public", "upstream", "websocket"},
                      "[[route]]", findings_);
  rule_.name = required("name", "a name for events, such as \"courses.read\"");
  if (!std::ranges::all_of(rule_.name,
                           [](char c) {
                             return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
                                    c == '_' || c == '-';
                           }) ||
      rule_.name.size() > 100) {
    add("name", "a route's name is at most 100 of a-z 0-9 . _ -");
  }
  rule_.is_public = flag_at(table_, "public", findings_);
  rule_.websocket = flag_at(table_, "websocket", findings_);
  read_methods();
  read_path();
  read_organization();
  read_needs();
  read_activity();
  if (const auto audit = parse_audit(table_, findings_)) rule_.audit = *audit;
  if (const std::string upstream = text_at(table_, "upstream", findings_); !upstream.empty()) {
    if (!is_label(upstream))
      add("upstream", "an upstream's name is of a-z 0-9 _ -, starting with a letter");
    rule_.upstream = upstream;
  }
}

void RouteReader::add(std::string_view key, std::string_view message) {
  const toml::node* node = table_.get(key);
  findings_.add(node == nullptr ? rule_.line : line_of(*node), message);
}

std::string RouteReader::required(std::string_view key, std::string_view what) {
  if (table_.get(key) == nullptr)
    findings_.add(rule_.line, fmt::format("the route lacks '{}': {}", key, what));
  return text_at(table_, key, findings_);
}

void RouteReader::read_methods() {
  if (table_.get("methods") == nullptr) {
    findings_.add(rule_.line, "the route lacks 'methods': such as methods = [\"GET\", \"HEAD\"]");
  }
  for (const std::string& text : texts_at(table_, "methods", findings_)) {
    const auto method = parse_method(text);
    if (!method) {
      add("methods",
          fmt::format("'{}' is no method; one of GET HEAD POST PUT PATCH DELETE OPTIONS", text));
    } else if (std::ranges::find(rule_.methods, *method) != rule_.methods.end()) {
      add("methods", fmt::format("{} stands twice", text));
    } else {
      rule_.methods.push_back(*method);
    }
  }
}

void RouteReader::read_path() {
  rule_.path = required("path", "a pattern, such as \"/orgs/{org}/courses/{id}\"");
  if (rule_.path.empty()) return;
  if (auto pattern = parse_pattern(rule_.path)) {
    pattern_ = std::move(*pattern);
  } else {
    add("path", pattern.error().message);
  }
}

void RouteReader::read_organization() {
  const std::string text = text_at(table_, "organization", findings_);
  const auto colon = text.find(':');
  const std::string_view place = std::string_view(text).substr(0, colon);
  const std::string_view name =
      colon == std::string::npos ? "" : std::string_view(text).substr(colon + 1);
  if (table_.get("organization") == nullptr) {
    if (rule_.is_public) {
      rule_.place = OrganizationPlace::none;
      return;
    }
    findings_.add(
        rule_.line,
        "the route lacks 'organization': where the request names it: \"path:<parameter>\", "
        "\"header:<name>\" or \"token\"");
  } else if (place == "path") {
    read_path_place(name);
  } else if (place == "header") {
    read_header_place(name);
  } else if (text == "token") {
    rule_.place = OrganizationPlace::token;
    if (rule_.is_public)
      add("organization",
          "a public route has no token; use \"path:...\", \"header:...\" or leave it out");
  } else if (place == "query") {
    add("organization",
        "the organization cannot stand in the query (it is logged and cached there); move it to "
        "the path or a header");
  } else if (!text.empty()) {
    add("organization",
        fmt::format("'{}' is no place; write \"path:<parameter>\", \"header:<name>\" or \"token\"",
                    text));
  }
}

void RouteReader::read_path_place(std::string_view name) {
  rule_.place = OrganizationPlace::path;
  const auto at = std::ranges::find_if(pattern_, [&](const PatternSegment& segment) {
    return segment.kind == PatternSegment::Kind::parameter && segment.text == name;
  });
  if (at == pattern_.end()) {
    add("organization", fmt::format("the path has no parameter {{{}}} of one segment", name));
    return;
  }
  rule_.organization_segment = static_cast<std::size_t>(at - pattern_.begin());
}

void RouteReader::read_header_place(std::string_view name) {
  rule_.place = OrganizationPlace::header;
  rule_.organization_header = name;
  std::ranges::transform(rule_.organization_header, rule_.organization_header.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  const std::string& header = rule_.organization_header;
  constexpr std::string_view kTaken[] = {
      "authorization",     "cookie", "host",    "connection", "content-length", "content-type",
      "transfer-encoding", "te",     "upgrade", "forwarded"};
  if (!is_token(header)) {
    add("organization", fmt::format("'{}' is no header name", name));
  } else if (std::ranges::find(kTaken, header) != std::end(kTaken) ||
             header.starts_with("domicile-") || header.starts_with("x-forwarded-")) {
    add("organization",
        fmt::format("header {} has another meaning; use one of your own, such as X-Organization",
                    name));
  }
}

void RouteReader::read_needs() {
  const std::string permission = text_at(table_, "permission", findings_);
  for (const std::string& text : texts_at(table_, "roles", findings_)) {
    auto role = domain::parse_role_name(text);
    if (role) {
      rule_.roles.push_back(std::move(*role));
    } else {
      add("roles", role.error().message);
    }
  }
  std::ranges::sort(rule_.roles);
  if (std::ranges::adjacent_find(rule_.roles) != rule_.roles.end())
    add("roles", "a role stands twice");
  if (rule_.is_public) {
    if (table_.get("permission") != nullptr)
      add("permission", "a public route needs nobody, so it cannot need a permission");
    if (table_.get("roles") != nullptr)
      add("roles", "a public route needs nobody, so it cannot need a role");
    return;
  }
  if (table_.get("permission") == nullptr) {
    findings_.add(rule_.line,
                  "the route lacks 'permission': such as permission = \"courses:read\", or "
                  "\"none\" to admit every "
                  "member of the organization");
  } else if (!permission.empty() && permission != "none") {
    if (auto parsed = domain::parse_permission(permission)) {
      rule_.permission = std::move(*parsed);
    } else {
      add("permission", parsed.error().message);
    }
  }
}

void RouteReader::read_activity() {
  const std::string text = text_at(table_, "activity", findings_);
  if (table_.get("activity") == nullptr) {
    for (const Method method : rule_.methods) {
      if (activity_of(method) != activity_of(rule_.methods.front())) {
        findings_.add(rule_.line,
                      "the methods mean different activities; split the route or write 'activity'");
        return;
      }
    }
    if (!rule_.methods.empty()) rule_.activity = activity_of(rule_.methods.front());
  } else if (text == "create") {
    rule_.activity = domain::Activity::create;
  } else if (text == "read") {
    rule_.activity = domain::Activity::read;
  } else if (text == "update") {
    rule_.activity = domain::Activity::update;
  } else if (text == "delete") {
    rule_.activity = domain::Activity::remove;
  } else if (!text.empty()) {
    add("activity", "'activity' is \"create\", \"read\", \"update\" or \"delete\"");
  }
}

}  // namespace domicile::policy
