#include "app/external_issuers.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/file.h"

namespace domicile::app {
namespace {

constexpr std::array<std::string_view, 8> kKeys = {
    "issuer",      "jwks_url",      "audiences", "organizations", "organization_claim",
    "roles_claim", "subject_claim", "roles"};

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  void error(const toml::node& at, std::string_view what) {
    errors_ += fmt::format("{}{}:{}: {}", errors_.empty() ? "" : "\n", name_,
                           at.source().begin.line, what);
  }

  void read_issuer(const toml::table& table) {
    for (const auto& [key, node] : table) {
      if (std::ranges::find(kKeys, key.str()) == kKeys.end())
        error(node, fmt::format("unknown key '{}'", key.str()));
    }
    token::ExternalIssuer out;
    out.issuer = text(table, "issuer", "write what the provider's tokens name as iss");
    out.jwks_url = text(table, "jwks_url", "write the https address of the provider's keys");
    if (!out.jwks_url.empty() && !out.jwks_url.starts_with("https://") &&
        !out.jwks_url.starts_with("http://127.0.0.1:") &&
        !out.jwks_url.starts_with("http://localhost:"))
      error(*table.get("jwks_url"), "jwks_url: must be https, or http on this machine");
    out.organization_claim =
        text(table, "organization_claim", "write the claim that holds the organization's key");
    out.audiences =
        texts(table, "audiences", "write the client identifiers that its tokens are for");
    out.roles_claim = optional_text(table, "roles_claim");
    if (table.contains("subject_claim")) out.subject_claim = optional_text(table, "subject_claim");
    read_organizations(table, out);
    read_roles(table, out);
    if (std::ranges::any_of(issuers_, [&](const auto& each) { return each.issuer == out.issuer; }))
      error(table, fmt::format("issuer {} stands here twice", out.issuer));
    issuers_.push_back(std::move(out));
  }

  Result<std::vector<token::ExternalIssuer>> finish() {
    if (!errors_.empty()) return fail(Code::invalid, errors_);
    return std::move(issuers_);
  }

 private:
  std::string text(const toml::table& table, std::string_view key, std::string_view remedy) {
    std::string out = optional_text(table, key);
    if (!table.contains(key)) error(table, fmt::format("{} is missing: {}", key, remedy));
    return out;
  }

  std::string optional_text(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return {};
    const auto value = node->value_exact<std::string>();
    if (!value || value->empty()) error(*node, fmt::format("{}: write text in quotes", key));
    return value.value_or("");
  }

  std::vector<std::string> texts(const toml::table& table, std::string_view key,
                                 std::string_view remedy) {
    std::vector<std::string> out;
    const toml::node* node = table.get(key);
    const toml::array* list = node == nullptr ? nullptr : node->as_array();
    if (list == nullptr || list->empty()) {
      error(node == nullptr ? table : *node, fmt::format("{} is a list: {}", key, remedy));
      return out;
    }
    for (const toml::node& item : *list) {
      const auto value = item.value_exact<std::string>();
      if (!value || value->empty())
        error(item, fmt::format("{}: write text in quotes", key));
      else
        out.push_back(*value);
    }
    return out;
  }

  void read_organizations(const toml::table& table, token::ExternalIssuer& out) {
    for (const std::string& text :
         texts(table, "organizations", "write the keys it may speak for, or [\"*\"] for all")) {
      if (text == "*") {
        out.any_organization = true;
        continue;
      }
      auto key = domain::parse_org_key(text);
      if (!key)
        error(*table.get("organizations"), key.error().message);
      else
        out.organizations.push_back(std::move(*key));
    }
    if (out.any_organization && !out.organizations.empty())
      error(*table.get("organizations"), "organizations: \"*\" stands alone");
    std::ranges::sort(out.organizations);
  }

  void read_roles(const toml::table& table, token::ExternalIssuer& out) {
    const toml::node* node = table.get("roles");
    if (node == nullptr) return;
    const toml::table* roles = node->as_table();
    if (roles == nullptr) return error(*node, "roles: write a table [issuer.roles]");
    if (out.roles_claim.empty()) error(*node, "roles: needs roles_claim as well");
    for (const auto& [group, value] : *roles) {
      const auto text = value.value_exact<std::string>();
      auto role = text ? domain::parse_role_name(*text) : fail(Code::invalid, "a role is text");
      if (!role)
        error(value, fmt::format("role of {}: {}", group.str(), role.error().message));
      else
        out.roles.emplace(group.str(), std::move(*role));
    }
  }

  const std::string& name_;
  std::string errors_;
  std::vector<token::ExternalIssuer> issuers_;
};

}  // namespace

Result<std::vector<token::ExternalIssuer>> parse_external_issuers(std::string_view text,
                                                                  const std::string& name) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return fail(Code::invalid,
                fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  Reader reader(name);
  for (const auto& [key, node] : table) {
    const toml::array* list = node.as_array();
    if (key.str() != "issuer" || list == nullptr || !list->is_homogeneous<toml::table>()) {
      reader.error(node,
                   fmt::format("unknown key '{}': only tables [[issuer]] stand here", key.str()));
      continue;
    }
    for (const toml::node& each : *list) reader.read_issuer(*each.as_table());
  }
  return reader.finish();
}

Result<std::vector<token::ExternalIssuer>> load_external_issuers(
    const std::filesystem::path& file) {
  if (file.empty()) return std::vector<token::ExternalIssuer>{};
  return parse_external_issuers(TRY(read_file(file, 1u << 20)), file.string());
}

}  // namespace domicile::app
