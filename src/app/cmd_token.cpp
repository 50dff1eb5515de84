// domicile token get
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/directory_verb.h"
#include "base/clock.h"
#include "base/encoding.h"
#include "base/file.h"
#include "http/client.h"

namespace domicile::app {
namespace {

struct TokenOptions {
  std::string issuer, client, client_secret_file, organization, username, password_file,
      refresh_token_file, scope;
  std::string ca_file;
};

using http::form_encoded;

Result<std::string> form_of(const TokenOptions& options) {
  std::string form;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!form.empty()) form.push_back('&');
    form += std::string(name) + '=' + form_encoded(value);
  };
  if (!options.username.empty()) {
    if (options.organization.empty())
      return fail(Code::invalid, "--username needs --org, the organization's slug");
    add("grant_type", "password");
    add("organization", options.organization);
    add("username", options.username);
    add("password", TRY(read_password(options.password_file)).reveal());
  } else if (!options.refresh_token_file.empty()) {
    add("grant_type", "refresh_token");
    add("refresh_token", TRY(read_secret_file(options.refresh_token_file)).reveal());
  } else {
    if (options.client_secret_file.empty()) {
      return fail(Code::invalid,
                  "give --username and --org for a person, or --client-secret-file for a service");
    }
    add("grant_type", "client_credentials");
  }
  if (options.client_secret_file.empty()) add("client_id", options.client);
  if (!options.scope.empty()) add("scope", options.scope);
  return form;
}

std::unexpected<Error> refused(int status, const nlohmann::json& body) {
  const auto text = [&](const char* name) {
    return body.is_object() && body.contains(name) && body[name].is_string()
               ? body[name].get<std::string>()
               : "";
  };
  const std::string error = text("error");
  if (error == "wrong_region") {
    return fail(Code::wrong_region,
                fmt::format("this organization signs in at {}: use --issuer {}", text("issuer"),
                            text("issuer")),
                error);
  }
  const Code code = status == 429 || status >= 500 ? Code::unavailable
                    : status == 401                ? Code::unauthenticated
                                                   : Code::denied;
  return fail(
      code, fmt::format("the issuer answered {} {}: {}", status, error, text("error_description")),
      error);
}

Result<int> get(const Cli& cli, const TokenOptions& options) {
  http::Client client({.ca_file = options.ca_file});
  http::ClientRequest request;
  request.method = "POST";
  request.url = options.issuer + "/oauth2/token";
  request.headers = {{"content-type", "application/x-www-form-urlencoded"},
                     {"accept", "application/json"}};
  if (!options.client_secret_file.empty()) {
    const Secret secret = TRY(read_secret_file(options.client_secret_file));
    request.headers.emplace_back(
        "authorization",
        "Basic " + to_base64(form_encoded(options.client) + ':' + form_encoded(secret.reveal())));
  }
  request.body = TRY(form_of(options));
  const auto response = TRY(client.send(request));
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  if (response.status != 200) return refused(response.status, body);
  if (!body.is_object() || !body.contains("access_token") || !body["access_token"].is_string()) {
    return fail(Code::internal, "the issuer's answer holds no access token");
  }
  print(cli.json ? body.dump(2) : body["access_token"].get<std::string>());
  return 0;
}

struct RevokeOptions {
  DirectoryOptions directory;
  std::string token_id, user, organization;
};

Result<int> revoke(const Cli& cli, const RevokeOptions& options) {
  using Kind = store::Revocation::Kind;
  const int named =
      !options.token_id.empty() + !options.user.empty() + !options.organization.empty();
  if (named != 1) return fail(Code::invalid, "give one of --jti, --user and --org");
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  const std::int64_t now_s = SystemClock().unix_seconds();
  constexpr std::int64_t kLongestLife = 24 * 3600 + 300;
  store::Revocation revocation{.issued_before = now_s, .expires_at = now_s + kLongestLife};
  domain::OrgKey organization;
  std::string what;
  if (!options.user.empty()) {
    const auto user = TRY(directory->find_user(domain::UserId(options.user)));
    if (!user) return fail(Code::not_found, "no such user in this region");
    revocation.kind = Kind::user;
    revocation.subject = options.user;
    organization = user->organization;
    what = "every token and session of user " + options.user;
  } else if (!options.organization.empty()) {
    organization = TRY(domain::parse_org_key(options.organization));
    if (!TRY(directory->homed(organization)))
      return fail(Code::denied, "this organization is not homed in this region");
    revocation.kind = Kind::organization;
    revocation.subject = organization.text();
    what = "every access token of organization " + organization.text();
  } else {
    revocation.kind = Kind::token;
    revocation.subject = options.token_id;
    what = "access token " + options.token_id;
  }
  TRY(directory->revoke_tokens(revocation, organization, now_s, by));
  const bool dry = options.directory.dry_run;
  if (cli.json) {
    print(
        nlohmann::json{{"revoked", what}, {"issued_before", utc(now_s)}, {"dry_run", dry}}.dump(2));
  } else {
    print(
        fmt::format("{}: {} issued up to {}", dry ? "would revoke" : "revoked", what, utc(now_s)));
  }
  return 0;
}

void add_revoke(CLI::App& token, Cli& cli) {
  const auto options = std::make_shared<RevokeOptions>();
  auto* revokes = token.add_subcommand(
      "revoke", "Call access tokens back; every node of the region refuses them within a second");
  add_directory_options(*revokes, options->directory, Verb::changes);
  revokes->add_option("--jti", options->token_id, "One token, by its identifier");
  revokes->add_option("--user", options->user,
                      "All of a user (u_...), with refresh tokens and browser sessions");
  revokes->add_option("--org", options->organization, "All access tokens of an organization");
  revokes->callback(cli.run([&cli, options] { return revoke(cli, *options); }));
}

}  // namespace

void add_token(CLI::App& root, Cli& cli) {
  auto* token = root.add_subcommand("token", "Access tokens, for scripts");
  token->require_subcommand(1);
  const auto options = std::make_shared<TokenOptions>();
  auto* gets =
      token->add_subcommand("get", "Ask a regional issuer for an access token and print it");
  gets->add_option("--issuer", options->issuer, "The issuer's address, https://ca.example.com")
      ->required();
  gets->add_option("--client", options->client, "Client identifier")->required();
  gets->add_option("--client-secret-file", options->client_secret_file,
                   "File (mode 600) with the client's secret")
      ->type_name("FILE");
  gets->add_option("--org", options->organization, "Slug of the organization to sign in at");
  gets->add_option("--username", options->username, "Login name");
  gets->add_option("--password-file", options->password_file,
                   "File (mode 600) with the password, - for standard input; without it the "
                   "terminal is asked")
      ->type_name("FILE");
  gets->add_option("--refresh-token-file", options->refresh_token_file,
                   "File (mode 600) with a refresh token")
      ->type_name("FILE");
  gets->add_option("--scope", options->scope,
                   "Permissions to ask for, with spaces between; without it: all");
  gets->add_option("--ca-file", options->ca_file,
                   "Certificate authorities to trust; without it the system's")
      ->type_name("FILE");
  gets->callback(cli.run([&cli, options] { return get(cli, *options); }));
  add_revoke(*token, cli);
}

}  // namespace domicile::app
