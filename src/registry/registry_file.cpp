#include "registry/registry_file.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace domicile::registry {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  void add(const toml::node& at, std::string_view what) { add_line(at.source().begin.line, what); }
  void add_line(std::uint32_t line, std::string_view what) {
    text_ += fmt::format("{}{}:{}: {}", text_.empty() ? "" : "\n", name_, line, what);
  }
  bool ok() const { return text_.empty(); }
  std::unexpected<Error> error() const { return fail(Code::invalid, text_); }

  void known_keys(const toml::table& table, std::initializer_list<std::string_view> known,
                  std::string_view where) {
    for (const auto& [key, value] : table) {
      if (std::ranges::find(known, key.str()) == known.end()) {
        add_line(key.source().begin.line, fmt::format("unknown key '{}' in {}", key.str(), where));
      }
    }
  }

  std::string text(const toml::table& table, std::string_view key, std::string_view example) {
    const toml::node* node = table.get(key);
    if (node != nullptr && node->is_string()) return node->as_string()->get();
    add(node == nullptr ? table : *node,
        fmt::format("'{}' must be a string, such as {}", key, example));
    return {};
  }

  bool flag(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return false;
    if (!node->is_boolean()) add(*node, fmt::format("'{}' must be true or false", key));
    return node->value_or(false);
  }

  std::vector<domain::LocationId> locations(const toml::table& table, bool required) {
    std::vector<domain::LocationId> out;
    const toml::node* node = table.get("locations");
    if (node == nullptr && !required) return out;
    const toml::array* array = node == nullptr ? nullptr : node->as_array();
    if (array == nullptr || (required && array->empty())) {
      add(node == nullptr ? table : *node,
          "'locations' must be a list, such as [\"ca-central-1\", \"ca-west-1\"]");
      return out;
    }
    for (const auto& item : *array) {
      auto id = domain::parse_location_id(item.value_or(std::string()));
      if (!id) {
        add(item, id.error().message);
      } else if (std::ranges::find(out, *id) != out.end()) {
        add(item, fmt::format("location {} stands twice", id->view()));
      } else {
        out.push_back(std::move(*id));
      }
    }
    return out;
  }

  template <typename T>
  T parsed(const toml::table& table, std::string_view key, std::string_view example,
           Result<T> (*parse)(std::string_view)) {
    const std::string value = text(table, key, example);
    if (value.empty()) return {};
    auto out = parse(value);
    if (!out) add(*table.get(key), out.error().message);
    return out ? std::move(*out) : T();
  }

 private:
  std::string_view name_;
  std::string text_;
};

template <typename Visit>
void each_table(Reader& reader, const toml::table& file, std::string_view key, const Visit& visit) {
  const toml::node* node = file.get(key);
  const toml::array* array = node == nullptr ? nullptr : node->as_array();
  if (array == nullptr || array->empty()) {
    reader.add(node == nullptr ? static_cast<const toml::node&>(file) : *node,
               fmt::format("the file needs at least one [[{}]]", key));
    return;
  }
  for (const auto& item : *array) {
    if (const toml::table* table = item.as_table()) {
      visit(*table);
    } else {
      reader.add(item, fmt::format("write [[{}]]", key));
    }
  }
}

void read_jurisdiction(Reader& reader, const toml::table& table, RegistryFile& out) {
  reader.known_keys(table, {"id", "locations"}, "[[jurisdiction]]");
  Jurisdiction jurisdiction{
      .id = reader.parsed(table, "id", "\"CA\"", &domain::parse_jurisdiction_id),
      .locations = reader.locations(table, true)};
  for (const Jurisdiction& other : out.jurisdictions) {
    if (other.id == jurisdiction.id)
      reader.add(table, fmt::format("jurisdiction {} stands twice", other.id.view()));
    for (const auto& location : jurisdiction.locations) {
      if (std::ranges::find(other.locations, location) != other.locations.end()) {
        reader.add(table, fmt::format("location {} lies in jurisdiction {} already",
                                      location.view(), other.id.view()));
      }
    }
  }
  out.jurisdictions.push_back(std::move(jurisdiction));
}

void read_region(Reader& reader, const toml::table& table, RegistryFile& out) {
  reader.known_keys(table, {"id", "jurisdiction", "locations", "url", "master"}, "[[region]]");
  domain::Region region;
  region.id = reader.parsed(table, "id", "\"ca-central-1\"", &domain::parse_region_id);
  region.jurisdiction =
      reader.parsed(table, "jurisdiction", "\"CA\"", &domain::parse_jurisdiction_id);
  region.url = reader.text(table, "url", "\"https://ca.example.com\"");
  region.master = reader.flag(table, "master");
  region.locations = reader.locations(table, false);
  std::erase(region.locations, domain::LocationId(region.id.view()));
  region.locations.insert(region.locations.begin(), domain::LocationId(region.id.view()));
  if (const auto url = check_region_url(region.url); !url && !region.url.empty()) {
    reader.add(*table.get("url"), url.error().message);
  }
  const auto home = std::ranges::find(out.jurisdictions, region.jurisdiction, &Jurisdiction::id);
  if (home == out.jurisdictions.end()) {
    reader.add(table, fmt::format("there is no [[jurisdiction]] {}", region.jurisdiction.view()));
  } else {
    for (const auto& location : region.locations) {
      if (std::ranges::find(home->locations, location) == home->locations.end()) {
        reader.add(table,
                   fmt::format(
                       "location {} is not of jurisdiction {}; a region's locations all lie in its "
                       "jurisdiction, and it is named after the primary one",
                       location.view(), home->id.view()));
      }
    }
  }
  for (const auto& other : out.regions) {
    if (other.id == region.id)
      reader.add(table, fmt::format("region {} stands twice", other.id.view()));
    if (other.url == region.url)
      reader.add(table, fmt::format("region {} has the same url", other.id.view()));
    if (other.master && region.master)
      reader.add(table, fmt::format("region {} is the master already", other.id.view()));
  }
  out.regions.push_back(std::move(region));
}

}  // namespace

Result<void> check_region_url(std::string_view url) {
  const bool https = url.starts_with("https://");
  const bool http = url.starts_with("http://");
  const std::string_view authority = url.substr(https ? 8 : http ? 7 : 0);
  const std::string_view host = authority.starts_with('[')
                                    ? authority.substr(0, authority.find(']') + 1)
                                    : authority.substr(0, authority.find(':'));
  const bool plain = !host.empty() && std::ranges::all_of(authority, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' ||
           c == '[' || c == ']';
  });
  if ((!https && !http) || !plain) {
    return fail(
        Code::invalid,
        "a region's url is scheme and host, in lower case, without a path: https://ca.example.com");
  }
  if (http && host != "127.0.0.1" && host != "localhost" && host != "[::1]") {
    return fail(Code::invalid, "plain http is for this machine only; use https://");
  }
  return {};
}

Result<RegistryFile> parse_registry_file(std::string_view text, std::string_view name) {
  Reader reader(name);
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    reader.add_line(error.source().begin.line, error.description());
    return reader.error();
  }
  RegistryFile out;
  reader.known_keys(file, {"jurisdiction", "region"}, "the file");
  each_table(reader, file, "jurisdiction",
             [&](const toml::table& table) { read_jurisdiction(reader, table, out); });
  each_table(reader, file, "region",
             [&](const toml::table& table) { read_region(reader, table, out); });
  if (reader.ok() && std::ranges::none_of(out.regions, &domain::Region::master)) {
    reader.add(file, "no region has master = true: one of them keeps the registry");
  }
  if (!reader.ok()) return reader.error();
  return out;
}

}  // namespace domicile::registry
