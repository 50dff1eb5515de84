#include "app/receivers_file.h"

#include <algorithm>
#include <array>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

#include "base/file.h"
#include "compliance/alert_message.h"

namespace domicile::app {
namespace {

using compliance::Receiver;

constexpr std::array<std::string_view, 5> kKeys = {"name", "url", "ca_file", "least_level",
                                                   "secret_file"};

class Reader {
 public:
  Reader(const std::string& name, const std::filesystem::path& folder)
      : name_(name), folder_(folder) {}

  void error(const toml::node& at, std::string_view what) {
    errors_ += fmt::format("{}{}:{}: {}", errors_.empty() ? "" : "\n", name_,
                           at.source().begin.line, what);
  }

  void read(const toml::table& table, Receiver::Kind kind) {
    for (const auto& [key, node] : table) {
      if (std::ranges::find(kKeys, key.str()) == kKeys.end()) {
        error(node, fmt::format("unknown key '{}'", key.str()));
      }
    }
    Receiver out;
    out.kind = kind;
    out.name = text(table, "name");
    out.url = text(table, "url");
    if (out.name.empty()) error(table, "name is missing: a word that you know the receiver by");
    if (std::ranges::any_of(receivers_, [&](const auto& r) { return r.name == out.name; })) {
      error(table, fmt::format("the receiver {} stands here twice", out.name));
    }
    if (!out.url.starts_with("https://") && !out.url.starts_with("http://127.0.0.1:") &&
        !out.url.starts_with("http://localhost:") && !out.url.starts_with("http://[::1]:")) {
      error(table, "url must be https, or http on this machine");
    }
    if (const auto file = text(table, "ca_file"); !file.empty()) out.ca_file = folder_ / file;
    level(table, out);
    secret(table, out);
    receivers_.push_back(std::move(out));
  }

  Result<std::vector<Receiver>> finish() {
    if (receivers_.size() > kReceiversMax) {
      errors_ += fmt::format("{}{}: more than {} receivers", errors_.empty() ? "" : "\n", name_,
                             kReceiversMax);
    }
    if (!errors_.empty()) return fail(Code::invalid, errors_);
    return std::move(receivers_);
  }

 private:
  std::string text(const toml::table& table, std::string_view key) {
    const toml::node* node = table.get(key);
    if (node == nullptr) return {};
    const auto value = node->value<std::string>();
    if (!node->is_string() || !value || value->empty())
      error(*node, fmt::format("{} must be a text", key));
    return value.value_or("");
  }

  void level(const toml::table& table, Receiver& out) {
    using detect::Level;
    const std::string name = text(table, "least_level");
    if (name.empty()) return;
    for (const Level level :
         {Level::informational, Level::low, Level::medium, Level::high, Level::critical}) {
      if (detect::to_string(level) != name) continue;
      out.least = level;
      return;
    }
    error(table, "least_level is informational, low, medium, high or critical");
  }

  void secret(const toml::table& table, Receiver& out) {
    const std::string file = text(table, "secret_file");
    if (out.kind == Receiver::Kind::alertmanager) {
      if (!file.empty())
        error(table, "Alertmanager takes no secret_file: protect it by TLS and its network");
      return;
    }
    if (file.empty()) {
      error(table,
            "secret_file is missing: without a signature the receiver cannot know who called");
      return;
    }
    const auto content = read_secret_file(folder_ / file);
    auto key =
        content ? compliance::parse_webhook_secret(*content) : std::unexpected(content.error());
    if (!key) {
      error(table, fmt::format("secret_file {}: {}", file, key.error().message));
      return;
    }
    out.key = std::move(*key);
  }

  const std::string& name_;
  const std::filesystem::path& folder_;
  std::string errors_;
  std::vector<Receiver> receivers_;
};

}  // namespace

Result<std::vector<Receiver>> parse_receivers(std::string_view text, const std::string& name,
                                              const std::filesystem::path& folder) {
  toml::table file;
  try {
    file = toml::parse(text, name);
  } catch (const toml::parse_error& problem) {
    return fail(Code::invalid,
                fmt::format("{}:{}: {}", name, problem.source().begin.line, problem.description()));
  }
  Reader reader(name, folder);
  for (const auto& [key, node] : file) {
    const bool known = key.str() == "alertmanager" || key.str() == "webhook";
    const auto* list = node.as_array();
    if (!known || list == nullptr) {
      reader.error(
          node, fmt::format("'{}' is unknown: write [[alertmanager]] and [[webhook]]", key.str()));
      continue;
    }
    for (const auto& item : *list) {
      if (const auto* table = item.as_table()) {
        reader.read(*table, key.str() == "webhook" ? Receiver::Kind::webhook
                                                   : Receiver::Kind::alertmanager);
      } else {
        reader.error(item, "write [[alertmanager]] and [[webhook]]");
      }
    }
  }
  return reader.finish();
}

Result<std::vector<Receiver>> load_receivers(const std::filesystem::path& file) {
  const std::string text = TRY(read_file(file, 1u << 20));
  return parse_receivers(text, file.string(), file.parent_path());
}

}  // namespace domicile::app
