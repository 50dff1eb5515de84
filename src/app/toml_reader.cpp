#include "app/toml_reader.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace domicile::app {

struct TomlReader::State {
  toml::table root;
  std::string name;
  std::set<std::string, std::less<>> asked;
  std::vector<std::pair<unsigned, std::string>> errors;  // line, text

  void add(unsigned line, std::string text) { errors.emplace_back(line, std::move(text)); }

  // Reports every key below `table` that no getter has named.
  void report_unknown(const toml::table& table, const std::string& prefix) {
    for (const auto& [key, node] : table) {
      const std::string path = prefix + std::string(key.str());
      if (const toml::table* below = node.as_table();
          below != nullptr && std::ranges::any_of(asked, [&](const std::string& name) {
            return name.starts_with(path + ".");
          })) {
        report_unknown(*below, path + ".");
      } else if (!asked.contains(path)) {
        add(node.source().begin.line,
            fmt::format("unknown key '{}': remove it or correct its name", path));
      }
    }
  }
};

TomlReader::TomlReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
TomlReader::TomlReader(TomlReader&&) noexcept = default;
TomlReader& TomlReader::operator=(TomlReader&&) noexcept = default;
TomlReader::~TomlReader() = default;

Result<TomlReader> TomlReader::parse(std::string_view text, const std::string& name) {
  auto state = std::make_unique<State>();
  state->name = name;
  try {
    state->root = toml::parse(text, name);
  } catch (const toml::parse_error& error) {
    return fail(Code::invalid, fmt::format("{}:{}:{}: {}", name, error.source().begin.line,
                                           error.source().begin.column, error.description()));
  }
  return TomlReader(std::move(state));
}

std::optional<std::string> TomlReader::text(std::string_view key) {
  state_->asked.emplace(key);
  const auto node = state_->root.at_path(key);
  if (!node) return std::nullopt;
  if (const auto* value = node.as_string()) {
    if (!value->get().empty()) return value->get();
    error(key, "is empty");
    return std::nullopt;
  }
  error(key, "must be text in quotes");
  return std::nullopt;
}

std::string TomlReader::required_text(std::string_view key, std::string_view remedy) {
  const bool present = has(key);
  auto value = text(key);
  if (!present) state_->add(0, fmt::format("'{}' is missing: {}", key, remedy));
  return value.value_or("");
}

std::optional<std::int64_t> TomlReader::integer(std::string_view key, std::int64_t least,
                                                std::int64_t most) {
  state_->asked.emplace(key);
  const auto node = state_->root.at_path(key);
  if (!node) return std::nullopt;
  const auto* value = node.as_integer();
  if (value == nullptr || value->get() < least || value->get() > most) {
    error(key, fmt::format("must be a whole number from {} to {}", least, most));
    return std::nullopt;
  }
  return value->get();
}

std::optional<bool> TomlReader::boolean(std::string_view key) {
  state_->asked.emplace(key);
  const auto node = state_->root.at_path(key);
  if (!node) return std::nullopt;
  if (const auto* value = node.as_boolean()) return value->get();
  error(key, "must be true or false");
  return std::nullopt;
}

std::vector<std::string> TomlReader::texts(std::string_view key) {
  state_->asked.emplace(key);
  const auto node = state_->root.at_path(key);
  std::vector<std::string> out;
  if (!node) return out;
  const auto* list = node.as_array();
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto* value = list->get(i)->as_string();
    if (value == nullptr || value->get().empty()) {
      list = nullptr;
      break;
    }
    out.push_back(value->get());
  }
  if (list == nullptr) error(key, "must be a list of texts in quotes: [\"...\"]");
  return out;
}

bool TomlReader::has(std::string_view key) const {
  return static_cast<bool>(state_->root.at_path(key));
}

void TomlReader::error(std::string_view key, std::string_view what) {
  const auto node = state_->root.at_path(key);
  state_->add(node ? node.node()->source().begin.line : 0, fmt::format("'{}' {}", key, what));
}

Result<void> TomlReader::finish() {
  state_->report_unknown(state_->root, "");
  if (state_->errors.empty()) return {};
  std::ranges::sort(state_->errors);
  std::string all;
  for (const auto& [line, text] : state_->errors) {
    if (!all.empty()) all += '\n';
    all += line == 0 ? fmt::format("{}: {}", state_->name, text)
                     : fmt::format("{}:{}: {}", state_->name, line, text);
  }
  return fail(Code::invalid, std::move(all));
}

}  // namespace domicile::app
