// domicile client create | list | disable | enable
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/directory_verb.h"
#include "base/file.h"
#include "issuer/client_authentication.h"
#include "issuer/redirect_uri.h"

namespace domicile::app {
namespace {

struct ClientOptions {
  DirectoryOptions directory;
  std::string id;
  std::string organization;
  std::vector<std::string> roles, permissions, redirect_uris, signed_out_uris;
  std::string secret_file;
  bool confidential = false, token_exchange = false;
};

std::string grant_types(const store::ClientAccount& client) {
  std::string out;
  if (client.client_credentials) out += " client_credentials";
  if (client.password) out += " password";
  if (client.refresh_token) out += " refresh_token";
  if (client.authorization_code) out += " authorization_code";
  if (client.token_exchange) out += " token_exchange";
  return out.empty() ? out : out.substr(1);
}

nlohmann::json json_of(const store::ClientAccount& client) {
  nlohmann::json json = {{"id", client.id},
                         {"grant_types", grant_types(client)},
                         {"has_secret", !client.secret_hash.empty()},
                         {"state", client.active ? "active" : "disabled"}};
  if (client.organization) json["organization"] = client.organization->text();
  for (const auto& permission : client.permissions)
    json["permissions"].push_back(permission.text());
  for (const auto& role : client.roles) json["roles"].push_back(role.text());
  if (!client.redirect_uris.empty()) json["redirect_uris"] = client.redirect_uris;
  if (!client.signed_out_uris.empty()) json["signed_out_uris"] = client.signed_out_uris;
  return json;
}

std::string text_of(const store::ClientAccount& client) {
  return fmt::format("{}  {}  {}  {}", client.id,
                     client.organization ? client.organization->text() : "-", grant_types(client),
                     client.active ? "active" : "disabled");
}

std::vector<std::string> sorted(std::vector<std::string> texts) {
  std::ranges::sort(texts);
  texts.erase(std::ranges::unique(texts).begin(), texts.end());
  return texts;
}

Result<int> create(const Cli& cli, const ClientOptions& options) {
  store::ClientAccount client;
  client.id = options.id;
  client.permissions = TRY(parse_permissions(options.permissions));
  client.roles = TRY(parse_roles(options.roles));
  for (const auto& uris : {options.redirect_uris, options.signed_out_uris}) {
    for (const std::string& uri : uris) TRY(issuer::check_redirect_uri(uri));
  }
  client.redirect_uris = sorted(options.redirect_uris);
  client.signed_out_uris = sorted(options.signed_out_uris);
  if (options.organization.empty()) {
    client.authorization_code = !client.redirect_uris.empty();
    client.token_exchange = options.token_exchange;
    client.password = !client.authorization_code && !client.token_exchange;
    client.refresh_token = client.authorization_code || client.password;
    if (!client.roles.empty()) return fail(Code::invalid, "--role is for services: give --org too");
  } else {
    if (!client.redirect_uris.empty() || !client.signed_out_uris.empty() || options.token_exchange)
      return fail(Code::invalid,
                  "--redirect-uri and --token-exchange are for applications, which have no --org");
    client.organization = TRY(domain::parse_org_key(options.organization));
    client.client_credentials = true;
  }
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  Secret secret;
  if (client.client_credentials || options.confidential) {
    secret = issuer::new_client_secret();
    client.secret_hash = issuer::client_secret_hash(secret);
  } else if (!options.secret_file.empty()) {
    return fail(Code::invalid,
                "--secret-file is for clients with a secret: give --org or --confidential too");
  }
  const bool keep = !options.directory.dry_run && !options.secret_file.empty();
  if (keep) TRY(write_file_atomic(options.secret_file, std::string(secret.reveal()) + "\n", 0600));
  if (auto added = directory->add_client(client, by); !added) {
    if (keep) (void)::remove(options.secret_file.c_str());
    return std::unexpected(std::move(added).error().within("creating client " + client.id));
  }
  auto json = json_of(client);
  json["dry_run"] = options.directory.dry_run;
  const bool tell = !secret.empty() && !options.directory.dry_run && options.secret_file.empty();
  if (tell) json["secret"] = std::string(secret.reveal());  // the only time that it is shown
  if (cli.json) {
    print(json.dump(2));
  } else {
    print(fmt::format("{}created: {}", options.directory.dry_run ? "would have " : "",
                      text_of(client)));
    if (tell) print(fmt::format("secret, shown once: {}", secret.reveal()));
  }
  return 0;
}

Result<int> list(const Cli& cli, const ClientOptions& options) {
  auto directory = TRY(open_directory(options.directory));
  auto json = nlohmann::json::array();
  for (const auto& client : TRY(directory->clients())) {
    if (cli.json) {
      json.push_back(json_of(client));
    } else {
      print(text_of(client));
    }
  }
  if (cli.json) print(json.dump(2));
  return 0;
}

Result<int> set_active(const Cli& cli, const ClientOptions& options, bool active) {
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  auto client = TRY(directory->find_client(options.id));
  if (!client) return fail(Code::not_found, "no such client in this region");
  TRY(directory->set_client_active(*client, active, by));
  client->active = active;
  print(cli.json ? json_of(*client).dump(2) : text_of(*client));
  return 0;
}

}  // namespace

void add_client(CLI::App& root, Cli& cli) {
  auto* client =
      root.add_subcommand("client", "Applications and services that ask this region for tokens");
  client->require_subcommand(1);
  const auto options = std::make_shared<ClientOptions>();
  const auto verb = [&](const char* name, const char* what, Verb kind, auto body) {
    auto* app = client->add_subcommand(name, what);
    add_directory_options(*app, options->directory, kind);
    app->callback(cli.run([&cli, options, body] { return body(cli, *options); }));
    return app;
  };
  auto* creates = verb("create", "Add a service (with --org), or a first-party application",
                       Verb::changes, create);
  creates->add_option("--id", options->id, "Identifier: 1 to 64 of A-Z a-z 0-9 _ . -")->required();
  creates->add_option("--org", options->organization,
                      "Key of the organization that the service works for");
  creates->add_option("--permission", options->permissions,
                      "Of a service: what it may do; of an application: the most it may do for a "
                      "person. Several times");
  creates->add_option("--role", options->roles, "A role of the service; several times");
  creates
      ->add_option("--redirect-uri", options->redirect_uris,
                   "Where the browser goes after signing in; several times. The application then "
                   "uses the sign-in page (authorization code with PKCE) instead of passwords")
      ->type_name("URI");
  creates
      ->add_option("--signed-out-uri", options->signed_out_uris,
                   "Where the browser may go after signing out; several times")
      ->type_name("URI");
  creates->add_flag("--token-exchange", options->token_exchange,
                    "Exchanges tokens of the region's external identity providers (RFC 8693)");
  creates->add_flag("--confidential", options->confidential,
                    "An application that can keep a secret gets one");
  creates
      ->add_option("--secret-file", options->secret_file,
                   "Write the secret to this file (mode 600)")
      ->type_name("FILE");
  verb("list", "All clients of the region", Verb::reads, list);
  for (const bool active : {false, true}) {
    auto* app =
        verb(active ? "enable" : "disable",
             active ? "Answer the client again" : "Refuse the client", Verb::changes,
             [active](const Cli& c, const ClientOptions& o) { return set_active(c, o, active); });
    app->add_option("--id", options->id, "The client")->required();
  }
}

}  // namespace domicile::app
