// domicile grant create | list | revoke
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/directory_verb.h"
#include "base/clock.h"

namespace domicile::app {
namespace {

constexpr std::int64_t kLifetimeMaxS = 366 * 86400;

struct GrantOptions {
  DirectoryOptions directory;
  WhichUser which;
  std::string target, ticket, expires, lasts, id, organization;
  std::vector<std::string> permissions;
};

nlohmann::json json_of(const store::AccessGrant& grant) {
  nlohmann::json json = {{"id", grant.id},
                         {"user", grant.user.text()},
                         {"organization", grant.organization.text()},
                         {"target", grant.target.text()},
                         {"ticket", grant.ticket},
                         {"granted_by", grant.granted_by},
                         {"created_at", utc(grant.created_at)},
                         {"expires_at", utc(grant.expires_at)}};
  for (const auto& permission : grant.permissions) json["permissions"].push_back(permission.text());
  if (grant.revoked_at) json["revoked_at"] = utc(*grant.revoked_at);
  return json;
}

std::string text_of(const store::AccessGrant& grant) {
  std::string permissions;
  for (const auto& p : grant.permissions)
    permissions += (permissions.empty() ? "" : ",") + p.text();
  return fmt::format("{}  {} of {} in {}  {}  until {}  ticket {}{}", grant.id, grant.user.text(),
                     grant.organization.text(), grant.target.text(), permissions,
                     utc(grant.expires_at), grant.ticket,
                     grant.revoked_at ? "  revoked " + utc(*grant.revoked_at) : "");
}

Result<std::int64_t> expiry(const GrantOptions& options, std::int64_t now_s) {
  if (options.expires.empty() == options.lasts.empty()) {
    return fail(Code::invalid, "a grant ends: write --expires 2026-12-31T00:00:00Z, or --for 8h");
  }
  const std::int64_t at = options.lasts.empty() ? TRY(parse_utc(options.expires))
                                                : now_s + TRY(parse_duration(options.lasts));
  if (at <= now_s) return fail(Code::invalid, "the grant's expiry is in the past");
  if (at > now_s + kLifetimeMaxS)
    return fail(Code::invalid, "a grant lasts a year at most; renew it when it is still needed");
  return at;
}

Result<int> create(const Cli& cli, const GrantOptions& options) {
  const std::int64_t now_s = SystemClock().unix_seconds();
  store::AccessGrant grant;
  grant.id = new_id("g_");
  grant.target = TRY(domain::parse_org_key(options.target));
  grant.permissions = TRY(parse_permissions(options.permissions));
  grant.ticket = options.ticket;
  grant.created_at = now_s;
  grant.expires_at = TRY(expiry(options, now_s));
  if (grant.ticket.empty() || grant.ticket.size() > 128)
    return fail(Code::invalid, "--ticket has 1 to 128 characters");
  if (grant.permissions.size() > 64)
    return fail(Code::invalid, "a grant names 64 permissions at most");
  const auto by = TRY(administrator(options.directory));
  grant.granted_by = by.name;
  auto directory = TRY(open_directory(options.directory));
  const auto user = TRY(find_user(*directory, options.which));
  grant.user = user.id;
  grant.organization = user.organization;
  if (grant.target == grant.organization) {
    return fail(Code::invalid,
                "the target is the user's own organization: give the user a role instead");
  }
  if (!user.active) return fail(Code::invalid, "the user is disabled");
  if (!TRY(directory->homed(grant.target))) {
    return fail(
        Code::denied,
        fmt::format("organization {} is not homed in {}: a grant never reaches across regions",
                    grant.target.text(), TRY(directory->region()).text()),
        "grant_cross_region");
  }
  TRY(directory->add_grant(grant, by));
  if (cli.json) {
    auto json = json_of(grant);
    json["dry_run"] = options.directory.dry_run;
    print(json.dump(2));
  } else {
    print(fmt::format("{}granted: {}", options.directory.dry_run ? "would have " : "",
                      text_of(grant)));
  }
  return 0;
}

Result<int> list(const Cli& cli, const GrantOptions& options) {
  std::optional<domain::OrgKey> organization;
  if (!options.organization.empty())
    organization = TRY(domain::parse_org_key(options.organization));
  auto directory = TRY(open_directory(options.directory));
  auto json = nlohmann::json::array();
  for (const auto& grant : TRY(directory->grants(organization))) {
    if (cli.json) {
      json.push_back(json_of(grant));
    } else {
      print(text_of(grant));
    }
  }
  if (cli.json) print(json.dump(2));
  return 0;
}

Result<int> revoke(const Cli& cli, const GrantOptions& options) {
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  TRY(directory->revoke_grant(options.id, SystemClock().unix_seconds(), by));
  if (cli.json) {
    print(nlohmann::json{
        {"id", options.id}, {"revoked", true}, {"dry_run", options.directory.dry_run}}
              .dump(2));
  } else {
    print(fmt::format("{}revoked {}; tokens that carry it end within their life of minutes",
                      options.directory.dry_run ? "would have " : "", options.id));
  }
  return 0;
}

}  // namespace

void add_grant(CLI::App& root, Cli& cli) {
  auto* grant = root.add_subcommand(
      "grant", "Access of one organization's person to another organization of this region");
  grant->require_subcommand(1);
  const auto options = std::make_shared<GrantOptions>();
  const auto verb = [&](const char* name, const char* what, Verb kind, auto body) {
    auto* app = grant->add_subcommand(name, what);
    add_directory_options(*app, options->directory, kind);
    app->callback(cli.run([&cli, options, body] { return body(cli, *options); }));
    return app;
  };
  auto* creates = verb("create", "Let a person act in another organization, for a while",
                       Verb::changes, create);
  add_which_user(*creates, options->which);
  creates->add_option("--target", options->target, "Key of the organization to act in")->required();
  creates->add_option("--permission", options->permissions, "What may be done there; several times")
      ->required();
  creates->add_option("--ticket", options->ticket, "Where this was approved")->required();
  creates->add_option("--expires", options->expires, "When it ends: 2026-12-31T00:00:00Z");
  creates->add_option("--for", options->lasts, "How long it lasts: 30m, 8h, 7d");
  auto* lists = verb("list", "Grants, past ones included", Verb::reads, list);
  lists->add_option("--org", options->organization, "Only those from or to this organization");
  auto* revokes = verb("revoke", "End a grant now", Verb::changes, revoke);
  revokes->add_option("id", options->id, "The grant")->required();
}

}  // namespace domicile::app
