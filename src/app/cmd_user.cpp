// domicile user create | list | show | set-password | set-roles | disable | enable | define-role
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/directory_verb.h"
#include "base/clock.h"
#include "issuer/login.h"
#include "issuer/password.h"

namespace domicile::app {
namespace {

struct UserOptions {
  DirectoryOptions directory;
  WhichUser which;
  std::vector<std::string> roles, permissions;
  std::string role;
  std::string password_file;
};

nlohmann::json json_of(const store::UserAccount& user) {
  auto roles = nlohmann::json::array();
  for (const auto& role : user.roles) roles.push_back(role.text());
  return {{"id", user.id.text()},
          {"organization", user.organization.text()},
          {"login", user.login},
          {"roles", std::move(roles)},
          {"state", user.active ? "active" : "disabled"},
          {"created_at", utc(user.created_at)}};
}

std::string text_of(const store::UserAccount& user) {
  std::string roles;
  for (const auto& role : user.roles) roles += (roles.empty() ? "" : ",") + role.text();
  return fmt::format("{}  {}  {}  {}  {}", user.id.text(), user.organization.text(), user.login,
                     roles.empty() ? "-" : roles, user.active ? "active" : "disabled");
}

void show(const Cli& cli, const store::UserAccount& user) {
  print(cli.json ? json_of(user).dump(2) : text_of(user));
}

void done(const Cli& cli, const UserOptions& options, const store::UserAccount& user,
          std::string_view what) {
  if (cli.json) {
    auto json = json_of(user);
    json["dry_run"] = options.directory.dry_run;
    print(json.dump(2));
  } else {
    print(fmt::format("{}{}: {}", options.directory.dry_run ? "would have " : "", what,
                      text_of(user)));
  }
}

Result<int> create(const Cli& cli, const UserOptions& options) {
  store::UserAccount user;
  user.id = domain::UserId(new_id("u_"));
  user.organization = TRY(domain::parse_org_key(options.which.organization));
  user.login = issuer::canonical_login(options.which.login);
  if (user.login.empty())
    return fail(Code::invalid, "--login is 1 to 254 printable characters without spaces");
  user.roles = TRY(parse_roles(options.roles));
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  const Secret password = TRY(read_new_password(options.password_file));
  user.password_hash = TRY(issuer::PasswordHasher().hash(password));
  user.created_at = SystemClock().unix_seconds();
  if (auto added = directory->add_user(user, by); !added) {
    return std::unexpected(std::move(added).error().within(
        fmt::format("creating {} in organization {}", user.login, user.organization.text())));
  }
  done(cli, options, user, "created");
  return 0;
}

Result<int> list(const Cli& cli, const UserOptions& options) {
  auto directory = TRY(open_directory(options.directory));
  const auto users =
      TRY(directory->users_of(TRY(domain::parse_org_key(options.which.organization))));
  auto json = nlohmann::json::array();
  for (const auto& user : users) {
    if (cli.json) {
      json.push_back(json_of(user));
    } else {
      show(cli, user);
    }
  }
  if (cli.json) print(json.dump(2));
  return 0;
}

Result<int> show_one(const Cli& cli, const UserOptions& options) {
  auto directory = TRY(open_directory(options.directory));
  show(cli, TRY(find_user(*directory, options.which)));
  return 0;
}

Result<int> set_password(const Cli& cli, const UserOptions& options) {
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  const auto user = TRY(find_user(*directory, options.which));
  const std::string hash =
      TRY(issuer::PasswordHasher().hash(TRY(read_new_password(options.password_file))));
  TRY(directory->set_password(user, hash, SystemClock().unix_seconds(), by));
  done(cli, options, user, "changed the password and ended the sessions of");
  return 0;
}

Result<int> set_roles(const Cli& cli, const UserOptions& options) {
  const auto by = TRY(administrator(options.directory));
  const auto roles = TRY(parse_roles(options.roles));
  auto directory = TRY(open_directory(options.directory));
  auto user = TRY(find_user(*directory, options.which));
  TRY(directory->set_roles(user, roles, by));
  user.roles = roles;
  done(cli, options, user, "changed the roles of");
  return 0;
}

Result<int> set_active(const Cli& cli, const UserOptions& options, bool active) {
  const auto by = TRY(administrator(options.directory));
  auto directory = TRY(open_directory(options.directory));
  auto user = TRY(find_user(*directory, options.which));
  TRY(directory->set_active(user, active, SystemClock().unix_seconds(), by));
  user.active = active;
  done(cli, options, user, active ? "enabled" : "disabled and ended the sessions of");
  return 0;
}

Result<int> define_role(const Cli& cli, const UserOptions& options) {
  const auto by = TRY(administrator(options.directory));
  const auto organization = TRY(domain::parse_org_key(options.which.organization));
  const auto role = TRY(domain::parse_role_name(options.role));
  const auto permissions = TRY(parse_permissions(options.permissions));
  auto directory = TRY(open_directory(options.directory));
  TRY(directory->set_organization_role(organization, role, permissions, by));
  if (cli.json) {
    auto list = nlohmann::json::array();
    for (const auto& permission : permissions) list.push_back(permission.text());
    print(nlohmann::json{{"organization", organization.text()},
                         {"role", role.text()},
                         {"permissions", list},
                         {"dry_run", options.directory.dry_run}}
              .dump(2));
  } else if (permissions.empty()) {
    print(fmt::format("role {} of organization {} follows the region's roles file again",
                      role.text(), organization.text()));
  } else {
    print(fmt::format("role {} of organization {} has {} permissions", role.text(),
                      organization.text(), permissions.size()));
  }
  return 0;
}

}  // namespace

void add_user(CLI::App& root, Cli& cli) {
  auto* user = root.add_subcommand("user", "People of the organizations homed in this region");
  user->require_subcommand(1);
  const auto options = std::make_shared<UserOptions>();
  const auto verb = [&](const char* name, const char* what, Verb kind, auto body) {
    auto* app = user->add_subcommand(name, what);
    add_directory_options(*app, options->directory, kind);
    app->callback(cli.run([&cli, options, body] { return body(cli, *options); }));
    return app;
  };
  const auto password_file = [&](CLI::App* app) {
    app->add_option("--password-file", options->password_file,
                    "File (mode 600) with the password, - for standard input; without it the "
                    "terminal is asked")
        ->type_name("FILE");
  };
  const auto roles = [&](CLI::App* app) {
    app->add_option("--role", options->roles, "A role; may be given several times");
  };

  auto* creates = verb("create", "Add a person to an organization", Verb::changes, create);
  creates->add_option("--org", options->which.organization, "Key of the organization")->required();
  creates->add_option("--login", options->which.login, "Name to sign in with")->required();
  roles(creates);
  password_file(creates);

  auto* lists = verb("list", "People of an organization", Verb::reads, list);
  lists->add_option("--org", options->which.organization, "Key of the organization")->required();

  add_which_user(*verb("show", "One person", Verb::reads, show_one), options->which);
  auto* passwords =
      verb("set-password", "Set a new password; sessions end", Verb::changes, set_password);
  add_which_user(*passwords, options->which);
  password_file(passwords);
  auto* sets_roles =
      verb("set-roles", "Replace the roles; none given: none left", Verb::changes, set_roles);
  add_which_user(*sets_roles, options->which);
  roles(sets_roles);
  add_which_user(*verb("disable", "Refuse further sign-ins; sessions end", Verb::changes,
                       [](const Cli& c, const UserOptions& o) { return set_active(c, o, false); }),
                 options->which);
  add_which_user(*verb("enable", "Allow sign-ins again", Verb::changes,
                       [](const Cli& c, const UserOptions& o) { return set_active(c, o, true); }),
                 options->which);

  auto* defines = verb("define-role", "Give a role a meaning of the organization's own",
                       Verb::changes, define_role);
  defines->add_option("--org", options->which.organization, "Key of the organization")->required();
  defines->add_option("--role", options->role, "The role")->required();
  defines->add_option(
      "--permission", options->permissions,
      "A permission (noun:verb); several times; none: follow the region's roles file again");
}

}  // namespace domicile::app
