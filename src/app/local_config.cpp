#include "app/local_config.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/file.h"
#include "catalog/catalog.h"
#include "policy/route_policy.h"

namespace domicile::app {
namespace {

using Path = std::filesystem::path;

class Reader {
 public:
  Reader(const toml::table& root, const Path& file) : root_(root), file_(file) {}

  Result<LocalConfig> read() {
    config_.file = file_;
    known(root_, "", {"application", "users", "region"});
    if (const auto* table = section(root_, "application", "describe the application")) {
      application(*table);
    }
    if (const auto* table = root_["users"].as_table()) users(*table);
    if (const auto* table = section(root_, "region", "name at least one, [region.ca-central-1]")) {
      regions(*table);
    }
    if (problems_.empty()) return std::move(config_);
    std::ranges::sort(problems_);
    std::string all;
    for (const auto& [line, text] : problems_) {
      if (!all.empty()) all += '\n';
      all += line == 0 ? fmt::format("{}: {}", file_.string(), text)
                       : fmt::format("{}:{}: {}", file_.string(), line, text);
    }
    return fail(Code::invalid, std::move(all), "config_invalid");
  }

 private:
  void problem(unsigned line, std::string text) { problems_.emplace_back(line, std::move(text)); }
  static unsigned line_of(const toml::node& node) { return node.source().begin.line; }

  void known(const toml::table& table, const std::string& where,
             const std::set<std::string>& keys) {
    for (const auto& [key, node] : table) {
      if (keys.contains(std::string(key.str()))) continue;
      std::string all;
      for (const std::string& each : keys) all += (all.empty() ? "" : ", ") + each;
      problem(line_of(node), fmt::format("unknown key '{}{}': remove it, or use one of: {}", where,
                                         key.str(), all));
    }
  }
  const toml::table* section(const toml::table& parent, std::string_view key,
                             std::string_view remedy) {
    const toml::node* node = parent.get(key);
    if (node == nullptr) {
      problem(0, fmt::format("section [{}] is missing: {}", key, remedy));
      return nullptr;
    }
    if (node->as_table() == nullptr) {
      problem(line_of(*node), fmt::format("'{}' must be a section, written [{}]", key, key));
    }
    return node->as_table();
  }
  std::string text(const toml::table& table, std::string_view key, bool required = true) {
    const toml::node* node = table.get(key);
    if (node == nullptr) {
      if (required) problem(line_of(table), fmt::format("'{}' is missing in this section", key));
      return "";
    }
    const auto* value = node->as_string();
    if (value == nullptr || value->get().empty() || value->get().find('\0') != std::string::npos) {
      problem(line_of(*node), fmt::format("'{}' must be text in quotes, not empty", key));
      return "";
    }
    return value->get();
  }
  std::vector<std::string> texts(const toml::table& table, std::string_view key, bool required) {
    std::vector<std::string> result;
    const toml::node* node = table.get(key);
    if (node == nullptr) {
      if (required) problem(line_of(table), fmt::format("'{}' is missing in this section", key));
      return result;
    }
    const toml::array* list = node->as_array();
    if (list == nullptr || (required && list->empty())) {
      problem(line_of(*node), fmt::format("'{}' must be a list of texts, [\"...\"]", key));
      return result;
    }
    for (const toml::node& each : *list) {
      const auto* value = each.as_string();
      if (value != nullptr && value->get().find('\0') == std::string::npos) {
        result.push_back(value->get());
      } else {
        problem(line_of(each), fmt::format("'{}' must hold texts in quotes only", key));
      }
    }
    return result;
  }
  std::uint16_t port(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return 0;
    const auto* value = node->as_integer();
    if (value == nullptr || value->get() < 1024 || value->get() > 65535) {
      problem(line_of(*node), fmt::format("'{}' must be a port from 1024 to 65535", key));
      return 0;
    }
    if (!ports_.insert(value->get()).second) {
      problem(line_of(*node), fmt::format("port {} is given twice", value->get()));
    }
    return static_cast<std::uint16_t>(value->get());
  }
  Path path(const toml::table& table, std::string_view key, bool required = true) {
    const std::string given = text(table, key, required);
    return given.empty() ? Path() : file_.parent_path() / given;
  }

  void application(const toml::table& table) {
    known(table, "application.",
          {"name", "schema", "prepare", "catalog", "routes", "roles", "files", "command",
           "environment", "health_path"});
    LocalApplication& app = config_.application;
    app.name = text(table, "name");
    const bool plain =
        !app.name.empty() && app.name.size() <= 40 &&
        app.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos &&
        app.name[0] >= 'a';
    if (!app.name.empty() &&
        (!plain || app.name == "postgres" || app.name == "domicile_registry")) {
      problem(line_of(*table.get("name")),
              fmt::format(
                  "'name' names a database: '{}' must be letters "
                  "a-z, digits and _, at most 40, beginning with a letter, and not a reserved name",
                  app.name));
    }
    app.schema = path(table, "schema");
    app.prepare = texts(table, "prepare", false);
    app.catalog = path(table, "catalog");
    app.routes = path(table, "routes");
    app.roles = path(table, "roles", false);
    for (const std::string& file : texts(table, "files", false)) {
      app.files.push_back(file_.parent_path() / file);
    }
    app.command = texts(table, "command", true);
    absolute(table, "command", app.command);
    absolute(table, "prepare", app.prepare);
    if (table.contains("health_path")) app.health_path = text(table, "health_path");
    if (!app.health_path.empty() && app.health_path[0] != '/') {
      problem(line_of(*table.get("health_path")), "'health_path' must begin with /");
    }
    environment(table);
  }
  void absolute(const toml::table& table, std::string_view key,
                const std::vector<std::string>& command) {
    if (command.empty() || command[0].starts_with('/')) return;
    problem(line_of(*table.get(key)),
            fmt::format("'{}' must begin with the program's full path, such "
                        "as \"/usr/bin/{}\"",
                        key, command[0]));
  }
  void environment(const toml::table& table) {
    const toml::node* node = table.get("environment");
    if (node == nullptr) return;
    const toml::table* pairs = node->as_table();
    if (pairs == nullptr)
      return problem(line_of(*node), "'environment' must be { NAME = \"value\" }");
    for (const auto& [key, value] : *pairs) {
      const auto* given = value.as_string();
      if (given == nullptr || key.str().find('=') != std::string_view::npos) {
        problem(line_of(value), fmt::format("'environment.{}' must be text in quotes", key.str()));
      } else {
        config_.application.environment.emplace_back(key.str(), given->get());
      }
    }
  }

  void users(const toml::table& table) {
    known(table, "users.", {"postgresql", "node", "application"});
    if (table.contains("postgresql")) config_.postgresql_user = text(table, "postgresql");
    if (table.contains("node")) config_.node_user = text(table, "node");
    if (table.contains("application")) config_.application_user = text(table, "application");
    for (const auto* name :
         {&config_.postgresql_user, &config_.node_user, &config_.application_user}) {
      if (*name == "root") problem(line_of(table), "nothing here runs as root: name another user");
    }
  }

  void regions(const toml::table& table) {
    std::vector<std::pair<unsigned, LocalRegion>> found;
    for (const auto& [key, node] : table) {
      const toml::table* each = node.as_table();
      if (each == nullptr) {
        problem(line_of(node), fmt::format("'region.{}' must be a section", key.str()));
        continue;
      }
      found.emplace_back(line_of(node), region(key.str(), *each));
    }
    std::ranges::sort(found, [](const auto& a, const auto& b) {
      if (a.second.region.master != b.second.region.master) return a.second.region.master;
      return a.first < b.first;
    });
    const auto masters =
        std::ranges::count_if(found, [](const auto& r) { return r.second.region.master; });
    if (masters != 1) {
      problem(line_of(table),
              fmt::format("exactly one region must say 'master = true' (now {})", masters));
    }
    if (found.size() > 8) problem(line_of(table), "at most 8 regions run on one machine");
    for (auto& [line, each] : found) config_.regions.push_back(std::move(each));
  }
  LocalRegion region(std::string_view name, const toml::table& table) {
    known(table, fmt::format("region.{}.", name),
          {"jurisdiction", "locations", "master", "door_port", "application_port", "log_port",
           "postgresql_port", "external_issuers", "alert_webhook"});
    LocalRegion local;
    const unsigned line = line_of(table);
    const auto keep = [&](auto parsed, auto& target) {
      if (parsed)
        target = *parsed;
      else
        problem(line, fmt::format("region {}: {}", name, parsed.error().message));
    };
    keep(domain::parse_region_id(name), local.region.id);
    if (const std::string code = text(table, "jurisdiction"); !code.empty()) {
      keep(domain::parse_jurisdiction_id(code), local.region.jurisdiction);
    }
    std::vector<std::string> locations = texts(table, "locations", false);
    if (locations.empty()) locations = {std::string(name)};
    for (const std::string& location : locations) {
      keep(domain::parse_location_id(location), local.region.locations.emplace_back());
    }
    if (const toml::node* node = table.get("master")) {
      if (node->as_boolean() == nullptr)
        problem(line_of(*node), "'master' must be true or false");
      else
        local.region.master = node->as_boolean()->get();
    }
    local.door_port = port(table, "door_port");
    local.application_port = port(table, "application_port");
    local.log_port = port(table, "log_port");
    local.postgresql_port = port(table, "postgresql_port");
    local.external_issuers = path(table, "external_issuers", false);
    local.alert_webhook = text(table, "alert_webhook", false);
    return local;
  }

  const toml::table& root_;
  const Path& file_;
  LocalConfig config_;
  std::set<std::int64_t> ports_;
  std::vector<std::pair<unsigned, std::string>> problems_;
};

// The catalog and the routes, as those who will use them read them.
Result<void> check_contents(const LocalApplication& application) {
  std::string wrong;
  const auto note = [&](const Error& error) {
    wrong += (wrong.empty() ? "" : "\n") + error.message;
  };
  const std::string catalog = TRY(read_file(application.catalog, 16u << 20));
  if (const auto parsed = catalog::parse_catalog(catalog, application.catalog.string()); !parsed) {
    note(parsed.error());
  }
  const std::string routes = TRY(read_file(application.routes, 16u << 20));
  if (const auto parsed = policy::RoutePolicy::parse(routes, application.routes.string());
      !parsed) {
    note(parsed.error());
  }
  if (!wrong.empty()) return fail(Code::invalid, wrong, "config_invalid");
  return {};
}

}  // namespace

Result<LocalConfig> parse_local_config(std::string_view text, const Path& file) {
  toml::table root;
  try {
    root = toml::parse(text, file.string());
  } catch (const toml::parse_error& error) {
    return fail(Code::invalid,
                fmt::format("{}:{}:{}: {}", file.string(), error.source().begin.line,
                            error.source().begin.column, error.description()),
                "config_invalid");
  }
  return Reader(root, file).read();
}

Result<LocalConfig> load_local_config(const Path& file) {
  std::error_code ignored;
  const Path full = std::filesystem::weakly_canonical(file, ignored);
  auto text = read_file(full, 1u << 20);
  if (!text) {
    return fail(Code::invalid,
                fmt::format("{}; name the regions' file with --config", text.error().message));
  }
  LocalConfig config = TRY(parse_local_config(*text, full));
  std::vector<Path> needed = {config.application.schema, config.application.catalog,
                              config.application.routes};
  if (!config.application.roles.empty()) needed.push_back(config.application.roles);
  for (const LocalRegion& local : config.regions) {
    if (!local.external_issuers.empty()) needed.push_back(local.external_issuers);
  }
  needed.insert(needed.end(), config.application.files.begin(), config.application.files.end());
  std::string missing;
  for (const Path& path : needed) {
    if (std::filesystem::is_regular_file(path, ignored)) continue;
    missing += fmt::format("{}{}: names {}, which is not there or not a file",
                           missing.empty() ? "" : "\n", full.string(), path.string());
  }
  for (const auto* command : {&config.application.command, &config.application.prepare}) {
    if (command->empty() || std::filesystem::exists(command->front(), ignored)) continue;
    missing += fmt::format("{}{}: the program {} is not installed", missing.empty() ? "" : "\n",
                           full.string(), command->front());
  }
  if (!missing.empty()) return fail(Code::invalid, missing, "config_invalid");
  TRY(check_contents(config.application));
  return config;
}

std::string fill_in(std::string text, const std::map<std::string, std::string>& values) {
  std::string result;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t open = text.find('{', at);
    const std::size_t close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) break;
    result.append(text, at, open - at);
    const auto value = values.find(text.substr(open + 1, close - open - 1));
    result += value == values.end() ? text.substr(open, close - open + 1) : value->second;
    at = close + 1;
  }
  return result.append(text, at);
}

}  // namespace domicile::app
