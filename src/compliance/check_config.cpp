#include "compliance/check_config.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include "base/file.h"
#include "compliance/check.h"

namespace domicile::compliance {
namespace {

class Reader {
 public:
  Reader(std::string name, std::filesystem::path folder)
      : name_(std::move(name)), folder_(std::move(folder)) {}

  void problem(const toml::source_region& where, const std::string& what) {
    problems_.push_back(fmt::format("{}:{}: {}", name_, where.begin.line, what));
  }
  void known(const toml::table& table, const std::string& place,
             std::initializer_list<std::string_view> names) {
    for (const auto& [key, value] : table) {
      if (std::ranges::find(names, key.str()) == names.end()) {
        problem(value.source(), fmt::format("{}: unknown key \"{}\"; known are {}", place,
                                            key.str(), fmt::join(names, ", ")));
      }
    }
  }
  std::string text(const toml::table& table, const std::string& place, std::string_view key,
                   bool required = false) {
    const toml::node* node = table.get(key);
    if (node == nullptr) {
      if (required) problem(table.source(), fmt::format("{}: {} is missing", place, key));
      return {};
    }
    if (!node->is_string() || node->as_string()->get().empty()) {
      problem(node->source(), fmt::format("{}: {} must be a text", place, key));
      return {};
    }
    return node->as_string()->get();
  }
  std::filesystem::path path(const toml::table& table, const std::string& place,
                             std::string_view key, bool required = false) {
    const std::string value = text(table, place, key, required);
    return value.empty() ? std::filesystem::path() : folder_ / value;
  }
  std::vector<std::string> texts(const toml::table& table, const std::string& place,
                                 std::string_view key) {
    std::vector<std::string> values;
    const toml::node* node = table.get(key);
    if (node == nullptr) return values;
    const toml::array* array = node->as_array();
    if (array == nullptr ||
        !std::ranges::all_of(*array, [](const toml::node& n) { return n.is_string(); })) {
      problem(node->source(), fmt::format("{}: {} must be a list of texts", place, key));
      return values;
    }
    for (const auto& item : *array) values.push_back(item.as_string()->get());
    return values;
  }
  template <typename Each>
  void tables(const toml::table& table, std::string_view key, const Each& each) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return;
    const toml::array* array = node->as_array();
    if (array == nullptr ||
        !std::ranges::all_of(*array, [](const toml::node& n) { return n.is_table(); })) {
      problem(node->source(), fmt::format("{} must be written as [[{}]]", key, key));
      return;
    }
    for (const auto& item : *array) each(*item.as_table());
  }
  Result<void> finish(std::vector<std::string> more) {
    for (auto& line : more) problems_.push_back(fmt::format("{}: {}", name_, line));
    if (problems_.empty()) return {};
    return fail(Code::invalid, fmt::format("{}", fmt::join(problems_, "\n")), "config_invalid");
  }

 private:
  std::string name_;
  std::filesystem::path folder_;
  std::vector<std::string> problems_;
};

Canary read_canary(Reader& reader, const toml::table& table) {
  reader.known(table, "canary", {"table", "column", "value"});
  Canary canary;
  const std::string name = reader.text(table, "canary", "table", true);
  const auto dot = name.find('.');
  if (!name.empty() && (dot == name.npos || dot == 0 || dot + 1 == name.size())) {
    reader.problem(table.source(),
                   "canary: table must be written with its schema, as in app.lessons");
  } else if (!name.empty()) {
    canary.schema = name.substr(0, dot);
    canary.table = name.substr(dot + 1);
  }
  canary.column = reader.text(table, "canary", "column", true);
  canary.value = reader.text(table, "canary", "value", true);
  return canary;
}

Probe read_probe(Reader& reader, const toml::table& table) {
  reader.known(table, "probe",
               {"organization", "path", "token_file", "client_id", "client_secret_file"});
  Probe probe;
  const std::string key = reader.text(table, "probe", "organization", true);
  if (auto parsed = domain::parse_org_key(key)) {
    probe.organization = *parsed;
  } else if (!key.empty()) {
    reader.problem(table.source(), "probe: " + parsed.error().message);
  }
  probe.path = reader.text(table, "probe", "path", true);
  probe.token_file = reader.path(table, "probe", "token_file");
  probe.client_id = reader.text(table, "probe", "client_id");
  probe.client_secret_file = reader.path(table, "probe", "client_secret_file");
  return probe;
}

CheckedRegion read_region(Reader& reader, const toml::table& table) {
  reader.known(
      table, "region",
      {"name", "dsn_file", "system_identifier", "database_id", "placements", "url", "ca_file",
       "event_directory", "roles", "replicas", "wal_archive", "server_log", "canary", "probe"});
  CheckedRegion region;
  const std::string name = reader.text(table, "region", "name", true);
  const std::string place = fmt::format("region {}", name);
  if (auto parsed = domain::parse_region_id(name)) {
    region.name = *parsed;
  } else if (!name.empty()) {
    reader.problem(table.source(), place + ": " + parsed.error().message);
  }
  region.dsn_file = reader.path(table, place, "dsn_file", true);
  region.system_identifier = reader.text(table, place, "system_identifier");
  region.database_id = reader.text(table, place, "database_id");
  region.placements = reader.path(table, place, "placements");
  region.url = reader.text(table, place, "url");
  region.ca_file = reader.path(table, place, "ca_file");
  region.event_directory = reader.path(table, place, "event_directory");
  region.roles = reader.texts(table, place, "roles");
  region.replicas = reader.texts(table, place, "replicas");
  region.wal_archive = reader.text(table, place, "wal_archive");
  region.server_log = reader.text(table, place, "server_log");
  reader.tables(table, "canary",
                [&](const toml::table& t) { region.canaries.push_back(read_canary(reader, t)); });
  reader.tables(table, "probe",
                [&](const toml::table& t) { region.probes.push_back(read_probe(reader, t)); });
  return region;
}

Acceptance read_acceptance(Reader& reader, const toml::table& table) {
  reader.known(table, "accept", {"check", "region", "resource", "reason", "until"});
  Acceptance accepted;
  accepted.check = reader.text(table, "accept", "check", true);
  accepted.region = reader.text(table, "accept", "region");
  accepted.resource = reader.text(table, "accept", "resource");
  accepted.reason = reader.text(table, "accept", "reason", true);
  if (const auto until = table["until"].value<toml::date>()) {
    const std::chrono::year_month_day day{std::chrono::year(until->year),
                                          std::chrono::month(until->month),
                                          std::chrono::day(until->day)};
    accepted.until_s =
        (std::chrono::sys_days(day).time_since_epoch().count() + 1) * std::int64_t{86'400};
  } else {
    reader.problem(table.source(),
                   "accept: until must be a date, as in 2027-06-30: nothing is accepted for ever");
  }
  return accepted;
}

bool local_http(const std::string& url) {
  return url.starts_with("http://127.0.0.1") || url.starts_with("http://localhost") ||
         url.starts_with("http://[::1]");
}

}  // namespace

std::vector<std::string> problems_of(const CheckConfig& config) {
  std::vector<std::string> problems;
  const auto add = [&](std::string text) { problems.push_back(std::move(text)); };
  if (config.regions.empty()) add("no region is named: add [[region]]");
  std::set<std::string> names;
  for (const auto& region : config.regions) {
    if (!names.insert(region.name.text()).second)
      add(fmt::format("region {} stands twice", region.name.text()));
    if (!region.url.empty() && ((!region.url.starts_with("https://") && !local_http(region.url)) ||
                                region.url.ends_with('/'))) {
      add(fmt::format("region {}: url must be an https:// address without a slash at the end",
                      region.name.text()));
    }
    for (const auto& probe : region.probes) {
      if (!probe.path.starts_with('/'))
        add(fmt::format("probe of organization {}: path must start with /",
                        probe.organization.text()));
      const bool token = !probe.token_file.empty();
      const bool client = !probe.client_id.empty() && !probe.client_secret_file.empty();
      if (token == client) {
        add(fmt::format(
            "probe of organization {}: give token_file, or client_id and client_secret_file",
            probe.organization.text()));
      }
      if (region.url.empty())
        add(fmt::format("region {}: a probe needs the region's url", region.name.text()));
    }
  }
  const auto names_a_check = [](std::string_view id) {
    return !id.empty() && std::ranges::any_of(check_definitions(),
                                              [&](const auto& c) { return c.id.starts_with(id); });
  };
  for (const auto& id : config.exclude) {
    if (!names_a_check(id)) add(fmt::format("exclude: no check is called {}", id));
  }
  for (const auto& accepted : config.accepted) {
    if (find_check(accepted.check) == nullptr)
      add(fmt::format("accept: no check is called {}", accepted.check));
    if (!accepted.region.empty() && !names.contains(accepted.region))
      add(fmt::format("accept: no region is called {}", accepted.region));
  }
  return problems;
}

Result<CheckConfig> parse_check_config(std::string_view text, const std::string& name,
                                       const std::filesystem::path& folder) {
  toml::table root;
  try {
    root = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return fail(Code::invalid,
                fmt::format("{}:{}:{}: {}", name, error.source().begin.line,
                            error.source().begin.column, error.description()),
                "config_invalid");
  }
  Reader reader(name, folder);
  CheckConfig config;
  reader.known(root, "the file", {"exclude", "sample", "registry", "region", "accept"});
  config.exclude = reader.texts(root, "the file", "exclude");
  if (const toml::node* sample = root.get("sample")) {
    const auto value = sample->value_exact<std::int64_t>();
    if (value && *value >= 1 && *value <= 100'000) {
      config.sample = static_cast<unsigned>(*value);
    } else {
      reader.problem(sample->source(), "sample must be a number from 1 to 100000");
    }
  }
  if (const toml::node* registry = root.get("registry")) {
    if (const toml::table* table = registry->as_table()) {
      reader.known(*table, "registry", {"snapshot"});
      config.registry_snapshot = reader.path(*table, "registry", "snapshot", true);
    } else {
      reader.problem(registry->source(), "registry must be written as [registry]");
    }
  }
  reader.tables(root, "region",
                [&](const toml::table& t) { config.regions.push_back(read_region(reader, t)); });
  reader.tables(root, "accept", [&](const toml::table& t) {
    config.accepted.push_back(read_acceptance(reader, t));
  });
  TRY(reader.finish(problems_of(config)));
  return config;
}

Result<CheckConfig> load_check_config(const std::filesystem::path& file) {
  const std::string text = TRY(read_file(file, 1u << 20));
  return parse_check_config(text, file.string(),
                            file.parent_path().empty() ? "." : file.parent_path());
}

}  // namespace domicile::compliance
